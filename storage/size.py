"""How much room a history takes: its file, or a DuckLake's Parquet files and catalog."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from storage.database import Database
from storage.lake import CATALOG, NAME, is_lake
from tocsin.place import LakeAddress, read_lake

_POSTGRES_SIZE = """
SELECT sum(pg_total_relation_size(oid))::BIGINT FROM pg_class WHERE relkind = 'r' AND relname ^@ 'ducklake_'
"""


@dataclass(frozen=True, slots=True)
class HistorySize:
    """Bytes of a history: of its file, or of the Parquet files in use (`files` many) and of the catalog.

    `folder` is where they lie if that is a folder of this machine.
    """

    data: int
    catalog: int = 0
    files: int = 0
    folder: Path | None = None

    @property
    def total(self) -> int:
        """All bytes."""
        return self.data + self.catalog


def measure_history(db: Database) -> HistorySize:
    """Measure what a history takes now, without what a DuckLake keeps a day longer for older readers.

    Raises: what `Database.look` raises.
    """
    path = db.require_path()
    if not is_lake(path):
        return HistorySize(path.stat().st_size, folder=path.parent)
    address = read_lake(path)
    with db.look() as con:
        [(data, files)] = con.execute(
            "SELECT coalesce(sum(file_size_bytes + delete_file_size_bytes), 0)::BIGINT, "
            "coalesce(sum(file_count + delete_file_count), 0)::BIGINT FROM ducklake_table_info(?)",
            [NAME],
        ).fetchall()
        catalog = _weigh_catalog(con, address)
    return HistorySize(data, catalog, files, None if "://" in address.data else Path(address.data))


def _weigh_catalog(con: duckdb.DuckDBPyConnection, address: LakeAddress) -> int:
    if address.kind == "sqlite":
        parts = (Path(f"{address.catalog}{suffix}") for suffix in ("", "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())
    [(size,)] = con.execute("FROM postgres_query(?, ?)", [CATALOG, _POSTGRES_SIZE]).fetchall()
    return int(size or 0)
