"""`tocsin digest`: one message per channel about the last day or week."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tocsin.logging import configure_logging
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from flows.send_digest import DigestOutcome

_TOLD = {
    "sent": "sent",
    "sent_before": "was sent before; nothing is sent twice",
    "shown": "shown here, not sent",
    "skipped": "not sent",
    "waiting": "NOT SENT",
}


@click.command()
@click.option("--daily", "kind", flag_value="daily", help="About the last whole day (UTC).")
@click.option(
    "--weekly",
    "kind",
    flag_value="weekly",
    default="weekly",
    help="About the last whole week, Monday to Sunday (UTC). This is the default.",
)
@click.option("--channel", metavar="C", help="Only this channel. [default: every channel that topics alert]")
@click.option("--dry-run", is_flag=True, help="Print the digests instead of sending them; keep nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def digest(
    *,
    kind: str,
    channel: str | None,
    dry_run: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Send each channel one message about the last day or week: top stories, counts, a chart.

    Each period is sent to a channel once, however often this is called. The exit code is 1 if a digest waits.
    """
    settings = load_settings(data=data)
    configure_logging(settings.data, level=settings.log_level)
    from flows.display import PlainDisplay, showing  # noqa: PLC0415  after the options: --help is quick
    from flows.send_digest import DigestRequest, send_digests  # noqa: PLC0415
    from tocsin.cli.screen import make_console  # noqa: PLC0415

    request = DigestRequest("daily" if kind == "daily" else "weekly", channel, dry_run)
    display = PlainDisplay()
    display.alerts = make_console(stderr=as_json)
    with showing(display):
        report = send_digests(settings, request, run_id=str(uuid.uuid4()))
    if as_json:
        click.echo(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        click.echo("\n".join(_line_of(each) for each in report.digests) or "No topic alerts any channel.")
    sys.exit(0 if report.succeeded else 1)


def _line_of(outcome: DigestOutcome) -> str:
    told = f"{outcome.channel}  {outcome.period}  {_TOLD[outcome.state]}"
    if outcome.state in {"sent", "shown"}:
        told += f": {outcome.stories} stories on {outcome.topics} topics"
    if outcome.state == "sent":
        told += ", with a chart" if outcome.chart else ", without a chart"
    return f"{told}: {outcome.error}" if outcome.error else told
