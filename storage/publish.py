"""Publishing: history as Parquet by month and a file of views; only what changed, never half of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb

from storage.changes import Before, Catalog, Changes, find_changes
from storage.database import Database, connect
from storage.history_file import (
    PARQUET,
    Comments,
    published_path,
    read_catalog,
    read_comments,
    remove_drafts,
    swap_in,
)
from storage.manifest import Manifest, PublishedFile, load_manifest
from storage.marks import marked_months
from storage.parquet import ParquetFolder, choose_merges, is_forgotten, retire
from storage.problems import explain
from storage.published_tables import choose_tables
from tocsin.errors import StorageError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publication did. `rows` and `bytes` were written, `files` are in use now."""

    path: Path
    generation: int
    rows: int
    bytes: int
    files: int
    merged: int
    removed: int


def publish(db: Database, *, now: datetime, full: bool = False) -> Publication:
    """Publish what changed in the history since the last time, or all of it, beside its file.

    Hold the data folder's lock. Readers have the generation before until the new one is complete, and keep it
    for as long as they stay open (`storage.parquet` says how long). Killed at any moment, the next call goes
    on from the last complete generation and removes what is left over.

    Raises: StorageError if it cannot be written (what was published before stays), or `Database.read`.
    """
    path = published_path(db.require_path().parent)
    with connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        try:
            old = load_manifest(con, path) or Manifest()
            remove_drafts(path)
        except OSError as error:
            raise explain(error, path) from error
        parquet = ParquetFolder(path.parent / PARQUET, old.generation + 1)
        parquet.sweep(file.name for file in old.files)
        try:
            done, merged = _swap(con, db, old, parquet, _Order(path, now, full))
        except StorageError:  # anything else may come after the swap: what is left over then goes next time
            parquet.give_up()
            raise
    removed = parquet.sweep(file.name for file in done.files)
    report = _report(path, done, merged, removed)
    log.info("history.published generation=%d rows=%d bytes=%d", report.generation, report.rows, report.bytes)
    return report


@dataclass(frozen=True, slots=True)
class _Order:
    """What was asked of one publication."""

    path: Path
    now: datetime
    full: bool


def _swap(
    con: duckdb.DuckDBPyConnection, db: Database, old: Manifest, parquet: ParquetFolder, order: _Order
) -> tuple[Manifest, int]:
    draft, catalog, comments = _write_changes(db, old, parquet, full=order.full, now=order.now)
    files, merged = _merge(con, parquet, draft.files, order.now)
    done = replace(draft, published_at=order.now, folder=str(order.path.parent), files=tuple(files))
    swap_in(con, order.path, done, catalog, comments)
    return done, merged


def _write_changes(
    db: Database, old: Manifest, parquet: ParquetFolder, *, full: bool, now: datetime
) -> tuple[Manifest, Catalog, Comments]:
    """Write the rows that changed, in one look at the database."""
    with db.read() as con:
        catalog, comments = read_catalog(con), read_comments(con)
        history = _name_history(con)
        known = old if not full and old.history == history else replace(old, progress={})
        mark, marked = marked_months(con, after=known.mark if known.progress else 0)
        before = Before(known, _find_stale(known, parquet, marked))
        tables = choose_tables([name for name in catalog.columns if name not in catalog.views])
        files, progress = list(old.files), {}
        for table in tables:
            changes = find_changes(con, table, catalog, before)
            files = _apply(con, parquet, files, changes, now)
            progress.update({each.relation: each for each in changes.progress})
    generation = old.generation + 1
    files = _drop_unknown(files, progress, generation, now)
    draft = Manifest(generation=generation, history=history, mark=mark, files=tuple(files), progress=progress)
    return draft, catalog, comments


def _find_stale(known: Manifest, parquet: ParquetFolder, marked: dict[str, set[str]]) -> dict[str, set[str]]:
    """Find the parts to write anew: marked ones, with what is derived from them, those with a damaged file.

    All of them where there is nothing to go on from.
    """
    stale: dict[str, set[str]] = {}
    for table in choose_tables(list(marked)):
        for relation in (table.name, *(each.name for each in table.derived)):
            stale.setdefault(relation, set()).update(marked[table.name] if table.time else {"all"})
    for file in known.current:
        if not parquet.is_whole(file):
            log.warning("history.damaged file=%s", file.name)
        if not known.progress or not parquet.is_whole(file):
            stale.setdefault(file.relation, set()).add(file.part)
    return stale


def _apply(
    con: duckdb.DuckDBPyConnection,
    parquet: ParquetFolder,
    files: list[PublishedFile],
    changes: Changes,
    now: datetime,
) -> list[PublishedFile]:
    made = [parquet.write(con, write) for write in changes.writes]
    replaced = {(write.relation, write.part) for write in changes.writes if write.replaces}
    return [*_retire(files, replaced | set(changes.gone), parquet.generation, now), *filter(None, made)]


def _retire(
    files: Iterable[PublishedFile], parts: set[tuple[str, str]], generation: int, now: datetime
) -> list[PublishedFile]:
    return [
        retire(file, generation, now)
        if file.retired is None and (file.relation, file.part) in parts
        else file
        for file in files
    ]


def _drop_unknown(
    files: list[PublishedFile], relations: Iterable[str], generation: int, now: datetime
) -> list[PublishedFile]:
    """Take the files of tables that are no longer there out of use, and forget those out of use for long."""
    known = set(relations)
    gone = {(file.relation, file.part) for file in files if file.relation not in known}
    files = _retire(files, gone, generation, now)
    return [file for file in files if not is_forgotten(file, generation, now)]


def _merge(
    con: duckdb.DuckDBPyConnection, parquet: ParquetFolder, files: Iterable[PublishedFile], now: datetime
) -> tuple[list[PublishedFile], int]:
    """Merge small files; the live database is not needed, and not held, for that."""
    listed = list(files)
    merges = choose_merges(file for file in listed if file.retired is None)
    for group in merges:
        made = parquet.merge(con, group)
        out = {file.name for file in group}
        listed = [
            retire(file, parquet.generation, now) if file.name in out else file
            for file in listed
            if file.name not in out or file.generation < parquet.generation  # else nobody ever saw it
        ]
        listed += [made] if made else []
    return listed, len(merges)


def _name_history(con: duckdb.DuckDBPyConnection) -> str:
    """Tell this database from another that may take its place."""
    [(made_at,)] = con.execute("SELECT CAST(min(applied_at) AS VARCHAR) FROM schema_migrations").fetchall()
    return str(made_at)


def _report(path: Path, done: Manifest, merged: int, removed: int) -> Publication:
    written = [file for file in done.files if file.generation == done.generation]
    return Publication(
        path,
        done.generation,
        rows=sum(file.rows for file in written),
        bytes=sum(file.bytes for file in written),
        files=len(done.current),
        merged=merged,
        removed=removed,
    )
