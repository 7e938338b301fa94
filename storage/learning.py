"""Whether people's labels count in the scores of a topic: every decision, of which the newest holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import duckdb


class Learning(NamedTuple):
    """A decision whether a topic's labels count. `report` is what was compared, None if nothing was."""

    topic: str
    uses_labels: bool
    decided_at: datetime
    decided_by: str
    report: dict[str, Any] | None = None


def record_learning(con: duckdb.DuckDBPyConnection, decided: Learning) -> None:
    """Record a decision; it holds from the next run on."""
    written = None if decided.report is None else json.dumps(decided.report)
    con.execute(
        "INSERT INTO learning (topic, uses_labels, decided_at, decided_by, report) VALUES (?, ?, ?, ?, ?)",
        [decided.topic, decided.uses_labels, decided.decided_at, decided.decided_by, written],
    )


def load_learning(con: duckdb.DuckDBPyConnection, topic: str) -> list[Learning]:
    """Load all decisions on a topic, oldest first."""
    rows = con.execute(
        "SELECT topic, uses_labels, decided_at, decided_by, report FROM learning WHERE topic = ? "
        "ORDER BY decided_at, rowid",
        [topic],
    ).fetchall()
    return [
        Learning(name, uses, at.astimezone(UTC), by, None if report is None else json.loads(report))
        for name, uses, at, by, report in rows
    ]


def learning_topics(con: duckdb.DuckDBPyConnection, topics: Sequence[str]) -> list[str]:
    """Keep those of the topics whose labels count: all on which nobody decided otherwise last."""
    held = _load_newest(con)
    return [topic for topic in topics if held.get(topic, True)]


def _load_newest(con: duckdb.DuckDBPyConnection) -> Mapping[str, bool]:
    rows = con.execute(
        "SELECT topic, uses_labels FROM learning "
        "QUALIFY row_number() OVER (PARTITION BY topic ORDER BY decided_at DESC, rowid DESC) = 1"
    ).fetchall()
    return dict(rows)
