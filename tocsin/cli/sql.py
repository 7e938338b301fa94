"""`tocsin sql`: questions to the history."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from tocsin.cli.screen import make_console
from tocsin.settings import load_settings


@click.command()
@click.argument("query")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="json is one array of objects.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
@click.option("--live", is_flag=True, help="Ask the database of the runs: all tables, but it may be held.")
def sql(*, query: str, form: str, as_json: bool, data: Path | None, live: bool) -> None:
    """Answer QUERY (one SQL statement, DuckDB's dialect) from the published history. `-` reads it from stdin.

    Good first questions: SELECT * FROM matches LIMIT 5; DESCRIBE articles; SHOW TABLES.
    """
    from storage.database import Database  # noqa: PLC0415  DuckDB loads when it is needed
    from storage.folder import history_path  # noqa: PLC0415
    from storage.query import query_published, run_query  # noqa: PLC0415

    folder = load_settings(data=data).data
    text = sys.stdin.read() if query == "-" else query
    result = run_query(Database(history_path(folder)), text) if live else query_published(folder, text)
    writers = {"table": _write_table, "csv": _write_csv, "json": _write_json}
    writers["json" if as_json else form](result.columns, result.rows)


def _write_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    table = Table(*columns, header_style="bold")
    for row in rows:
        table.add_row(*(Text("" if value is None else _plain(value)) for value in row))
    console = make_console()
    console.print(table)
    console.print(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}")


def _write_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if value is None else _plain(value) for value in row] for row in rows)
    click.echo(buffer.getvalue(), nl=False)


def _write_json(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    objects = [dict(zip(columns, row, strict=True)) for row in rows]
    click.echo(json.dumps(objects, ensure_ascii=False, default=_for_json))


def _for_json(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
