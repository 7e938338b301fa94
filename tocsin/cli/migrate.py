"""`tocsin migrate`: a history moves from a DuckDB file to a DuckLake, or back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from tocsin.cli.backup import LONGEST_WAIT
from tocsin.cli.screen import make_console
from tocsin.errors import SettingsError
from tocsin.place import bind_lake, is_lake_url, split_place


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
def migrate(*, source: str, target: str, as_json: bool) -> None:
    """Copy the history of FROM to TO, which has none yet; each is a data folder or a DuckLake's URL.

    Every table is counted and summed at both ends before the copy counts. FROM stays as it is.
    """
    from storage.folder import history_path, lock_data_folder  # noqa: PLC0415  DuckDB loads when it is needed
    from storage.move import move_history  # noqa: PLC0415

    old, new = _find_folder(source), _find_folder(target)
    if old.resolve() == new.resolve():
        raise SettingsError(f"FROM and TO have one data folder, {old}; give TO another (local=…)")
    with lock_data_folder(old, wait=LONGEST_WAIT), lock_data_folder(new):
        done = move_history(history_path(old), history_path(new))
    if as_json:
        click.echo(json.dumps(asdict(done) | {"rows": done.rows}, default=str))
        return
    make_console().print(
        f"{done.rows:,} rows in {len(done.tables)} tables moved, each table counted and summed at both ends: "
        f"the same.\nUse it with TOCSIN_DATA={new}, and publish it: tocsin publish --data {new}"
    )


def _find_folder(place: str) -> Path:
    """Find the data folder of a place; a DuckLake's keeps its address from now on."""
    if not is_lake_url(place):
        return Path(place)
    address, folder = split_place(place)
    bind_lake(folder, address)
    return folder
