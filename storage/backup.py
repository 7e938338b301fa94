"""Backups: the whole history in one file that says what it holds, checked after it was written."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from storage.compact import quote, require_room
from storage.database import Database, check_magic, connect
from storage.lake import is_lake
from storage.move import write_file
from storage.parquet import sync
from storage.problems import explain, explain_opening
from storage.size import measure_history
from storage.transaction import transaction
from tocsin.errors import StorageCorrupt, StorageError

log = logging.getLogger(__name__)

_CONTENTS = """
CREATE SCHEMA backup;
CREATE TABLE backup.facts (made_at TIMESTAMPTZ, duckdb VARCHAR, change INTEGER);
COMMENT ON TABLE backup.facts IS
    'One row: when the backup was made, by which DuckDB, and the newest schema change in it.';
CREATE TABLE backup.contents ("table" VARCHAR, "rows" BIGINT, fingerprint VARCHAR);
COMMENT ON TABLE backup.contents IS 'One row per table: how many rows it has, and the sum over their hashes.';
"""

Contents = dict[str, tuple[int, str]]
"""By table: its rows, and a sum over their hashes, which reads every block of the file."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup. `change`: the newest schema change in it; `made_at` is None where it does not say."""

    path: Path
    bytes: int
    rows: int
    tables: int
    change: int
    made_at: datetime | None


def back_up(db: Database, target: Path, *, now: datetime, force: bool = False) -> Backup:
    """Write the history, as it is, into one file; a folder as target gets a file named by the time.

    Hold the data folder's lock: nobody may write meanwhile. The file appears complete and checked, or not at
    all, and only its owner may read it: feeds' URLs may hold passwords.
    Raises: StorageError if the target is there already (without `force`), cannot be written, or differs.
    """
    source = db.require_path()
    with db.look() as con:  # also waits for whoever holds the file
        expected = read_contents(con)
    path = _name_file(target, now)
    if path.exists() and not force:
        raise StorageError(
            f"{path} exists already; name another file, or overwrite it with --force", path=path
        )
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        require_room(path.parent, measure_history(db).total)
        if is_lake(source):
            _write_privately(source, draft)
            expected = _read_file(draft)  # lists have other hashes than arrays; the rows were compared
        else:
            copy_history(source, draft)
        _write_contents(draft, expected, now)
        sync(draft)
        done = inspect(draft)
        _put(draft, path, force=force)
    except (duckdb.Error, OSError) as error:
        raise explain(error, path) from error
    finally:
        remove_parts(draft)
    log.info("history.backed_up path=%s bytes=%d rows=%d", path, done.bytes, done.rows)
    return Backup(path, done.bytes, done.rows, done.tables, done.change, done.made_at)


def inspect(path: Path) -> Backup:
    """Read all of a backup and compare it with what it says of itself; a plain copy says nothing.

    Raises: StorageCorrupt if it is damaged, cut or not a history; StorageError if it cannot be read.
    """
    if not path.is_file():
        raise StorageError(f"{path}: there is no such file", path=path)
    try:
        check_magic(path)
        con = _open_as_copy(path)
    except (duckdb.Error, OSError, StorageCorrupt) as error:
        raise _explain_damage(error, path) from error
    try:
        con.execute("SET TimeZone = 'UTC'")
        return _inspect(con, path)
    except duckdb.Error as error:
        raise _explain_damage(error, path) from error
    finally:
        con.close()


def _open_as_copy(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a file for reading under a name of ours: a file's own name may be that of a schema."""
    con = connect()
    try:
        con.execute(f"ATTACH {quote(path)} AS copy (READ_ONLY); USE copy")
    except duckdb.Error:
        con.close()
        raise
    return con


def _explain_damage(error: Exception, path: Path) -> StorageError:
    problem = error if isinstance(error, StorageCorrupt) else explain_opening(error, path)
    if not isinstance(problem, StorageCorrupt):
        return problem
    why = str(problem).partition("(")[2].partition(")")[0] or str(error)
    return StorageCorrupt(f"{path} is damaged, or not a backup ({why}). Use another backup.", path=path)


def _write_privately(source: Path, draft: Path) -> None:
    """Write a DuckLake's history into a file that nobody else can read at any moment."""
    with tempfile.TemporaryDirectory(dir=draft.parent, prefix=f"{draft.name}.") as folder:
        copy = Path(folder) / draft.name
        write_file(source, copy)
        copy.chmod(0o600)
        copy.replace(draft)


def _read_file(path: Path) -> Contents:
    with connect(path, read_only=True) as con:
        return read_contents(con)


def _inspect(con: duckdb.DuckDBPyConnection, path: Path) -> Backup:
    found = read_contents(con)
    if "schema_migrations" not in found:
        raise StorageCorrupt(f"{path} is not a backup of a history: it has no schema_migrations", path=path)
    [(change,)] = con.execute("SELECT max(number) FROM schema_migrations").fetchall()
    made_at = None
    if _has_facts(con):
        [(made_at, version, _)] = con.execute("FROM backup.facts").fetchall()
        said = {name: (rows, total) for name, rows, total in con.execute("FROM backup.contents").fetchall()}
        compare(path, said, found, with_hashes=version == duckdb.__version__)
    rows = sum(count for count, _ in found.values())
    return Backup(path, path.stat().st_size, rows, len(found), change, made_at)


def compare(path: Path, said: Contents, found: Contents, *, with_hashes: bool) -> None:
    """Raise StorageCorrupt if a file does not hold what it should. Hashes differ between DuckDB versions."""
    wrong = [
        f"{name} has {found.get(name, (0, ''))[0]:,} rows of {rows:,}"
        if found.get(name, (0, ""))[0] != rows
        else f"{name} has other rows"
        for name, (rows, total) in said.items()
        if found.get(name, (0, ""))[0] != rows or (with_hashes and found[name][1] != total)
    ]
    if wrong:
        raise StorageCorrupt(f"{path} does not hold what was backed up: {'; '.join(wrong[:3])}", path=path)


def read_contents(con: duckdb.DuckDBPyConnection) -> Contents:
    """Count the rows of every table of the database in use and sum their hashes: reads all of it."""
    names = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name = 'main' AND NOT internal ORDER BY ALL"
    ).fetchall()
    found: Contents = {}
    for (name,) in names:
        [(rows, total)] = con.execute(
            f'SELECT count(*), CAST(sum(hash({name})) AS VARCHAR) FROM "{name}"'  # noqa: S608
        ).fetchall()
        found[name] = (rows, total or "0")
    return found


def copy_history(source: Path, draft: Path) -> None:
    """Copy a history with its write-ahead log, if a killed run left one, into one file of its own."""
    remove_parts(draft)
    for suffix in ("", ".wal"):
        part = source.with_name(source.name + suffix)
        if part.exists():
            copy = draft.with_name(draft.name + suffix)
            copy.touch(mode=0o600)
            shutil.copyfile(part, copy)
    with connect() as con:
        con.execute(f"ATTACH {quote(draft)} AS copy; CHECKPOINT copy; DETACH copy")


def _write_contents(draft: Path, contents: Contents, now: datetime) -> None:
    rows = [(name, count, total) for name, (count, total) in contents.items()]
    with connect() as con:
        con.execute(f"ATTACH {quote(draft)} AS copy; USE copy")
        with transaction(con):
            drop_contents(con)
            con.execute(_CONTENTS)
            con.execute(
                "INSERT INTO backup.facts SELECT ?, ?, max(number) FROM schema_migrations",
                [now, duckdb.__version__],
            )
            con.executemany("INSERT INTO backup.contents VALUES (?, ?, ?)", rows)
        con.execute("CHECKPOINT copy; USE memory; DETACH copy")


def drop_contents(con: duckdb.DuckDBPyConnection) -> None:
    """Remove from a history what only a backup has."""
    con.execute("DROP SCHEMA IF EXISTS backup CASCADE")


def _has_facts(con: duckdb.DuckDBPyConnection) -> bool:
    found = con.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name = 'backup' AND table_name = 'facts'"
    ).fetchone()
    return found is not None


def _name_file(target: Path, now: datetime) -> Path:
    return target / f"tocsin-{now:%Y%m%dT%H%M%SZ}.duckdb" if target.is_dir() else target


def _put(draft: Path, path: Path, *, force: bool) -> None:
    if force:
        draft.replace(path)
    else:
        _put_beside(draft, path)
    with suppress(OSError):
        sync(path.parent)


def _put_beside(draft: Path, path: Path) -> None:
    """Put the file in place without ever replacing another one."""
    try:
        os.link(draft, path)
    except FileExistsError as error:
        raise StorageError(f"{path} exists already; it was left as it is", path=path) from error
    except OSError:  # a file system without hard links
        draft.rename(path)


def remove_parts(draft: Path) -> None:
    """Remove a draft with its write-ahead log."""
    for suffix in ("", ".wal"):
        with suppress(OSError):
            draft.with_name(draft.name + suffix).unlink(missing_ok=True)
