"""Marks: which months of a table were changed after they were stored, so that they are published again."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb


def mark_changed(con: duckdb.DuckDBPyConnection, table: str, months: Iterable[str]) -> None:
    """Note that stored rows of a table that only grows otherwise were changed or removed in these months.

    Months are written as in 2026-11. Call it in the transaction that changes them: publishing finds new rows
    by itself, but not what became of old ones. Whoever removes articles marks their scores too.
    """
    for month in sorted(set(months)):
        con.execute(
            "INSERT INTO publication_marks (mark, table_name, month) "
            "SELECT coalesce(max(mark), 0) + 1, $table, $month FROM publication_marks",
            {"table": table, "month": month},
        )


def marked_months(con: duckdb.DuckDBPyConnection, *, after: int) -> tuple[int, dict[str, set[str]]]:
    """Give the newest mark, and the months of each table that were marked after that one."""
    rows = con.execute(
        "SELECT mark, table_name, month FROM publication_marks WHERE mark > ?", [after]
    ).fetchall()
    found: dict[str, set[str]] = {}
    for _, table, month in rows:
        found.setdefault(table, set()).add(month)
    return max((mark for mark, _, _ in rows), default=after), found
