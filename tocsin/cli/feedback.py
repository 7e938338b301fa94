"""`tocsin feedback`: people's reactions to alerts become labels."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from tocsin.errors import SettingsError
from tocsin.logging import configure_logging
from tocsin.settings import load_settings


@click.command()
@click.option(
    "--days", type=click.IntRange(1, 365), help="How far to look back. [default: TOCSIN_FEEDBACK_DAYS]"
)
@click.option("--json", "as_json", is_flag=True, help="Print one object instead of lines.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def feedback(*, days: int | None, as_json: bool, data: Path | None) -> None:
    """Read people's reactions to alerts in Slack back as labels.

    `tocsin monitor` does the same at its end. The exit code is 1 if a channel could not be read.
    """
    from flows.assemble import ballot_reader  # noqa: PLC0415
    from flows.feedback import sync_labels  # noqa: PLC0415
    from storage.database import Database  # noqa: PLC0415
    from storage.folder import history_path, lock_data_folder  # noqa: PLC0415

    settings = load_settings(data=data)
    read = ballot_reader(settings)
    if read is None:
        raise SettingsError("SLACK_BOT_TOKEN is not set: reactions can be read with the Slack app only")
    configure_logging(settings.data, level=settings.log_level)
    with lock_data_folder(settings.data):
        found = sync_labels(
            Database(history_path(settings.data)),
            read,
            days=days or settings.feedback_days or 7,
            now=datetime.now(UTC),
        )
    if as_json:
        click.echo(json.dumps(asdict(found), ensure_ascii=False))
    else:
        click.echo(
            f"{found.alerts} alerts in {found.channels} channels: {found.added} labels added, ", nl=False
        )
        click.echo(f"{found.removed} taken back")
        for problem in found.problems:
            click.echo(f"Not read: {problem}", err=True)
    sys.exit(1 if found.problems else 0)
