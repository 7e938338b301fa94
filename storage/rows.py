"""Records on their way into DuckDB: SQL reads them by the name `incoming`.

As lists, which DuckDB takes as parameters: for 500 rows that costs a tenth of an Arrow table and loads
neither pyarrow nor numpy. Embeddings and scores come as Arrow tables all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = "VARCHAR"
BIGINT = "BIGINT"
INTEGER = "INTEGER"
DOUBLE = "DOUBLE"
BOOLEAN = "BOOLEAN"
INSTANT = "TIMESTAMPTZ"
DURATION = "INTERVAL"
TEXTS = "VARCHAR[]"

# Names and their SQL types; both are ours, never from outside.
Columns = dict[str, str]


@dataclass(frozen=True, slots=True)
class Rows:
    """Records by column: a list of values for each of `columns`, all of one length."""

    columns: Columns
    values: list[list[Any]]


def build_rows(columns: Columns, rows: Iterable[Sequence[object]]) -> Rows:
    """Turn records (values in the order of `columns`) into rows for `incoming`."""
    values = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in columns]
    kinds = zip(values, columns.values(), strict=True)
    return Rows(columns, [_speakable(column) if kind in {TEXT, TEXTS} else column for column, kind in kinds])


def build_column(name: str, kind: str, values: Iterable[object]) -> Rows:
    """Turn values into rows of one column."""
    return build_rows({name: kind}, [(value,) for value in values])


@contextmanager
def incoming(con: duckdb.DuckDBPyConnection, rows: Rows | pa.Table) -> Iterator[None]:
    """Let SQL read `rows` under the name `incoming` for a while.

    After an error the name stays: the transaction is void then and refuses even to forget it.
    """
    if isinstance(rows, Rows):
        columns = ", ".join(f"CAST(unnest(?) AS {kind}) AS {name}" for name, kind in rows.columns.items())
        con.execute(f"CREATE TEMP TABLE incoming AS SELECT {columns}", rows.values)
        yield
        con.execute("DROP TABLE temp.incoming")
    else:
        con.register("incoming", rows)
        yield
        con.unregister("incoming")


def as_utc(value: datetime | None) -> datetime | None:
    """Give a time that DuckDB returned the standard library's UTC."""
    return None if value is None else value.astimezone(UTC)


def _speakable(values: list[Any]) -> list[Any]:
    """Replace lone surrogates, as a careless feed's JSON escapes can hold; UTF-8 has none."""
    try:
        for value in values:
            _encode(value)
    except UnicodeEncodeError:
        return [_replace_surrogates(value) for value in values]
    return values


def _encode(value: Any) -> None:
    if isinstance(value, str):
        value.encode()
    elif value is not None:
        "".join(value).encode()


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple):
        return [_replace_surrogates(item) for item in value]
    return value
