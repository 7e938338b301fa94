"""People's own SQL: one statement, reading only, its answer as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from storage.database import Database
from storage.history_file import published_path, read_published
from tocsin.errors import QueryError


@dataclass(frozen=True, slots=True)
class QueryResult:
    """An answer. `types` are DuckDB's names; `is_cut`: there were more rows than the limit."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[object, ...]]
    is_cut: bool = False


def run_query(database: Database, sql: str, *, limit: int | None = None) -> QueryResult:
    """Answer one SQL statement from the history, with at most `limit` rows (None: all). Times are UTC.

    Raises: QueryError with DuckDB's message if it is refused, and what `Database.read` raises.
    """
    with database.read() as con:
        try:
            return _answer(con, sql, limit)
        except duckdb.Error as error:
            raise QueryError(f"The query was refused: {error}", path=database.path) from error


def query_published(folder: Path, sql: str, *, limit: int | None = None) -> QueryResult:
    """Answer one SQL statement from what was published in a data folder; no run waits for it.

    Raises: QueryError with DuckDB's message if it is refused, and what `read_published` raises.
    """
    with read_published(folder) as con:
        try:
            return _answer(con, sql, limit)
        except duckdb.Error as error:
            raise QueryError(f"The query was refused: {error}", path=published_path(folder)) from error


def _answer(con: duckdb.DuckDBPyConnection, sql: str, limit: int | None) -> QueryResult:
    statements = con.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"The query has {len(statements)} statements; give exactly one")
    if statements[0].type == duckdb.StatementType.TRANSACTION:
        raise QueryError("The query is refused: transactions are not a person's to begin or end here")
    con.execute(statements[0])
    description = con.description or []
    rows = con.fetchall() if limit is None else con.fetchmany(limit + 1)
    kept = rows if limit is None else rows[:limit]
    return QueryResult(
        columns=tuple(column[0] for column in description),
        types=tuple(str(column[1]) for column in description),
        rows=[tuple(_as_plain(value) for value in row) for row in kept],
        is_cut=len(kept) < len(rows),
    )


def _as_plain(value: object) -> object:
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value
