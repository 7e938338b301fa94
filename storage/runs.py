"""Runs: which flows ran when, how they ended, and what they reported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import duckdb

RunEnd = Literal["completed", "failed"]


def start_run(con: duckdb.DuckDBPyConnection, run_id: str, flow: str, *, now: datetime) -> int:
    """Record that a run starts; runs that never finished are marked abandoned. Returns how many those were.

    A run that starts again under its id (a retry) keeps its first start.
    """
    abandoned = con.execute(
        "UPDATE runs SET state = 'abandoned', finished_at = $now "
        "WHERE state = 'running' AND run_id <> $run_id",
        {"now": now, "run_id": run_id},
    ).fetchall()
    con.execute(
        "UPDATE runs SET state = 'running', finished_at = NULL, report = NULL WHERE run_id = ?", [run_id]
    )
    con.execute(
        """
        INSERT INTO runs (run_id, flow, started_at, state)
        SELECT $run_id, $flow, $now, 'running' WHERE $run_id NOT IN (SELECT run_id FROM runs)
        """,
        {"run_id": run_id, "flow": flow, "now": now},
    )
    return int(abandoned[0][0])


def finish_run(
    con: duckdb.DuckDBPyConnection,
    run_id: str,
    state: RunEnd,
    *,
    report: Mapping[str, object],
    now: datetime,
) -> None:
    """Record how a run ended and what it reports (values that JSON knows), even if it was given up."""
    con.execute(
        "UPDATE runs SET state = ?, finished_at = ?, report = ? WHERE run_id = ?",
        [state, now, json.dumps(report), run_id],
    )
