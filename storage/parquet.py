"""Parquet files of the published history: written once, merged when they are many, removed late."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from storage.changes import Write, merge
from storage.manifest import PublishedFile
from storage.problems import explain
from storage.published_tables import DERIVED

log = logging.getLogger(__name__)

# A part may have so many files; one more and small ones are merged.
MOST_FILES = 12
# Parts that are no longer written to are merged into one file each, so many in one publication.
MOST_CLOSED = 4
# Files out of use are kept for readers that are still open: so many generations and so long.
GRACE_GENERATIONS = 2
GRACE = timedelta(hours=24)

_OPTIONS = "FORMAT parquet, COMPRESSION zstd"


class ParquetFolder:
    """The folder of Parquet files. Files made through one object are removed again by `give_up`."""

    def __init__(self, root: Path, generation: int) -> None:
        self.root = root
        self.generation = generation
        self._made: list[Path] = []

    def write(self, con: duckdb.DuckDBPyConnection, write: Write) -> PublishedFile | None:
        """Write rows into a new file that survives a loss of power; None if there were no rows."""
        name = f"{write.relation}/{write.part}/{self.generation:08d}-{secrets.token_hex(4)}.parquet"
        path = self.root / name
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.append(path)
            target = str(path).replace("'", "''")
            [(rows,)] = con.execute(f"COPY ({write.sql}) TO '{target}' ({_OPTIONS})").fetchall()
            if not rows:
                path.unlink(missing_ok=True)
                return None
            sync(path)
            size = path.stat().st_size
        return PublishedFile(name, write.relation, write.part, rows, size, self.generation, write.fingerprint)

    def merge(self, con: duckdb.DuckDBPyConnection, files: Sequence[PublishedFile]) -> PublishedFile | None:
        """Write the rows of several files of one part into one."""
        first = files[0]
        source = scan(self.root, files)
        columns = [row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]  # noqa: S608
        sql = merge(DERIVED.get(first.relation), columns, source)
        return self.write(con, Write(first.relation, first.part, sql, replaces=False))

    def give_up(self) -> None:
        """Remove what was made: nothing refers to it."""
        for path in self._made:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def is_whole(self, file: PublishedFile) -> bool:
        """Tell whether a file is there at its full length."""
        try:
            return (self.root / file.name).stat().st_size == file.bytes
        except OSError:
            return False

    def sweep(self, known: Iterable[str]) -> int:
        """Remove the files that no manifest knows: of killed publications, and out of use for long."""
        kept, removed = set(known), 0
        for path in self.root.glob("*/*/*.parquet"):
            if path.relative_to(self.root).as_posix() not in kept:
                with suppress(OSError):
                    path.unlink()
                    removed += 1
        return removed

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, OSError) as error:
            raise explain(error, self.root) from error


def scan(root: Path, files: Iterable[PublishedFile]) -> str:
    """Write the SQL that reads exactly these files."""
    names = ", ".join("'" + str(root / file.name).replace("'", "''") + "'" for file in files)
    return f"read_parquet([{names}], hive_partitioning = false)"


def choose_merges(files: Iterable[PublishedFile]) -> list[list[PublishedFile]]:
    """Choose which files become one: small ones of parts with too many, all of some parts that are closed.

    A file joins smaller ones only when they have a quarter of its rows together, so that a row is rewritten a
    few times in its life however many publications there are.
    """
    parts: dict[tuple[str, str], list[PublishedFile]] = {}
    for file in files:
        parts.setdefault((file.relation, file.part), []).append(file)
    newest: dict[str, str] = {}
    for relation, part in parts:
        newest[relation] = max(part, newest.get(relation, ""))
    closed = [group for key, group in sorted(parts.items()) if len(group) > 1 and key[1] != newest[key[0]]]
    crowded = [group for key, group in parts.items() if len(group) > MOST_FILES and group not in closed]
    return [*closed[:MOST_CLOSED], *(_choose_small(group) for group in crowded)]


def _choose_small(files: Sequence[PublishedFile]) -> list[PublishedFile]:
    ordered = sorted(files, key=lambda file: file.rows)
    chosen, total = ordered[:2], ordered[0].rows + ordered[1].rows
    for file in ordered[2:]:
        if file.rows > 4 * total:
            break
        chosen.append(file)
        total += file.rows
    return chosen


def retire(file: PublishedFile, generation: int, now: datetime) -> PublishedFile:
    """Take a file out of use; it stays for those who still read it."""
    return replace(file, retired=generation, retired_at=now)


def is_forgotten(file: PublishedFile, generation: int, now: datetime) -> bool:
    """Tell whether a file has been out of use for so long that it can go."""
    if file.retired is None or file.retired_at is None:
        return False
    return generation - file.retired >= GRACE_GENERATIONS and now - file.retired_at >= GRACE


def sync(path: Path) -> None:
    """Have the disk hold a file or folder, so that a loss of power cannot take what is referred to."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
