"""`tocsin check`: whether the history is whole, and what to do where it is not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from tocsin.cli.backup import LONGEST_WAIT
from tocsin.cli.screen import make_console
from tocsin.errors import StorageBusy, StorageError
from tocsin.settings import load_settings

_STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def check(*, as_json: bool, data: Path | None) -> None:
    """Read all that is stored and published, and say what does not fit; nothing is changed.

    The exit code is 1 if something is wrong; what is only worth knowing is a note.
    """
    from storage.database import Database  # noqa: PLC0415  DuckDB loads when it is needed
    from storage.folder import history_path  # noqa: PLC0415
    from storage.integrity import check_history  # noqa: PLC0415

    folder = load_settings(data=data).data
    database = Database(history_path(folder))
    database.require_history()
    with _locked_if_possible(folder):
        findings = check_history(database)
    is_well = all(finding.state != "wrong" for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": is_well, "checks": [asdict(finding) for finding in findings]}))
    else:
        table = Table("check", "", "found", "what to do", header_style="bold")
        for each in findings:
            table.add_row(each.check, Text(each.state, style=_STYLES[each.state]), each.detail, each.advice)
        make_console().print(table)
    sys.exit(0 if is_well else 1)


@contextmanager
def _locked_if_possible(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; a folder that nobody can write to needs none."""
    from storage.folder import lock_data_folder  # noqa: PLC0415

    lock = lock_data_folder(folder, wait=LONGEST_WAIT)
    try:
        lock.__enter__()
    except StorageBusy:
        raise
    except StorageError:
        yield
        return
    try:
        yield
    finally:
        lock.__exit__(None, None, None)
