"""`tocsin restore`: a backup becomes the history."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tocsin.cli.backup import LONGEST_WAIT
from tocsin.cli.screen import make_console
from tocsin.errors import StorageError
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from storage.database import Database
    from storage.restore import Restored


@click.command()
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the history that is there; it is kept aside.")
@click.option(
    "--quietly",
    is_flag=True,
    help="The next poll of each feed alerts nobody: runs have told since the backup.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def restore(*, source: Path, force: bool, quietly: bool, as_json: bool, data: Path | None) -> None:
    """Check a backup, bring it to the newest schema, put it into the data folder and publish it.

    Nothing is changed if it is damaged. The exit code is 1 if it was restored but could not be published.
    """
    from storage.database import Database  # noqa: PLC0415  DuckDB loads when it is needed
    from storage.folder import history_path, lock_data_folder  # noqa: PLC0415
    from storage.restore import restore as restore_backup  # noqa: PLC0415

    folder = load_settings(data=data).data
    with lock_data_folder(folder, wait=LONGEST_WAIT):
        done = restore_backup(source, folder, force=force, quietly=quietly)
        error = _publish(Database(history_path(folder)))
    if as_json:
        click.echo(json.dumps({**asdict(done), "publish_error": error}, default=str))
    else:
        _print(done, error)
    sys.exit(1 if error else 0)


def _publish(database: Database) -> str | None:
    from storage.publish import publish  # noqa: PLC0415

    try:
        publish(database, now=datetime.now(UTC), full=True)
    except StorageError as error:
        return str(error)
    return None


def _print(done: Restored, error: str | None) -> None:
    made = (
        f"made at {done.made_at:%Y-%m-%d %H:%M} UTC" if done.made_at else "that does not say when it was made"
    )
    lines = [f"{done.path}", f"{done.rows:,} rows restored from a backup {made}."]
    if done.migrated:
        lines.append(f"{done.migrated} schema changes were made.")
    if done.doubtful:
        lines.append(f"{done.doubtful} alerts waited then: their channels are asked before they are sent.")
    if done.aside:
        lines.append(f"What was there before is kept as {done.aside}; remove it when all is well.")
    lines.append(f"NOT PUBLISHED: {error}" if error else "Published.")
    make_console().print("\n".join(lines))
