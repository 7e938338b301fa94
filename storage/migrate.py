"""Brings a database to the newest schema: numbered SQL files, forward only, each applied once."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

from storage.lake import adapt, find_views, speaks_lake, start_statistics
from storage.transaction import transaction
from tocsin.errors import StorageError

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent / "migrations"
_FILE_NAME = re.compile(r"^(\d{4})_(\w+)\.sql$")
_LEDGER = """
CREATE TABLE schema_migrations (
    number INTEGER NOT NULL, name VARCHAR NOT NULL, checksum VARCHAR NOT NULL, applied_at TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE schema_migrations IS 'Which schema changes this database has had.';
COMMENT ON COLUMN schema_migrations.number IS 'Number of the change; they are applied in order.';
COMMENT ON COLUMN schema_migrations.name IS 'Name of the change.';
COMMENT ON COLUMN schema_migrations.checksum IS 'SHA-256 of the SQL that was applied.';
COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied (UTC).';
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered change of the schema."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the SQL, the same whatever line ends a checkout has (`read_text` unifies them)."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def load_migrations(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """Read the numbered files of a folder, in order.

    Raises: StorageError if numbers are missing or doubled.
    """
    found = [(match, path) for path in folder.iterdir() if (match := _FILE_NAME.match(path.name))]
    migrations = sorted(
        (Migration(int(match[1]), match[2], path.read_text("utf-8")) for match, path in found),
        key=lambda migration: migration.number,
    )
    if [migration.number for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise StorageError(f"{folder} does not hold migrations numbered 1, 2, 3 … without gaps", path=folder)
    return tuple(migrations)


def pending_migrations(
    con: duckdb.DuckDBPyConnection, migrations: Sequence[Migration] | None = None
) -> tuple[Migration, ...]:
    """Return the migrations that the database still lacks, in order.

    Raises: StorageError if it was made by a newer Tocsin, by something else, or by other migrations.
    """
    known = load_migrations() if migrations is None else tuple(migrations)
    applied = _load_applied(con)
    for number, checksum in applied.items():
        _check_applied(number, checksum, known)
    return tuple(migration for migration in known if migration.number not in applied)


def migrate(con: duckdb.DuckDBPyConnection, migrations: Sequence[Migration] | None = None) -> int:
    """Apply what is missing in one transaction, all or nothing; return how many migrations that were."""
    pending = pending_migrations(con, migrations)
    if pending:
        has_ledger = _read_ledger(con) is not None
        with transaction(con):
            _apply(con, pending, has_ledger=has_ledger)
        if speaks_lake(con):
            start_statistics(con)
    return len(pending)


def _apply(con: duckdb.DuckDBPyConnection, pending: Sequence[Migration], *, has_ledger: bool) -> None:
    if not has_ledger:
        con.execute(_LEDGER)
    views = find_views(migration.sql for migration in load_migrations()) if speaks_lake(con) else None
    for migration in pending:
        con.execute(migration.sql if views is None else adapt(migration.sql, views))
        con.execute(
            "INSERT INTO schema_migrations VALUES (?, ?, ?, now())",
            [migration.number, migration.name, migration.checksum],
        )
        log.info("schema.migrated number=%d name=%s", migration.number, migration.name)


def _check_applied(number: int, checksum: str, known: Sequence[Migration]) -> None:
    by_number = {migration.number: migration for migration in known}
    if number not in by_number:
        raise StorageError(
            f"The history was written by a newer Tocsin (its schema has change {number}, this version knows "
            f"{len(known)}). Update Tocsin, or choose another TOCSIN_DATA."
        )
    if by_number[number].checksum != checksum:
        raise StorageError(
            f"The history was made with another form of schema change {number} ({by_number[number].name}). "
            "Use the Tocsin version that made it, or choose another TOCSIN_DATA."
        )


def _load_applied(con: duckdb.DuckDBPyConnection) -> dict[int, str]:
    ledger = _read_ledger(con)
    if ledger is not None:
        return ledger
    if tables := _list_tables(con):
        raise StorageError(
            f"The database holds tables that are not Tocsin's ({', '.join(sorted(tables)[:3])}). "
            "Choose another TOCSIN_DATA."
        )
    return {}


def _read_ledger(con: duckdb.DuckDBPyConnection) -> dict[int, str] | None:
    """Read number and checksum of what was applied; None if there is no ledger.

    Cheaper than listing the tables, but only outside a transaction: not finding it would void that.
    """
    try:
        return dict(con.execute("SELECT number, checksum FROM schema_migrations ORDER BY number").fetchall())
    except duckdb.CatalogException:
        return None


def _list_tables(con: duckdb.DuckDBPyConnection) -> set[str]:
    rows = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT internal"
    ).fetchall()
    return {name for (name,) in rows}
