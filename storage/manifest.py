"""The manifest: which files make up the published history, and how far into each table they reach.

It is kept inside history.duckdb, so that it and the views are swapped as one.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

SCHEMA = """
CREATE SCHEMA publication;
CREATE TABLE publication.facts (
    generation BIGINT, published_at TIMESTAMPTZ, folder VARCHAR, history VARCHAR, mark BIGINT
);
COMMENT ON TABLE publication.facts IS 'One row: what was published when, from where.';
CREATE TABLE publication.files (
    name VARCHAR, relation VARCHAR, part VARCHAR, "rows" BIGINT, bytes BIGINT, generation BIGINT,
    fingerprint VARCHAR, retired BIGINT, retired_at TIMESTAMPTZ
);
COMMENT ON TABLE publication.files IS
    'One row per Parquet file; those with retired are kept for readers that are still open.';
CREATE TABLE publication.progress (
    relation VARCHAR, signature VARCHAR, next_row BIGINT, "rows" BIGINT, anchor VARCHAR
);
COMMENT ON TABLE publication.progress IS
    'One row per published relation: its columns, and how far its table was read.';
"""


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A Parquet file, by its path below the folder. Nothing ever changes it.

    `retired` is the generation that no longer uses it. `fingerprint` tells what it was made from, where that
    is compared whole.
    """

    name: str
    relation: str
    part: str
    rows: int
    bytes: int
    generation: int
    fingerprint: str | None = None
    retired: int | None = None
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a relation was published: `next_row` is the first row that was not, `anchor` the last one."""

    relation: str
    signature: str
    next_row: int = 0
    rows: int = 0
    anchor: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """One generation of the published history. `history` tells which database it was made from."""

    generation: int = 0
    published_at: datetime | None = None
    folder: str = ""
    history: str = ""
    mark: int = 0
    files: tuple[PublishedFile, ...] = ()
    progress: dict[str, Progress] = field(default_factory=dict)

    @property
    def current(self) -> tuple[PublishedFile, ...]:
        """The files in use."""
        return tuple(file for file in self.files if file.retired is None)

    def parts(self, relation: str) -> dict[str, list[PublishedFile]]:
        """Group a relation's files in use by part."""
        found: dict[str, list[PublishedFile]] = {}
        for file in self.current:
            if file.relation == relation:
                found.setdefault(file.part, []).append(file)
        return found


def load_manifest(con: duckdb.DuckDBPyConnection, path: Path) -> Manifest | None:
    """Read the manifest in a history.duckdb, by a connection of no file; None if there is none to be read.

    Where somebody holds the file for writing a copy is read; what they write goes with the next swap.
    """
    if not path.exists():
        return None
    try:
        return _read_file(con, path)
    except duckdb.Error:
        with tempfile.TemporaryDirectory(prefix="tocsin-") as folder, suppress(duckdb.Error):
            copy = Path(folder) / "manifest.duckdb"
            shutil.copyfile(path, copy)
            return _read_file(con, copy)
    return None


def _read_file(con: duckdb.DuckDBPyConnection, path: Path) -> Manifest | None:
    place = str(path).replace("'", "''")
    con.execute(f"ATTACH '{place}' AS before (READ_ONLY)")
    try:
        con.execute("USE before")
        return _read(con)
    finally:
        con.execute("USE memory")
        con.execute("DETACH before")


def save_manifest(con: duckdb.DuckDBPyConnection, manifest: Manifest) -> None:
    """Write the manifest into a new history.duckdb."""
    con.execute(SCHEMA)
    facts = (
        manifest.generation,
        manifest.published_at,
        manifest.folder,
        manifest.history,
        manifest.mark,
    )
    _insert(con, "facts", [facts])
    _insert(con, "files", [tuple(getattr(each, name) for name in _FILE) for each in manifest.files])
    rows = [tuple(getattr(each, name) for name in _PROGRESS) for each in manifest.progress.values()]
    _insert(con, "progress", rows)


_FILE = PublishedFile.__slots__
_PROGRESS = Progress.__slots__


def _read(con: duckdb.DuckDBPyConnection) -> Manifest | None:
    facts = con.execute("FROM publication.facts").fetchone()
    if facts is None:
        return None
    rows = con.execute("FROM publication.files").fetchall()
    progress = [Progress(*row) for row in con.execute("FROM publication.progress").fetchall()]
    generation, published_at, folder, history, mark = facts
    return Manifest(
        generation,
        _utc(published_at),
        folder,
        history,
        mark,
        files=tuple(_read_row(row) for row in rows),
        progress={each.relation: each for each in progress},
    )


def _read_row(row: tuple[Any, ...]) -> PublishedFile:
    return PublishedFile(**dict(zip(_FILE, row, strict=True)) | {"retired_at": _utc(row[-1])})


def _insert(con: duckdb.DuckDBPyConnection, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    """Insert all rows in one statement: thousands one by one would take seconds."""
    listed = list(rows)
    if not listed:
        return
    marks = ", ".join("(" + ", ".join("?" * len(row)) + ")" for row in listed)
    con.execute(f"INSERT INTO publication.{table} VALUES {marks}", [value for row in listed for value in row])  # noqa: S608


def _utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)
