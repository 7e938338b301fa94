"""Moves a whole history between a DuckDB file and a DuckLake: in one transaction, verified before it ends."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb

from storage.database import ROW_GROUP, Database, connect
from storage.lake import NAME, attach_lake, is_lake, quote
from storage.migrate import migrate
from storage.parquet import sync
from storage.problems import explain
from storage.transaction import transaction
from storage.turns import Confirm, open_lake, take_turn
from tocsin.errors import StorageError
from tocsin.place import read_lake

log = logging.getLogger(__name__)

_ORIGIN = "origin"
_FILE = "moved"  # what a new file is called while it is written
_WAIT = timedelta(seconds=60)
_OWN = "schema_migrations"  # what an empty history has rows in


@dataclass(frozen=True, slots=True)
class MovedTable:
    """A table that was moved. `checksum` is the sum over the hashes of its rows, the same at both ends."""

    name: str
    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved, and from where to where."""

    source: Path
    target: Path
    tables: tuple[MovedTable, ...]

    @property
    def rows(self) -> int:
        """Rows in all tables."""
        return sum(table.rows for table in self.tables)


def move_history(source: Path, target: Path) -> Moved:
    """Copy a history to a place that has none yet; both are paths as `storage.folder.history_path` gives.

    Hold the locks of both data folders. The source stays as it is, but for a schema that was not the newest.
    Killed at any moment, the target is as empty as it was, and the call can be repeated.
    Raises: StorageError if the target is not empty or the copy differs, or what `Database.read` raises.
    """
    origin = Database(source)
    with origin.read():  # brings it to the newest schema
        pass
    origin.close()
    tables = _move(source, target) if is_lake(target) else write_file(source, target)
    done = Moved(source, target, tables)
    log.info("history.moved source=%s target=%s rows=%d", source, target, done.rows)
    return done


def write_file(source: Path, target: Path) -> tuple[MovedTable, ...]:
    """Write a history of the newest schema into a new DuckDB file, which appears complete or not at all."""
    if target.exists():
        raise StorageError(f"{target} exists already: a history is moved to an empty place only", path=target)
    for old in target.parent.glob(f"{target.name}.*.moving*"):
        old.unlink(missing_ok=True)
    draft = target.with_name(f"{target.name}.{os.getpid()}.moving")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        tables = _move(source, draft)
        sync(draft)
        os.link(draft, target)
    except OSError as error:
        raise explain(error, target) from error
    finally:
        for part in (draft, draft.with_name(f"{draft.name}.wal")):
            with suppress(OSError):
                part.unlink(missing_ok=True)
    return tables


def _move(source: Path, target: Path) -> tuple[MovedTable, ...]:
    try:
        with connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            _attach(con, source, _ORIGIN, read_only=True)
            _attach(con, target, NAME if is_lake(target) else _FILE, read_only=False)
            with _alone(con, target) as confirm:
                return _fill(con, confirm)
    except (duckdb.Error, OSError) as error:
        raise explain(error, target) from error


def _attach(con: duckdb.DuckDBPyConnection, path: Path, name: str, *, read_only: bool) -> None:
    if is_lake(path) and read_only:
        attach_lake(con, read_lake(path), name, create=False)
    elif is_lake(path):
        open_lake(con, read_lake(path), name, wait=_WAIT.total_seconds())
    elif read_only:
        con.execute(f"ATTACH {quote(str(path))} AS {name} (READ_ONLY)")
    else:
        con.execute(f"ATTACH {quote(str(path))} AS {name} (ROW_GROUP_SIZE {ROW_GROUP})")
    if not read_only:
        con.execute(f"USE {name}")


@contextmanager
def _alone(con: duckdb.DuckDBPyConnection, target: Path) -> Iterator[Confirm]:
    if not is_lake(target):
        yield lambda: None
        return
    with take_turn(con, read_lake(target), wait=_WAIT.total_seconds()) as confirm:
        yield confirm


def _fill(con: duckdb.DuckDBPyConnection, confirm: Confirm) -> tuple[MovedTable, ...]:
    """Copy all tables into the database in use, and compare them before that counts."""
    migrate(con)
    columns = _list_columns(con, _ORIGIN)
    with transaction(con):
        full = [name for name in columns if name != _OWN and _has_rows(con, name)]
        if full:
            raise StorageError(
                f"The target has rows already (in {', '.join(full[:3])}): "
                "a history is moved to an empty place only"
            )
        con.execute(f"DELETE FROM {_OWN}")  # noqa: S608 - names are ours
        copied = tuple(_copy(con, name, columns[name]) for name in columns)
        confirm()
        return copied


def _copy(con: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str]) -> MovedTable:
    con.execute(f"INSERT INTO {table} BY NAME FROM {_ORIGIN}.{table} ORDER BY rowid")
    was, now = (_weigh(con, place, columns) for place in (f"{_ORIGIN}.{table}", table))
    if was != now:
        raise StorageError(
            f"The copy of {table} differs ({now[0]:,} rows of {was[0]:,}); nothing was changed"
        )
    return MovedTable(table, *now)


def _weigh(con: duckdb.DuckDBPyConnection, place: str, columns: dict[str, str]) -> tuple[int, str]:
    """Count rows and sum their hashes, of values in the form that both kinds of database have."""
    values = ", ".join(
        f'CAST("{name}" AS FLOAT[])' if kind.startswith("FLOAT[") else f'CAST("{name}" AS VARCHAR)'
        for name, kind in sorted(columns.items())
    )
    [(rows, total)] = con.execute(
        f"SELECT count(*), CAST(sum(hash({values})) AS VARCHAR) FROM {place}"  # noqa: S608 - names are ours
    ).fetchall()
    return int(rows), str(total or "0")


def _has_rows(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    return bool(con.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall())  # noqa: S608 - names are ours


def _list_columns(con: duckdb.DuckDBPyConnection, database: str) -> dict[str, dict[str, str]]:
    """List the columns of every table with their types."""
    rows = con.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() JOIN ("
        "SELECT database_name, schema_name, table_name FROM duckdb_tables()"
        ") USING (database_name, schema_name, table_name) "
        "WHERE database_name = ? AND schema_name = 'main' AND NOT internal ORDER BY ALL",
        [database],
    ).fetchall()
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found
