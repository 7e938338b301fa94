"""`tocsin import`: what an export holds and the history does not."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tocsin.settings import load_settings

if TYPE_CHECKING:
    from storage.exchange import Imported


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def import_(*, file: Path, as_json: bool, data: Path | None) -> None:
    """Add what FILE (of `tocsin export`) holds to the history. Nothing of it is ever alerted.

    What is stored already stays as it is: a second time adds nothing.
    """
    from storage import runs  # noqa: PLC0415  DuckDB loads when it is needed
    from storage.database import Database  # noqa: PLC0415
    from storage.exchange import import_history  # noqa: PLC0415
    from storage.folder import history_path, lock_data_folder  # noqa: PLC0415
    from storage.publish import publish  # noqa: PLC0415

    folder, run_id, now = load_settings(data=data).data, str(uuid.uuid4()), datetime.now(UTC)

    def add(con: Any) -> Imported:
        runs.start_run(con, run_id, "import", now=now)
        done = import_history(con, file, run_id=run_id, now=now)
        runs.finish_run(con, run_id, "completed", report=asdict(done), now=datetime.now(UTC))
        return done

    with lock_data_folder(folder):
        db = Database(history_path(folder))
        done = db.change(add)
        publish(db, now=now)
    if as_json:
        click.echo(json.dumps(asdict(done)))
        return
    click.echo(
        f"{file}: {done.articles:,} articles, of which {done.new_articles:,} are new; "
        f"{done.new_entries:,} entries and {done.new_scores:,} scores added. Nobody was alerted."
    )
