"""`tocsin publish`: what is stored, for everyone who asks the history."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from tocsin.cli.screen import make_console
from tocsin.settings import load_settings


@click.command()
@click.option("--full", is_flag=True, help="Write everything anew, whatever was published before.")
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def publish(*, full: bool, as_json: bool, data: Path | None) -> None:
    """Publish what changed in the history; every run does it at its end.

    Needed after the data folder was moved, or when a run could not publish.
    """
    from storage.database import Database  # noqa: PLC0415  DuckDB loads when it is needed
    from storage.folder import history_path, lock_data_folder  # noqa: PLC0415
    from storage.publish import publish as publish_history  # noqa: PLC0415

    folder = load_settings(data=data).data
    database = Database(history_path(folder))
    database.require_history()
    with lock_data_folder(folder):
        done = publish_history(database, now=datetime.now(UTC), full=full)
    if as_json:
        click.echo(json.dumps(asdict(done), default=str))
        return
    make_console().print(
        f"{done.path}\ngeneration {done.generation}: {done.rows:,} rows written ({done.bytes:,} bytes), "
        f"{done.files:,} files in use, {done.merged:,} merges, {done.removed:,} old files removed"
    )
