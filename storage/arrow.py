"""Bulk rows on their way into DuckDB: records become Arrow tables that SQL reads by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

TEXT = pa.string()
BIGINT = pa.int64()
INTEGER = pa.int32()
DOUBLE = pa.float64()
INSTANT = pa.timestamp("us", tz="UTC")
DURATION = pa.duration("us")
TEXTS = pa.list_(TEXT)

Columns = dict[str, pa.DataType]


def build_table(columns: Columns, rows: Iterable[Sequence[object]]) -> pa.Table:
    """Turn rows (values in the order of `columns`) into an Arrow table."""
    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    arrays = [_build_array(value, kind) for value, kind in zip(values, columns.values(), strict=True)]
    return pa.Table.from_arrays(arrays, names=list(columns))


@contextmanager
def incoming(con: duckdb.DuckDBPyConnection, table: pa.Table) -> Iterator[None]:
    """Let SQL read `table` under the name `incoming` for a while.

    After an error the name stays: the transaction is void then and refuses even to forget it.
    """
    con.register("incoming", table)
    yield
    con.unregister("incoming")


def as_utc(value: datetime | None) -> datetime | None:
    """Give a time that DuckDB returned the standard library's UTC."""
    return None if value is None else value.astimezone(UTC)


def _build_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array[Any]:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:  # lone surrogates, as a careless feed's JSON escapes can hold
        return pa.array([_replace_surrogates(value) for value in values], kind)


def _replace_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple):
        return [_replace_surrogates(item) for item in value]
    return value
