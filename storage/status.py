"""What tells whether all is well: runs, feeds, the outbox. Counts are over the whole history."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import duckdb

from storage.rows import as_utc


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run of `monitor`. `error` is what ended it, `seconds` wall time by step."""

    state: str
    started_at: datetime
    finished_at: datetime | None
    error: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """`succeeded_at` is when a run last completed. `overdue` feeds were due an hour ago or more.

    `feeds` counts those polled within a day by health, `alerts` by state, `fetches` by outcome.
    `oldest_waiting` is when the oldest alert was decided that is due and not delivered. `latency` counts the
    alerts delivered within 30 days by seconds (upper bounds) from first sight of the article to delivery.
    """

    last_run: LastRun | None = None
    succeeded_at: datetime | None = None
    failed_in_a_row: int = 0
    feeds: dict[str, int] = field(default_factory=dict)
    overdue: int = 0
    fetches: dict[str, int] = field(default_factory=dict)
    articles: int = 0
    scores: int = 0
    alerts: dict[str, int] = field(default_factory=dict)
    oldest_waiting: datetime | None = None
    troubles: tuple[str, ...] = ()
    latency: dict[float, int] = field(default_factory=dict)
    latency_sum: float = 0.0


BOUNDS = (5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0)


_RUNS = """
    SELECT state, started_at, finished_at, report
    FROM runs WHERE flow = 'monitor' ORDER BY started_at DESC LIMIT 50
"""
_SUCCEEDED = """
    SELECT max(finished_at) FROM runs WHERE flow = 'monitor' AND state = 'completed'
"""
_HEALTH = """
    SELECT health, count(*) FROM feed_health
    WHERE polled_at >= $now - INTERVAL 1 DAY OR polled_at IS NULL GROUP BY health
"""
_OVERDUE = """
    SELECT count(*) FROM feeds
    WHERE next_poll_at < $now - INTERVAL 1 HOUR AND polled_at >= $now - INTERVAL 1 DAY
"""
# What waits for quiet hours to end, or was given up, does not wait for us.
_OLDEST_WAITING = """
    SELECT min(decided_at) FROM alerts
    WHERE state IN ('pending', 'sending') AND (retry_at IS NULL OR retry_at <= $now OR attempts > 0)
        OR state = 'failed' AND retry_at IS NOT NULL
"""
_LATENCY = """
    SELECT date_diff('millisecond', first_seen_at, delivered_at) / 1000.0 AS seconds
    FROM alerts JOIN articles USING (article_id)
    WHERE alerts.state = 'delivered' AND delivered_at >= $now - INTERVAL 30 DAY AND retry_at IS NULL
"""
_TROUBLES = "SELECT message FROM channel_troubles WHERE ended_at IS NULL ORDER BY since"


def load_status(con: duckdb.DuckDBPyConnection, now: datetime) -> StatusFacts:
    """Load the facts; `now` says what is overdue."""
    runs = con.execute(_RUNS).fetchall()
    ended = [row[0] for row in runs if row[0] != "running"]
    latency = [float(seconds) for (seconds,) in con.execute(_LATENCY, {"now": now}).fetchall()]
    return StatusFacts(
        last_run=_read_run(runs[0]) if runs else None,
        succeeded_at=as_utc(_one(con, _SUCCEEDED)),
        failed_in_a_row=next((at for at, state in enumerate(ended) if state == "completed"), len(ended)),
        feeds=dict(con.execute(_HEALTH, {"now": now}).fetchall()),
        overdue=_one(con, _OVERDUE, now),
        fetches=dict(con.execute("SELECT outcome, count(*) FROM fetches GROUP BY outcome").fetchall()),
        articles=_one(con, "SELECT count(*) FROM articles"),
        scores=_one(con, "SELECT count(*) FROM scores"),
        alerts=dict(con.execute("SELECT state, count(*) FROM alerts GROUP BY state").fetchall()),
        oldest_waiting=as_utc(_one(con, _OLDEST_WAITING, now)),
        troubles=tuple(message for (message,) in con.execute(_TROUBLES).fetchall()),
        latency={bound: sum(seconds <= bound for seconds in latency) for bound in (*BOUNDS, math.inf)},
        latency_sum=sum(latency),
    )


def _one(con: duckdb.DuckDBPyConnection, query: str, now: datetime | None = None) -> Any:
    [(value,)] = con.execute(query, {} if now is None else {"now": now}).fetchall()
    return value


def _read_run(row: tuple[Any, ...]) -> LastRun:
    state, started_at, finished_at, report = row
    said = json.loads(report) if report else {}
    return LastRun(
        state, started_at.astimezone(UTC), as_utc(finished_at), said.get("error"), said.get("seconds", {})
    )
