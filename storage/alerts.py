"""Alerts that were decided, and the outbox: which of them still have to be delivered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, get_args

import duckdb

from storage.database import Database
from storage.rows import (
    BIGINT,
    DOUBLE,
    INSTANT,
    INTEGER,
    TEXT,
    TEXTS,
    Columns,
    as_utc,
    build_column,
    build_rows,
    incoming,
)
from storage.spikes import with_spikes
from tocsin.errors import StorageError
from tocsin.types import Alert, AlertState, Delivery, Reason, Told

_ALERTS: Columns = {
    "alert_id": TEXT,
    "article_id": BIGINT,
    "channel": TEXT,
    "topic": TEXT,
    "topics": TEXTS,
    "score": DOUBLE,
    "title": TEXT,
    "url": TEXT,
    "outlet": TEXT,
    "published_at": INSTANT,
    "reasons": TEXT,
    "decided_at": INSTANT,
    "run_id": TEXT,
    "state": TEXT,
    "attempts": INTEGER,
    "story_id": BIGINT,
    "cause": TEXT,
    "outlets": INTEGER,
    "retry_at": INSTANT,
}
_ALERT_NAMES = ", ".join(_ALERTS)
# The outlets of a story are those of now, whatever was known when the alert was decided.
LOADED = """
    alerts.alert_id, alerts.article_id, alerts.channel, alerts.title, alerts.url, alerts.outlet,
    alerts.published_at, alerts.decided_at, alerts.reasons, alerts.state, alerts.attempts,
    alerts.story_id, coalesce(alerts.cause, 'story'), coalesce(alerts.outlets, 1),
    (
        SELECT list(DISTINCT articles.outlet)
        FROM story_articles AS tied JOIN articles ON articles.article_id = tied.article_id
        WHERE tied.story_id = alerts.story_id AND lower(articles.outlet) <> lower(alerts.outlet)
    ),
    CASE WHEN alerts.attempts = 0 THEN alerts.retry_at END
"""
# The messages that first told a channel of a story; one that tells several alerts has no thread of a story.
_FIRST_TOLD = """
    SELECT min(story_id) AS thread_story, channel AS thread_channel, message_ts AS thread_ts
    FROM alerts WHERE state = 'delivered' AND message_ts IS NOT NULL
    GROUP BY channel, message_ts HAVING count(*) = 1 AND min(coalesce(cause, 'story')) = 'story'
"""


def store_alerts(con: duckdb.DuckDBPyConnection, run_id: str, alerts: Iterable[Alert]) -> int:
    """Store decisions and return how many were new; an article is alerted to a channel only once.

    Nor is an id stored twice, and it says of which story, channel and cause an alert is.
    """
    rows = [_write_alert(alert, run_id) for alert in alerts]
    if not rows:
        return 0
    with incoming(con, build_rows(_ALERTS, rows)):
        added = con.execute(
            f"""
            INSERT INTO alerts ({_ALERT_NAMES})
            SELECT {_ALERT_NAMES}
            FROM (FROM incoming ANTI JOIN alerts USING (alert_id)) AS unknown
            ANTI JOIN alerts USING (article_id, channel)
            QUALIFY row_number() OVER (PARTITION BY article_id, channel ORDER BY decided_at, alert_id) = 1
            """  # noqa: S608 - names are ours
        ).fetchall()
    return int(added[0][0])


def alerted_pairs(con: duckdb.DuckDBPyConnection, article_ids: Sequence[int]) -> set[tuple[int, str]]:
    """Find the (article id, channel) pairs of these articles for which an alert was decided."""
    with incoming(con, build_column("article_id", BIGINT, article_ids)):
        rows = con.execute(
            "SELECT article_id, channel FROM alerts SEMI JOIN incoming USING (article_id)"
        ).fetchall()
    return set(rows)


def load_told(con: duckdb.DuckDBPyConnection, story_ids: Sequence[int]) -> dict[tuple[int, str], Told]:
    """Load what was decided to tell of these stories, by story id and channel.

    An alert from before there were stories counts for the story that began with its article.
    """
    with incoming(con, build_column("story_id", BIGINT, story_ids)):
        rows = con.execute(
            """
            SELECT
                incoming.story_id, channel, list(DISTINCT unnest.topic), max(coalesce(outlets, 1)),
                bool_or(coalesce(cause, 'story') = 'coverage')
            FROM incoming
            JOIN alerts ON coalesce(alerts.story_id, alerts.article_id) = incoming.story_id,
                unnest(alerts.topics) AS unnest(topic)
            GROUP BY incoming.story_id, channel
            """
        ).fetchall()
    return {
        (story, channel): Told(frozenset(told), outlets, for_coverage)
        for story, channel, told, outlets, for_coverage in rows
    }


def outbox_counts(con: duckdb.DuckDBPyConnection) -> dict[AlertState, int]:
    """Count the alerts by state; every state is there."""
    found = dict(con.execute("SELECT state, count(*) FROM alerts GROUP BY state").fetchall())
    return {state: found.get(state, 0) for state in get_args(AlertState)}


class DuckOutbox:
    """The outbox in the database; every use is a transaction of its own, durable when it returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load_due(self, now: datetime) -> list[Alert]:
        """Load the alerts to send now, oldest first: pending, left in sending, failed with a time to retry.

        None is due before its `retry_at`, nor before that of an alert which holds its channel; a failed
        alert without one is given up.
        """
        with self._database.read() as con:
            rows = con.execute(
                f"""
                SELECT {LOADED}, thread_ts FROM alerts
                LEFT JOIN ({_FIRST_TOLD}) AS threads ON
                    thread_story = story_id AND thread_channel = channel AND cause <> 'story'
                WHERE (
                    state IN ('pending', 'sending') AND (retry_at IS NULL OR retry_at <= $now)
                    OR state = 'failed' AND retry_at <= $now
                ) AND channel NOT IN (
                    SELECT channel FROM alerts
                    WHERE state <> 'delivered' AND holds_channel AND retry_at > $now
                )
                ORDER BY decided_at, alert_id
                """,  # noqa: S608 - names are ours
                {"now": now},
            ).fetchall()
            due = [replace(read_alert(row[:-1]), thread_ts=row[-1]) for row in rows]
            return with_spikes(con, due)

    def record(self, *deliveries: Delivery) -> None:
        """Record steps of sending, all or none. A delivered alert stays delivered, whatever comes later.

        Raises: StorageError if there is no such alert.
        """

        def record(con: duckdb.DuckDBPyConnection) -> None:
            for delivery in deliveries:
                _require_alert(con, delivery.alert_id)
                _record_step(con, delivery)
                _update_alert(con, delivery)

        self._database.change(record)


def _require_alert(con: duckdb.DuckDBPyConnection, alert_id: str) -> None:
    if not con.execute("SELECT 1 FROM alerts WHERE alert_id = ?", [alert_id]).fetchall():
        raise StorageError(f"Alert {alert_id} is not in the outbox")


def _record_step(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> None:
    con.execute(
        "INSERT INTO deliveries (alert_id, attempted_at, state, message_ts, error) VALUES (?, ?, ?, ?, ?)",
        [delivery.alert_id, delivery.attempted_at, delivery.state, delivery.message_ts, delivery.error],
    )


def _update_alert(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> None:
    # An attempt begins with `sending`, or with its end where nobody announced it.
    con.execute(
        """
        UPDATE alerts SET
            state = $state,
            attempts = attempts + CAST($state = 'sending' OR state <> 'sending' AS INTEGER),
            retry_at = $retry_at,
            holds_channel = $holds_channel,
            delivered_at = CASE WHEN $state = 'delivered' THEN CAST($attempted_at AS TIMESTAMPTZ) END,
            message_ts = coalesce($message_ts, message_ts),
            shown_outlets = coalesce($outlets, shown_outlets),
            error = $error
        WHERE alert_id = $alert_id AND state <> 'delivered'
        """,
        {
            "state": delivery.state,
            "retry_at": delivery.retry_at,
            "holds_channel": delivery.holds_channel,
            "attempted_at": delivery.attempted_at,
            "message_ts": delivery.message_ts,
            "outlets": delivery.outlets,
            "error": delivery.error,
            "alert_id": delivery.alert_id,
        },
    )


def _write_alert(alert: Alert, run_id: str) -> tuple[object, ...]:
    leading = alert.reasons[0] if alert.reasons else None
    return (
        alert.alert_id,
        alert.article_id,
        alert.channel,
        leading.topic if leading else alert.spike and alert.spike.topic,
        [reason.topic for reason in alert.reasons],
        leading and leading.score,
        alert.title,
        alert.url,
        alert.outlet,
        alert.published_at,
        json.dumps([_write_reason(reason) for reason in alert.reasons]),
        alert.decided_at,
        run_id,
        alert.state,
        alert.attempts,
        alert.story_id,
        alert.cause,
        alert.outlets,
        alert.hold_until,
    )


_ALWAYS = ("topic", "score", "sentence")


def _write_reason(reason: Reason) -> dict[str, object]:
    """Write what is known: what is empty is left out, and read back as empty."""
    fields = asdict(reason).items()
    return {name: value for name, value in fields if name in _ALWAYS or value not in ((), "", None)}


def _read_reason(written: dict[str, Any]) -> Reason:
    return Reason(**{**written, "words": tuple(written.get("words", ()))})


def read_alert(row: tuple[Any, ...]) -> Alert:
    """Read a row of `LOADED`."""
    alert_id, article_id, channel, title, url, outlet, published_at, decided_at, reasons, *rest = row
    state, attempts, story_id, cause, outlets, also_in, hold_until = rest
    return Alert(
        alert_id=alert_id,
        article_id=article_id,
        channel=channel,
        title=title,
        url=url,
        outlet=outlet,
        published_at=as_utc(published_at),
        decided_at=decided_at.astimezone(UTC),
        reasons=tuple(_read_reason(reason) for reason in json.loads(reasons)),
        state=state,
        attempts=attempts,
        story_id=story_id,
        cause=cause,
        outlets=outlets,
        also_in=_unlike(also_in or ()),
        hold_until=as_utc(hold_until),
    )


def _unlike(names: Iterable[str]) -> tuple[str, ...]:
    """Keep one spelling of each name, in alphabetical order."""
    spelt = {name.lower(): name for name in sorted(names, reverse=True)}
    return tuple(spelt[key] for key in sorted(spelt))
