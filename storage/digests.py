"""Digests: what a period brought per topic, and which digests were asked for and delivered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb

from storage.database import Database
from storage.rows import as_utc
from tocsin.errors import StorageError
from tocsin.telling import Digest, Period, TopicDigest, TopStory
from tocsin.types import Alert, AlertState, Delivery

# Claimed dates this much older than our first sight are a feed's past, not news: alerts leave them out too.
_OLDEST = timedelta(days=7)
CHART_DAYS = 7

# Matches of articles that we first saw between two times, each with its story; an article of none is its own.
_TOLD = """
    SELECT
        matches.topic, coalesce(tied.story_id, matches.article_id) AS story_id, matches.article_id,
        matches.score, matches.title, matches.url, matches.outlet, matches.first_seen_at, matches.day,
        least(coalesce(matches.published_at, matches.first_seen_at), matches.first_seen_at) AS told_at
    FROM matches LEFT JOIN story_articles AS tied ON tied.article_id = matches.article_id
    WHERE matches.topic IN (SELECT unnest($topics))
        AND matches.first_seen_at >= $start AND matches.first_seen_at < $until
        AND matches.first_seen_at - coalesce(matches.published_at, matches.first_seen_at) <= $oldest
"""


def chart_days(period: Period) -> tuple[date, ...]:
    """Give the seven days (UTC) that end with the period, oldest first."""
    last = (period.until - timedelta(microseconds=1)).date()
    return tuple(last - timedelta(days=back) for back in range(CHART_DAYS - 1, -1, -1))


def history_begins(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """Tell when the first article was seen; None before there is one."""
    (found,) = con.execute("SELECT min(first_seen_at) FROM articles").fetchall()
    return as_utc(found[0])


def load_topic_digests(
    con: duckdb.DuckDBPyConnection, topics: Sequence[str], period: Period, *, top: int
) -> tuple[TopicDigest, ...]:
    """Count per topic the stories of the period and of the one before, with the foremost `top`.

    In the order of `topics`. A story belongs to every period in which we first saw an article of it that
    matched; its outlets and score are those of the articles of that period.
    """
    counts, daily = _count(con, topics, period), _count_daily(con, topics, period)
    foremost = _load_top(con, topics, period, top)
    return tuple(
        TopicDigest(topic, *counts.get(topic, (0, 0, 0)), foremost.get(topic, ()), daily[topic])
        for topic in topics
    )


def _count(
    con: duckdb.DuckDBPyConnection, topics: Sequence[str], period: Period
) -> dict[str, tuple[int, int, int]]:
    rows = con.execute(
        f"""
        SELECT
            topic, count(DISTINCT story_id) FILTER (WHERE first_seen_at >= $since),
            count(DISTINCT story_id) FILTER (WHERE first_seen_at < $since),
            count(DISTINCT article_id) FILTER (WHERE first_seen_at >= $since)
        FROM ({_TOLD}) GROUP BY topic
        """,  # noqa: S608 - names are ours
        _bounds(topics, _before(period), period.until) | {"since": period.since},
    ).fetchall()
    return {topic: (stories, before, articles) for topic, stories, before, articles in rows}


def _load_top(
    con: duckdb.DuckDBPyConnection, topics: Sequence[str], period: Period, top: int
) -> dict[str, tuple[TopStory, ...]]:
    rows = con.execute(
        f"""
        WITH told AS ({_TOLD}),
        counted AS (
            SELECT topic, story_id, count(DISTINCT lower(outlet)) AS outlets, max(score) AS best
            FROM told GROUP BY topic, story_id
        ),
        foremost AS (
            FROM counted
            QUALIFY row_number() OVER (PARTITION BY topic ORDER BY outlets DESC, best DESC, story_id) <= $top
        ),
        first_told AS (
            SELECT topic, story_id, title, url, outlet FROM told
            QUALIFY row_number() OVER (PARTITION BY topic, story_id ORDER BY told_at, article_id) = 1
        )
        SELECT foremost.topic, foremost.story_id, title, url, outlet, outlets, best
        FROM foremost JOIN first_told
            ON first_told.topic = foremost.topic AND first_told.story_id = foremost.story_id
        ORDER BY foremost.topic, outlets DESC, best DESC, foremost.story_id
        """,  # noqa: S608 - names are ours
        _bounds(topics, period.since, period.until) | {"top": top},
    ).fetchall()
    found = defaultdict[str, list[TopStory]](list)
    for topic, *story in rows:
        found[topic].append(TopStory(*story))
    return {topic: tuple(stories) for topic, stories in found.items()}


def _count_daily(
    con: duckdb.DuckDBPyConnection, topics: Sequence[str], period: Period
) -> dict[str, tuple[int, ...]]:
    rows = con.execute(
        f"SELECT topic, day, count(DISTINCT story_id) FROM ({_TOLD}) GROUP BY topic, day",  # noqa: S608
        _bounds(topics, period.until - timedelta(days=CHART_DAYS), period.until),
    ).fetchall()
    counted = {(topic, day): count for topic, day, count in rows}
    return {topic: tuple(counted.get((topic, day), 0) for day in chart_days(period)) for topic in topics}


def _before(period: Period) -> datetime:
    return period.since - (period.until - period.since)


def _bounds(topics: Sequence[str], start: datetime, until: datetime) -> dict[str, Any]:
    return {"topics": list(topics), "start": start, "until": until, "oldest": _OLDEST}


# ---------------------------------------------------------------- what was asked for


def ask_for_digest(con: duckdb.DuckDBPyConnection, run_id: str, digest: Digest, now: datetime) -> None:
    """Record that a digest is wanted; one that was asked for before stays as it is."""
    con.execute(
        """
        INSERT INTO digests (
            digest_id, channel, period, since, until, decided_at, run_id, state, attempts
        )
        SELECT $digest_id, $channel, $period, $since, $until, $now, $run_id, 'pending', 0
        WHERE $digest_id NOT IN (SELECT digest_id FROM digests)
        """,
        {
            "digest_id": digest.digest_id,
            "channel": digest.channel,
            "period": digest.period.name,
            "since": digest.period.since,
            "until": digest.period.until,
            "now": now,
            "run_id": run_id,
        },
    )


def load_digest_states(
    con: duckdb.DuckDBPyConnection, digest_ids: Collection[str]
) -> dict[str, tuple[AlertState, str | None]]:
    """Load state and last error of the digests that were asked for, by id."""
    rows = con.execute(
        "SELECT digest_id, state, error FROM digests WHERE digest_id IN (SELECT unnest($ids))",
        {"ids": list(digest_ids)},
    ).fetchall()
    return {digest_id: (state, error) for digest_id, state, error in rows}


def load_waiting(con: duckdb.DuckDBPyConnection, since: datetime) -> list[tuple[str, Period]]:
    """Load channel and period of the digests of periods that ended since then and are not delivered."""
    rows = con.execute(
        "SELECT channel, period, since, until FROM digests WHERE state <> 'delivered' AND until >= ? "
        "ORDER BY since, channel",
        [since],
    ).fetchall()
    return [
        (
            channel,
            Period("weekly" if "W" in name else "daily", name, start.astimezone(UTC), end.astimezone(UTC)),
        )
        for channel, name, start, end in rows
    ]


class DigestOutbox:
    """Digests as an outbox of alerts, so that they are delivered by the same rules; an alert stands for each.

    It holds the digests of `digest_ids` alone. Whoever asks for a digest wants it now: `retry_at` is not
    waited for.
    """

    def __init__(self, database: Database, digest_ids: Iterable[str]) -> None:
        self._database = database
        self._ids = list(digest_ids)

    def load_due(self, now: datetime) -> list[Alert]:
        """Load what is not delivered yet, oldest first."""
        del now
        with self._database.read() as con:
            rows = con.execute(
                """
                SELECT digest_id, channel, period, decided_at, state, attempts FROM digests
                WHERE state <> 'delivered' AND digest_id IN (SELECT unnest($ids))
                ORDER BY decided_at, since, digest_id
                """,
                {"ids": self._ids},
            ).fetchall()
        return [_stand_in(row) for row in rows]

    def record(self, *deliveries: Delivery) -> None:
        """Record steps of sending, all or none; a delivered digest stays delivered.

        Raises: StorageError if there is no such digest.
        """

        def record(con: duckdb.DuckDBPyConnection) -> None:
            for delivery in deliveries:
                if not load_digest_states(con, [delivery.alert_id]):
                    raise StorageError(f"Digest {delivery.alert_id} was never asked for")
                _update(con, delivery)

        self._database.change(record)


def _stand_in(row: tuple[Any, ...]) -> Alert:
    digest_id, channel, period, decided_at, state, attempts = row
    return Alert(
        alert_id=digest_id,
        article_id=0,
        channel=channel,
        title=f"Digest {period}",
        url=None,
        outlet="Tocsin",
        published_at=None,
        decided_at=decided_at.astimezone(UTC),
        reasons=(),
        state=state,
        attempts=attempts,
    )


def _update(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> None:
    con.execute(
        """
        UPDATE digests SET
            state = $state,
            attempts = attempts + CAST($state = 'sending' AND state <> 'sending' AS INTEGER),
            retry_at = $retry_at,
            delivered_at = CASE WHEN $state = 'delivered' THEN CAST($at AS TIMESTAMPTZ) END,
            message_ts = coalesce($message_ts, message_ts),
            error = $error
        WHERE digest_id = $digest_id AND state <> 'delivered'
        """,
        {
            "state": delivery.state,
            "retry_at": delivery.retry_at,
            "at": delivery.attempted_at,
            "message_ts": delivery.message_ts,
            "error": delivery.error,
            "digest_id": delivery.alert_id,
        },
    )
