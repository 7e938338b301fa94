"""Compaction: the history copied into a new file that takes its place; removed rows alone free no disk."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from storage.database import ROW_GROUP, Database, connect
from storage.lake import is_lake
from storage.migrate import migrate
from storage.parquet import sync
from storage.problems import explain
from storage.size import measure_history
from storage.tend import tend
from storage.transaction import transaction
from tocsin.errors import StorageError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Compaction:
    """The size of the history in bytes, before and after."""

    before: int
    after: int


def compact(db: Database) -> Compaction:
    """Copy the history into a new file, check the copy, and swap it in; killed at any moment, one is whole.

    Hold the data folder's lock. It needs room for the copy; who has the file open keeps the old one.
    Raises: StorageError if it cannot be written or differs (the history stays as it is), or `Database.write`.
    """
    path = db.require_path()
    if is_lake(path):
        held = measure_history(db).total
        tend(db)
        return Compaction(held, measure_history(db).total)
    remove_drafts(path)
    _fold_log(db, path)
    before = path.stat().st_size
    draft = path.with_name(f"{path.name}.{os.getpid()}.compact")
    try:
        require_room(path.parent, before)
        _copy(path, draft)
        sync(draft)
        shutil.copymode(path, draft)
        if _log_of(path).exists():
            raise StorageError(
                f"{path} was written to while it was compacted; it was left as it is", path=path
            )
        draft.replace(path)
    except (duckdb.Error, OSError) as error:
        raise explain(error, path) from error
    finally:
        for part in (draft, _log_of(draft)):
            with suppress(OSError):
                part.unlink(missing_ok=True)
    with suppress(OSError):
        sync(path.parent)
    done = Compaction(before, path.stat().st_size)
    log.info("history.compacted before=%d after=%d", done.before, done.after)
    return done


def remove_drafts(path: Path) -> None:
    """Remove what killed compactions left beside the file."""
    for draft in path.parent.glob(f"{path.name}.*.compact*"):
        with suppress(OSError):
            draft.unlink()


def require_room(folder: Path, size: int) -> None:
    """Raise StorageError if the disk has less free than `size` bytes."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise StorageError(
            f"{folder}: the disk is too full for this: it needs {size / 1e6:,.0f} MB and has "
            f"{free / 1e6:,.0f} MB free. Nothing was changed.",
            path=folder,
        )


def _fold_log(db: Database, path: Path) -> None:
    """Have no write-ahead log beside the file: it would be taken for the new file's."""
    with db.write():
        pass
    with connect() as con:
        con.execute(f"ATTACH {quote(path)} AS folded; CHECKPOINT folded; DETACH folded")
    if _log_of(path).exists():
        raise StorageError(f"{_log_of(path)} could not be folded into the history", path=path)


def _copy(path: Path, draft: Path) -> None:
    """Write a file of the newest schema with the rows of the history, in the order that they have."""
    with connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(f"ATTACH {quote(path)} AS live (READ_ONLY)")
        con.execute(f"ATTACH {quote(draft)} AS fresh (ROW_GROUP_SIZE {ROW_GROUP}); USE fresh")
        migrate(con)
        with transaction(con):
            con.execute("DELETE FROM schema_migrations")
            for table in _list_tables(con, "live"):
                _copy_table(con, table)
        con.execute("CHECKPOINT fresh; USE memory; DETACH fresh; DETACH live")


def _copy_table(con: duckdb.DuckDBPyConnection, table: str) -> None:
    if table not in _list_tables(con, "fresh"):
        con.execute(f"CREATE TABLE fresh.{table} AS FROM live.{table}")
    else:
        con.execute(f"INSERT INTO fresh.{table} BY NAME FROM live.{table}")
    [(were, are)] = con.execute(
        f"SELECT (SELECT count(*) FROM live.{table}), (SELECT count(*) FROM fresh.{table})"  # noqa: S608
    ).fetchall()
    if were != are:
        raise StorageError(f"The copy of {table} has {are} rows instead of {were}; nothing was changed")


def _list_tables(con: duckdb.DuckDBPyConnection, database: str) -> list[str]:
    rows = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? "
        "AND schema_name = 'main' ORDER BY ALL",
        [database],
    ).fetchall()
    return [name for (name,) in rows]


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def quote(path: Path) -> str:
    """Write a path as SQL."""
    return "'" + str(path).replace("'", "''") + "'"
