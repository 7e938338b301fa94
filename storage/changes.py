"""What changed since the last publication: which rows of which table go into which new file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import duckdb

from storage.manifest import Manifest, Progress
from storage.published_tables import Derived, PublishedTable, select_column

WHOLE = "all"  # the part of a table that has no months


@dataclass(frozen=True, slots=True)
class Write:
    """Rows to write into a new file of a part. `replaces`: the part's other files go out of use."""

    relation: str
    part: str
    sql: str
    replaces: bool
    fingerprint: str | None = None


@dataclass(slots=True)
class Changes:
    """What to write, which parts are gone altogether, and the progress that stands for it."""

    writes: list[Write] = field(default_factory=list)
    gone: list[tuple[str, str]] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Before:
    """What was published before, and what of it cannot be relied on: `stale` names parts by relation."""

    manifest: Manifest
    stale: Mapping[str, set[str]]

    def parts(self, relation: str) -> dict[str, str | None]:
        """Give the fingerprint of each published part that can be relied on."""
        stale = self.stale.get(relation, set())
        parts = self.manifest.parts(relation)
        return {part: files[0].fingerprint for part, files in parts.items() if part not in stale}


@dataclass(frozen=True, slots=True)
class Catalog:
    """The live database's catalog: where its tables are, and their columns as (name, type)."""

    place: str
    columns: Mapping[str, list[tuple[str, str]]]
    views: Mapping[str, str]


def find_changes(
    con: duckdb.DuckDBPyConnection, table: PublishedTable, catalog: Catalog, before: Before
) -> Changes:
    """Find what to write of a table, and of what is derived from it."""
    return (
        _Growing(con, table, catalog, before).find() if table.grows else _compare(con, table, catalog, before)
    )


def sign(table: PublishedTable, catalog: Catalog) -> str:
    """Give what stays the same as long as the columns do; others mean that the table is published anew."""
    return _digest([select_column(table.name, name) + kind for name, kind in catalog.columns[table.name]])


def _compare(
    con: duckdb.DuckDBPyConnection, table: PublishedTable, catalog: Catalog, before: Before
) -> Changes:
    """Compare a table part by part with what it was, by a sum over hashes of rows."""
    signature, place = sign(table, catalog), f"{catalog.place}.{table.name}"
    what = f"hash({', '.join(table.compared)})" if table.compared else f"hash({table.name})"
    rows = con.execute(
        f"SELECT {_month(table)} AS part, count(*), CAST(sum({what}) AS VARCHAR) FROM {place} GROUP BY part"  # noqa: S608
    ).fetchall()
    now = {part: f"{signature} {count} {total}" for part, count, total in rows}
    known = before.parts(table.name)
    changes = Changes(progress=[Progress(table.name, signature)])
    for part, fingerprint in sorted(now.items()):
        if known.get(part) != fingerprint:
            sql = _select(table, catalog, _in_part(table, part))
            changes.writes.append(Write(table.name, part, sql, replaces=True, fingerprint=fingerprint))
    changes.gone = [(table.name, part) for part in before.manifest.parts(table.name) if part not in now]
    return changes


class _Growing:
    """Finds the new rows of a table that grows: by row id, checked by count and by the last row published."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, table: PublishedTable, catalog: Catalog, before: Before
    ) -> None:
        self._con, self._table, self._catalog, self._before = con, table, catalog, before
        self._place = f"{catalog.place}.{table.name}"

    def find(self) -> Changes:
        table, old = self._table, self._before.manifest.progress.get(self._table.name)
        signature = sign(table, self._catalog)
        is_same = old is not None and old.signature == signature and self._continues(old)
        since = old.next_row if old is not None and is_same else 0
        new = self._describe(signature, since)
        changes = Changes()
        self._plan(table.name, since, changes, is_anew=not is_same)
        for derived in table.derived:
            was = self._before.manifest.progress.get(derived.name)
            mine = _digest([signature, self._catalog.views[derived.name]])
            is_anew = not is_same or was is None or was.signature != mine
            self._plan(derived.name, since, changes, is_anew=is_anew)
            changes.progress.append(Progress(derived.name, mine))
        changes.progress.append(new)
        return changes

    def _continues(self, old: Progress) -> bool:
        """Tell whether the rows published before still are the first rows of the table."""
        [(total, new)] = self._con.execute(
            f"SELECT (SELECT count(*) FROM {self._place}), count(*) FROM {self._place} WHERE rowid >= ?",  # noqa: S608
            [old.next_row],
        ).fetchall()
        return total - new == old.rows and self._read_anchor(old.next_row) == old.anchor

    def _describe(self, signature: str, since: int) -> Progress:
        [(total, last)] = self._con.execute(
            f"SELECT (SELECT count(*) FROM {self._place}), max(rowid) FROM {self._place} WHERE rowid >= ?",  # noqa: S608
            [since],
        ).fetchall()
        next_row = since if last is None else last + 1
        return Progress(self._table.name, signature, next_row, total, self._read_anchor(next_row))

    def _read_anchor(self, next_row: int) -> str | None:
        columns = ", ".join(f"CAST({name} AS VARCHAR)" for name in self._table.anchor)
        row = self._con.execute(
            f"SELECT md5(concat_ws('|', {columns})) FROM {self._place} WHERE rowid = ?",  # noqa: S608
            [next_row - 1],
        ).fetchone()
        return None if row is None else str(row[0])

    def _plan(self, relation: str, since: int, changes: Changes, *, is_anew: bool) -> None:
        """Append new rows to their parts; write parts that were changed whole, and all if it is done anew."""
        stale = set(self._before.stale.get(relation, set()))
        if is_anew:
            parts = self._list_parts("true")
            stale = parts | set(self._before.manifest.parts(relation))
        else:
            parts = self._list_parts(f"rowid >= {since}")
        for part in sorted(parts | stale):
            where = _in_part(self._table, part)
            if part not in stale:
                where = f"rowid >= {since} AND {where}"
            sql = self._select(relation, where)
            changes.writes.append(Write(relation, part, sql, replaces=part in stale))

    def _list_parts(self, where: str) -> set[str]:
        rows = self._con.execute(
            f"SELECT DISTINCT {_month(self._table)} FROM {self._place} WHERE {where}"  # noqa: S608
        ).fetchall()
        return {part for (part,) in rows if part is not None}  # no day: the vector of no article

    def _select(self, relation: str, where: str) -> str:
        if relation == self._table.name:
            return _select(self._table, self._catalog, where)
        return derive(relation, self._table, self._catalog, where)


def derive(relation: str, table: PublishedTable, catalog: Catalog, where: str) -> str:
    """Write the SQL of a view over those rows of its table only: a name of WITH hides the table's own."""
    columns = [select_column(relation, name) for name, _ in catalog.columns[relation]]
    return (
        f"WITH {table.name} AS (SELECT * FROM {catalog.place}.{table.name} WHERE {where}) "  # noqa: S608
        f"SELECT {', '.join(columns)} FROM ({catalog.views[relation]})"
    )


def merge(derived: Derived | None, columns: Iterable[str], source: str) -> str:
    """Write the SQL that makes one file of several: rows as they are, counts added up."""
    if derived is None or not derived.sums:
        return f"SELECT * FROM {source}"  # noqa: S608
    parts = [f"CAST(sum({name}) AS BIGINT) AS {name}" if name in derived.sums else name for name in columns]
    return f"SELECT {', '.join(parts)} FROM {source} GROUP BY ALL"  # noqa: S608


def _select(table: PublishedTable, catalog: Catalog, where: str) -> str:
    columns = [select_column(table.name, name) for name, _ in catalog.columns[table.name]]
    return f"SELECT {', '.join(columns)} FROM {catalog.place}.{table.name} WHERE {where}"  # noqa: S608


def _month(table: PublishedTable) -> str:
    return f"'{WHOLE}'" if table.time is None else f"strftime(CAST({table.time} AS DATE), '%Y-%m')"


def _in_part(table: PublishedTable, part: str) -> str:
    """Write the condition for a part as a range of the column itself: by that stored blocks are skipped."""
    if table.time is None:
        return "true"
    year, month = map(int, part.split("-"))
    after = f"{year + month // 12:04d}-{month % 12 + 1:02d}"
    return f"{table.time} >= DATE '{part}-01' AND {table.time} < DATE '{after}-01'"


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
