"""Updates of delivered messages: which messages tell of a story, and what they show by now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import duckdb

from storage.alerts import LOADED, read_alert
from storage.rows import as_utc
from tocsin.telling import ToldMessage, UpdateStep


def load_told_messages(con: duckdb.DuckDBPyConnection, since: datetime) -> list[ToldMessage]:
    """Load the messages delivered since then that first told a channel of a story, oldest first.

    A message that tells several alerts is left out, and so is one whose updates have ended.
    """
    rows = con.execute(
        f"""
        SELECT
            message_ts, delivered_at, coalesce(updates.shown, shown_outlets, alerts.outlets, 1),
            coalesce(updates.shown_at, delivered_at), updates.state, updates.retry_at, {LOADED}
        FROM (
            FROM alerts
            WHERE state = 'delivered' AND cause = 'story' AND story_id IS NOT NULL AND delivered_at >= $since
        ) AS alerts
        LEFT JOIN message_updates AS updates ON updates.alert_id = alerts.alert_id
        WHERE coalesce(updates.state, 'shown') <> 'ended' AND (channel, message_ts) IN (
            SELECT (channel, message_ts) FROM alerts
            WHERE state = 'delivered' AND delivered_at >= $since
            GROUP BY channel, message_ts HAVING count(*) = 1
        )
        ORDER BY delivered_at, alerts.alert_id
        """,  # noqa: S608 - names are ours
        {"since": since},
    ).fetchall()
    return [_read(row) for row in rows]


def record_updates(con: duckdb.DuckDBPyConnection, steps: Iterable[UpdateStep]) -> None:
    """Record steps in their order: what is decided, shown, put off or ended."""
    for step in steps:
        if not con.execute("SELECT 1 FROM message_updates WHERE alert_id = ?", [step.alert_id]).fetchall():
            con.execute(
                "INSERT INTO message_updates (alert_id, state, outlets, decided_at, attempts) "
                "VALUES (?, 'pending', ?, ?, 0)",
                [step.alert_id, step.outlets, step.at],
            )
        _update(con, step)


def _update(con: duckdb.DuckDBPyConnection, step: UpdateStep) -> None:
    is_attempt = step.state != "pending" or step.error is not None
    con.execute(
        """
        UPDATE message_updates SET
            state = $state,
            outlets = $outlets,
            decided_at = CASE WHEN $is_attempt THEN decided_at ELSE CAST($at AS TIMESTAMPTZ) END,
            shown = CASE WHEN $state = 'shown' THEN $outlets ELSE shown END,
            shown_at = CASE WHEN $state = 'shown' THEN CAST($at AS TIMESTAMPTZ) ELSE shown_at END,
            attempts = attempts + CAST($is_attempt AS INTEGER),
            retry_at = $retry_at,
            error = $error
        WHERE alert_id = $alert_id
        """,
        {
            "state": step.state,
            "outlets": step.outlets,
            "is_attempt": is_attempt,
            "at": step.at,
            "retry_at": step.retry_at,
            "error": step.error,
            "alert_id": step.alert_id,
        },
    )


def _read(row: tuple[Any, ...]) -> ToldMessage:
    message_ts, told_at, shown, shown_at, state, retry_at, *alert = row
    return ToldMessage(
        alert=read_alert(tuple(alert)),
        message_ts=message_ts,
        told_at=told_at.astimezone(UTC),
        shown=shown,
        shown_at=shown_at.astimezone(UTC),
        state=state,
        retry_at=as_utc(retry_at),
    )
