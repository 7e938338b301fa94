"""Trends of topics as people look at them: the figures of each day, read from the published history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import duckdb


@dataclass(frozen=True, slots=True)
class TrendDay:
    """One row of the view `topic_trend`; None: not to be said (see docs/trends.md)."""

    day: date
    topic: str
    matches: int
    articles: int
    share: float
    matches_7d: float | None
    matches_28d: float | None
    corrected_share: float | None
    corrected_share_7d: float | None
    corrected_change_7d: float | None
    panel: float
    z_score: float | None


_COLUMNS = ", ".join(TrendDay.__slots__)


def load_trends(
    con: duckdb.DuckDBPyConnection, *, topics: Sequence[str] = (), since: date | None = None
) -> list[TrendDay]:
    """Load trends of topics (none named: those in use) since a day (None: all), by topic, oldest first."""
    rows = con.execute(
        f"""
        SELECT {_COLUMNS} FROM topic_trend
        WHERE CASE WHEN len($topics) > 0 THEN list_contains($topics, topic)
            ELSE topic IN (SELECT topic FROM current_topics) END
            AND ($since IS NULL OR day >= $since)
        ORDER BY topic, day
        """,  # noqa: S608 - names are ours
        {"topics": list(topics), "since": since},
    ).fetchall()
    return [TrendDay(*row) for row in rows]
