"""Keeps a DuckLake small: many little files become few, and what no reader can ask for any more goes."""

from __future__ import annotations

from storage.database import Database
from storage.lake import NAME

KEPT = "INTERVAL 1 DAY"  # for who reads an older snapshot, and for files of writers that are still at it

_STEPS = (
    f"CALL ducklake_flush_inlined_data('{NAME}')",
    f"CALL ducklake_rewrite_data_files('{NAME}')",
    f"CALL ducklake_merge_adjacent_files('{NAME}')",
    f"CALL ducklake_expire_snapshots('{NAME}', older_than => now() - {KEPT})",
    f"CALL ducklake_cleanup_old_files('{NAME}', older_than => now() - {KEPT})",
    f"CALL ducklake_delete_orphaned_files('{NAME}', older_than => now() - {KEPT})",
)


def tend(db: Database) -> None:
    """Join small files and forget what is older than a day and out of use; readers go on meanwhile.

    Raises: what `Database.write` raises.
    """
    with db.alone() as con:
        for step in _STEPS:
            con.execute(step)
