"""How topics came to be as they are: every set that was in use, who made it when, and every definition."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

import duckdb

from tocsin.topic import Topic


class Edition(NamedTuple):
    """A set of topics that came into use: the version of each by name, in order, and who made it when."""

    number: int
    recorded_at: datetime
    recorded_by: str | None
    run_id: str
    versions: dict[str, str]


def load_editions(con: duckdb.DuckDBPyConnection) -> list[Edition]:
    """Load all sets of topics, oldest first."""
    rows = con.execute(
        "SELECT edition, recorded_at, recorded_by, run_id, topic, version FROM topic_sets "
        "ORDER BY edition, position"
    ).fetchall()
    return [
        Edition(number, at.astimezone(UTC), by, run_id, {row[4]: row[5] for row in group})
        for (number, at, by, run_id), group in groupby(rows, key=lambda row: row[:4])
    ]


def load_definitions(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], Topic]:
    """Load every definition that was ever in use, by name and version."""
    rows = con.execute(
        "SELECT topic, version, any_value(definition) FROM topics GROUP BY topic, version"
    ).fetchall()
    return {(name, version): Topic.model_validate_json(written) for name, version, written in rows}
