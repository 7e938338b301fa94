"""Restoring: a backup, checked and brought to the newest schema, takes the place of the history."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from storage.backup import compare, copy_history, drop_contents, inspect, read_contents, remove_parts
from storage.compact import quote, require_room
from storage.database import connect
from storage.folder import history_path
from storage.history_file import PARQUET, published_path
from storage.lake import is_lake
from storage.migrate import migrate, pending_migrations
from storage.parquet import sync
from storage.problems import explain
from storage.transaction import transaction
from tocsin.errors import StorageError

log = logging.getLogger(__name__)

ASIDE = ".before-restore"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored. `migrated` changes of the schema were made; `aside` holds what was there before.

    `doubtful` alerts had not been sent when the backup was made; their channels are asked before they are.
    """

    path: Path
    rows: int
    made_at: datetime | None
    migrated: int
    doubtful: int
    aside: Path | None


def restore(source: Path, folder: Path, *, force: bool = False, quietly: bool = False) -> Restored:
    """Put a backup in the place of a data folder's history; publish it afterwards.

    Hold the folder's lock. Nothing is changed before the backup was read whole and brought to the newest
    schema; what was there is kept aside. `quietly`: the next poll of each feed alerts nobody, as its first
    poll did, because runs after the backup have told of it.
    Raises: StorageError if there is a history already (without `force`), the backup is damaged or of a newer
    Tocsin, or the folder cannot be written; the folder is as it was then.
    """
    path = history_path(folder)
    if is_lake(path):
        raise StorageError(
            f"{path}: a backup is restored into a file: choose an empty folder (--data), "
            "then move it with `tocsin migrate`",
            path=path,
        )
    backup = inspect(source)
    if not force and (found := _find_history(folder)):
        raise StorageError(
            f"{found} is there already: restore into another folder (--data), or replace it with --force "
            f"(it is kept as {path.name}{ASIDE} then)",
            path=found,
        )
    draft = path.with_name(f"{path.name}.{os.getpid()}.restore")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_drafts(path)
        require_room(folder, backup.bytes)
        copy_history(source, draft)
        migrated, doubtful = _prepare(draft, quietly=quietly)
        sync(draft)
        aside = _swap(draft, path)
    except (duckdb.Error, OSError) as error:
        raise explain(error, path) from error
    finally:
        remove_parts(draft)
    log.info("history.restored path=%s rows=%d migrated=%d", source, backup.rows, migrated)
    return Restored(path, backup.rows, backup.made_at, migrated, doubtful, aside)


def _find_history(folder: Path) -> Path | None:
    """Find what a data folder holds of a history; logs, locks and Prefect's state are none."""
    candidates = (history_path(folder), published_path(folder), folder / PARQUET)
    return next((path for path in candidates if path.exists()), None)


def _prepare(draft: Path, *, quietly: bool) -> tuple[int, int]:
    """Check the copy once more, bring it up to date, and doubt what may have been sent since."""
    with connect() as con:
        con.execute(f"SET TimeZone = 'UTC'; ATTACH {quote(draft)} AS copy; USE copy")
        pending_migrations(con)  # refuses what a newer Tocsin made
        before = read_contents(con)
        with transaction(con):
            drop_contents(con)
        migrated = migrate(con)
        after = read_contents(con)
        compare(draft, {name: before[name] for name in before if name != "schema_migrations"}, after,
                with_hashes=False)  # fmt: skip
        with transaction(con):
            doubtful = _doubt(con)
            if quietly:
                con.execute("UPDATE feeds SET baseline_at = NULL")
        con.execute("CHECKPOINT copy; USE memory; DETACH copy")
    return migrated, doubtful


def _doubt(con: duckdb.DuckDBPyConnection) -> int:
    """Mark what waited in the backup as being sent: then the channel is asked whether it arrived since."""
    waiting = 0
    for table in ("alerts", "digests"):
        rows = con.execute(
            f"UPDATE {table} SET state = 'sending' WHERE state = 'pending'"  # noqa: S608 - names are ours
        ).fetchall()
        waiting += rows[0][0]
    return waiting


def _swap(draft: Path, path: Path) -> Path | None:
    """Put the draft in place; what was there is kept aside, with its write-ahead log."""
    aside = None
    if path.exists():
        aside = _keep_aside(path)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)  # it is kept with the file that it belongs to
    draft.replace(path)
    with suppress(OSError):
        sync(path.parent)
    return aside


def _keep_aside(path: Path) -> Path:
    aside = path.with_name(path.name + ASIDE)
    remove_parts(aside)
    for suffix in ("", ".wal"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            os.link(part, aside.with_name(aside.name + suffix))
    return aside


def _remove_drafts(path: Path) -> None:
    for draft in path.parent.glob(f"{path.name}.*.restore*"):
        with suppress(OSError):
            draft.unlink()
