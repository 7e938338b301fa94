"""`tocsin slack`: whether Slack will take and keep what Tocsin sends."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tocsin.cli.signals import stop_on_signals
from tocsin.errors import SettingsError
from tocsin.logging import configure_logging
from tocsin.settings import Settings, load_settings

if TYPE_CHECKING:
    from flows.alerts.slack_check import SlackCheck

_MARKS = {"good": "ok     ", "note": "note   ", "problem": "PROBLEM"}


@click.group()
def slack() -> None:
    """Set Slack up, and see whether it works."""


@slack.command()
@click.option("--channel", "channels", multiple=True, metavar="C", help="Only this channel; repeatable.")
@click.option("--send", is_flag=True, help="Send a test alert to each channel, and read it back.")
@click.option("--json", "as_json", is_flag=True, help="Print one object instead of lines.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def check(*, channels: tuple[str, ...], send: bool, as_json: bool, data: Path | None) -> None:
    """Verify token, scopes and channels, and whether history can be read.

    Nothing is sent without --send. The exit code is 0 if every promise of delivery can be kept, else 1.
    """
    from flows.alerts.slack import SlackOutlet  # noqa: PLC0415
    from flows.alerts.slack_check import check_slack  # noqa: PLC0415

    settings = load_settings(data=data)
    if settings.slack_bot_token is None:
        raise SettingsError("SLACK_BOT_TOKEN is not set: docs/slack.md tells how to get one")
    logging.getLogger("flows").addHandler(logging.NullHandler())  # what it would say is in the findings
    uses = {name.removeprefix("#"): ["--channel"] for name in channels} or _channels_in_use(settings)
    outlet = SlackOutlet(settings.slack_bot_token.get_secret_value(), settings.slack_base_url)
    found = check_slack(outlet, uses, clock=lambda: datetime.now(UTC), send=send)
    click.echo(_to_json(found) if as_json else _to_text(found))
    sys.exit(0 if found.is_usable else 1)


@slack.command()
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def listen(*, data: Path | None) -> None:
    """Take clicks on alerts' buttons as labels until stopped, where `tocsin serve` does not do it.

    Needs SLACK_APP_TOKEN (Socket Mode) beside SLACK_BOT_TOKEN.
    """
    from flows.listen import listening, require_tokens  # noqa: PLC0415

    settings = load_settings(data=data)
    require_tokens(settings)
    configure_logging(settings.data, level=settings.log_level)
    stopping = stop_on_signals()
    with listening(settings, clock=lambda: datetime.now(UTC)):
        click.echo("Listening; stop with Ctrl-C.")
        stopping.wait()


def _channels_in_use(settings: Settings) -> dict[str, list[str]]:
    """Give the channels that runs would write to, by name without `#`, and what each is used for."""
    from flows.chosen import topics_in_use  # noqa: PLC0415

    uses: dict[str, list[str]] = {settings.slack_channel.removeprefix("#"): ["default"]}
    if settings.operator_channel:
        uses.setdefault(settings.operator_channel.removeprefix("#"), []).append("operator")
    for topic in topics_in_use(settings):
        for channel in topic.alert_channels:
            uses.setdefault(channel, []).append(topic.name)
    return {
        name: used for name, used in uses.items() if not name.startswith("webhook:") and name != "console"
    }


def _to_text(found: SlackCheck) -> str:
    lines = [f"{_MARKS[each.level]}  {each.subject}: {each.text}" for each in found.findings]
    closing = "Slack is ready." if found.is_usable else "Slack is not ready: see the problems above."
    return "\n".join([*lines, closing])


def _to_json(found: SlackCheck) -> str:
    value = asdict(found) | {"is_usable": found.is_usable}
    return json.dumps(value, ensure_ascii=False)
