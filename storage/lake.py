"""What DuckLake needs that a DuckDB file does not: its extensions, its address, its dialect.

It lacks fixed-size arrays, RETURNING and comments on the columns of views; all else is the same SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb

from storage.extensions import load_installed
from storage.transaction import transaction
from tocsin.errors import StorageError
from tocsin.place import LAKE_NAME, LakeAddress

NAME = "lake"  # what an attached DuckLake is called: by it a connection is known to speak its dialect
CATALOG = f"__ducklake_metadata_{NAME}"  # what DuckLake calls its catalog's database then
INLINED = 200  # rows; smaller writes stay in the catalog until `compact`, instead of a Parquet file each
_BUSY_MS = 10_000  # how long SQLite waits for who commits
# Without them libpq waits for ever: for a server that does not answer, and for tables that another locked.
_BOUNDS = {"connect_timeout": "10", "tcp_user_timeout": "60000", "options": "'-c lock_timeout=30s'"}
_ARRAY = re.compile(r"\b(FLOAT|TINYINT)\[\d+\]")
_VIEW = re.compile(r"^CREATE (?:OR REPLACE )?VIEW (\w+)", re.MULTILINE)
_COLUMN_COMMENT = re.compile(
    r"^COMMENT ON COLUMN (\w+)\.(\w+) IS\s+'((?:[^']|'')*)'\s*;[ \t]*$", re.MULTILINE
)

ARRAYS: Mapping[tuple[str, str], str] = {("embeddings", "embedding"): "FLOAT[384]"}
"""Columns that are arrays in a file and lists in a DuckLake."""

_STATISTICS = """
INSERT INTO {catalog}.ducklake_table_column_stats (table_id, column_id)
SELECT table_id, column_id FROM {catalog}.ducklake_column
ANTI JOIN {catalog}.ducklake_table_stats USING (table_id)
WHERE end_snapshot IS NULL AND parent_column IS NULL;
INSERT INTO {catalog}.ducklake_table_stats (table_id, record_count, next_row_id, file_size_bytes)
SELECT table_id, 0, 0, 0 FROM {catalog}.ducklake_table
ANTI JOIN {catalog}.ducklake_table_stats USING (table_id)
WHERE end_snapshot IS NULL
"""

_ADVICE = (
    "A history in DuckLake takes DuckDB 1.5.5 with its extensions: install tocsin[ducklake] into an "
    "environment of its own, as docs/ducklake.md says."
)


def is_lake(path: Path | None) -> bool:
    """Tell whether a history's path stands for a DuckLake."""
    return path is not None and path.name == LAKE_NAME


def speaks_lake(con: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether the database in use is a DuckLake."""
    [(name,)] = con.execute("SELECT current_database()").fetchall()
    return bool(name == NAME)


def attach_lake(
    con: duckdb.DuckDBPyConnection, address: LakeAddress, name: str = NAME, *, create: bool = True
) -> None:
    """Attach a DuckLake, made if it is not there, unless `create` is false.

    Raises: StorageError if DuckDB has not the extensions; nothing is fetched from anywhere. And if it is not
    there and shall not be made: a lost catalog must not look like an empty history.
    """
    load_extensions(con, address)
    options = [f"DATA_PATH {quote(address.data)}", f"DATA_INLINING_ROW_LIMIT {INLINED}"]
    if not create:
        _require_catalog(address)
        options.append("CREATE_IF_NOT_EXISTS false")
    if address.kind == "sqlite":
        Path(address.catalog).parent.mkdir(parents=True, exist_ok=True)
        options += ["META_JOURNAL_MODE 'WAL'", f"META_BUSY_TIMEOUT {_BUSY_MS}"]  # readers never wait
    if "://" not in address.data:
        Path(address.data).mkdir(parents=True, exist_ok=True)
    place = f"ducklake:{address.kind}:{connection_of(address)}"
    try:
        con.execute(f"ATTACH {quote(place)} AS {name} ({', '.join(options)})")
    except duckdb.InvalidInputException as error:
        if "does not exist" in str(error):
            raise _no_history(address) from error
        raise
    # It answers min() and max() with rows that were removed in the transaction that wrote them (1.5.5).
    con.execute("SET disabled_optimizers = 'statistics_propagation'")


def connection_of(address: LakeAddress) -> str:
    """Give the catalog's place; a Postgres's with bounds, where the address sets none itself."""
    if address.kind == "sqlite":
        return address.catalog
    free = (f"{key}={value}" for key, value in _BOUNDS.items() if not _sets(address.catalog, key))
    return " ".join([address.catalog, *free])


def _sets(catalog: str, key: str) -> bool:
    return re.search(rf"(?:^|\s){key}\s*=", catalog) is not None


def start_statistics(con: duckdb.DuckDBPyConnection) -> None:
    """Give every table that has no rows yet the statistics of none, as DuckLake's specification has them.

    Without a record it asks the catalog for each column in each question: 90 ms for a table of 31 columns
    instead of 7. Changes nothing where a table has them; outside a transaction only.
    """
    with transaction(con):
        con.execute(_STATISTICS.format(catalog=CATALOG))


def load_extensions(con: duckdb.DuckDBPyConnection, address: LakeAddress) -> None:
    """Load what this DuckLake needs, from packages that were installed with Python's own means."""
    names = ["ducklake", f"{address.kind}_scanner"]
    if "://" in address.data:
        names.append("httpfs")
    load_installed(con, names, advice=_ADVICE)
    if "httpfs" in names:
        [(endpoint,)] = con.execute("SELECT current_setting('s3_endpoint')").fetchall()
        if endpoint and not endpoint.endswith("amazonaws.com"):  # others have no host name for each bucket
            con.execute("SET GLOBAL s3_url_style = 'path'")


def adapt(sql: str, views: Iterable[str]) -> str:
    """Write a migration as DuckLake knows it: arrays become lists, columns of `views` get no comments."""
    named = frozenset(views)

    def keep(match: re.Match[str]) -> str:
        return "" if match[1] in named else match[0]

    return _ARRAY.sub(r"\1[]", _COLUMN_COMMENT.sub(keep, sql))


def find_views(migrations: Iterable[str]) -> frozenset[str]:
    """Find the names of all views that migrations make."""
    return frozenset(name for sql in migrations for name in _VIEW.findall(sql))


def view_comments(migrations: Iterable[str]) -> dict[tuple[str, str], str]:
    """Read from the migrations what DuckLake cannot keep: comments by view and column."""
    texts = list(migrations)
    views = find_views(texts)
    return {
        (view, column): text.replace("''", "'")
        for sql in texts
        for view, column, text in _COLUMN_COMMENT.findall(sql)
        if view in views
    }


def _require_catalog(address: LakeAddress) -> None:
    if address.kind == "sqlite" and not Path(address.catalog).exists():  # SQLite would make an empty file
        raise _no_history(address)


def _no_history(address: LakeAddress) -> StorageError:
    return StorageError(
        f"{address} has no catalog, though a history was published from it here. "
        "Bring the catalog back, or begin anew with another local folder (local=…)."
    )


def quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
