"""`tocsin backup`: the whole history in one file."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from tocsin.cli.screen import make_console
from tocsin.settings import load_settings

LONGEST_WAIT = timedelta(minutes=10)  # a run may work in the folder for so long


@click.command()
@click.argument("target", metavar="FILE_OR_FOLDER", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def backup(*, target: Path, force: bool, as_json: bool, data: Path | None) -> None:
    """Copy the whole history into one file, checked after it was written; runs may go on meanwhile.

    Waits for a run that works in the data folder, up to 10 minutes. In a folder the file is
    named by the time.
    """
    from storage.backup import back_up  # noqa: PLC0415  DuckDB loads when it is needed
    from storage.database import Database  # noqa: PLC0415
    from storage.folder import history_path, lock_data_folder  # noqa: PLC0415

    folder = load_settings(data=data).data
    database = Database(history_path(folder))
    database.require_history()
    with lock_data_folder(folder, wait=LONGEST_WAIT):
        done = back_up(database, target, now=datetime.now(UTC), force=force)
    if as_json:
        click.echo(json.dumps(asdict(done), default=str))
        return
    make_console().print(
        f"{done.path}\n{done.rows:,} rows in {done.tables} tables, {done.bytes:,} bytes, "
        "read back: the same.\n"
        "Keep it as secret as the data folder; settings and tokens of the environment are not in it."
    )
