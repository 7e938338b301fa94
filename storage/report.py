"""What a report page shows of the published history: counts by topic, outlet, day; stories, feeds, alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import duckdb

from storage.trends import TrendDay, load_trends

OUTLETS_SHOWN = 15
STORIES_SHOWN = 10  # of each topic
ALERTS_SHOWN = 300

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """All that a report says of the days from `since` to `until` (UTC, both included).

    `topics` are those in use, in their order. `totals` counts articles, feeds, stories, matches and alerts;
    `weeks` has a row per Monday and topic, `outlets` one per outlet and topic for the outlets with most
    matches, `stories` the foremost of each topic, `alerts` the newest.
    """

    since: date
    until: date
    topics: Sequence[str]
    totals: Row
    days: Sequence[TrendDay]
    weeks: Sequence[Row]
    outlets: Sequence[Row]
    stories: Sequence[Row]
    feeds: Sequence[Row]
    alerts: Sequence[Row]


def load_report(con: duckdb.DuckDBPyConnection, *, since: date, until: date) -> ReportFacts:
    """Load what a report shows."""
    span = {"since": since, "until": until}
    topics = [
        topic for (topic,) in con.execute("SELECT topic FROM current_topics ORDER BY position").fetchall()
    ]
    days = [day for day in load_trends(con, since=since) if day.day <= until]
    [totals] = _rows(con, _TOTALS, span)
    return ReportFacts(
        since=since,
        until=until,
        topics=topics,
        totals=totals,
        days=days,
        weeks=_rows(con, _WEEKS, span),
        outlets=_rows(con, _OUTLETS, {**span, "most": OUTLETS_SHOWN}),
        stories=_rows(con, _STORIES, {**span, "most": STORIES_SHOWN}),
        feeds=_rows(con, _FEEDS, {}),
        alerts=_rows(con, _ALERTS, {**span, "most": ALERTS_SHOWN}),
    )


def _rows(con: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object]) -> list[Row]:
    found = con.execute(sql, parameters)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in found.fetchall()]


def _plain(value: object) -> object:
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


_TOTALS = """
SELECT
    (
        SELECT count(*) FROM articles
        WHERE CAST(first_seen_at AT TIME ZONE 'UTC' AS DATE) BETWEEN $since AND $until
    ) AS articles,
    (SELECT count(*) FROM feed_health) AS feeds,
    (SELECT count(*) FILTER (health <> 'ok') FROM feed_health) AS feeds_not_ok,
    (
        SELECT coalesce(sum(matches), 0) FROM topic_daily SEMI JOIN current_topics USING (topic)
        WHERE day BETWEEN $since AND $until
    ) AS matches,
    (
        SELECT count(DISTINCT story_id) FROM top_stories SEMI JOIN current_topics USING (topic)
        WHERE day BETWEEN $since AND $until
    ) AS stories,
    (
        SELECT count(*) FROM alerts
        WHERE CAST(decided_at AT TIME ZONE 'UTC' AS DATE) BETWEEN $since AND $until
    ) AS alerts
"""

_WEEKS = """
SELECT
    CAST(date_trunc('week', day) AS DATE) AS week, topic, CAST(sum(matches) AS BIGINT) AS matches,
    CAST(sum(articles) AS BIGINT) AS articles
FROM topic_daily SEMI JOIN current_topics USING (topic)
WHERE day BETWEEN $since AND $until
GROUP BY week, topic ORDER BY week, topic
"""

_OUTLETS = """
WITH counted AS (
    SELECT outlet, topic, CAST(sum(matches) AS BIGINT) AS matches, CAST(sum(articles) AS BIGINT) AS articles
    FROM outlet_daily SEMI JOIN current_topics USING (topic)
    WHERE day BETWEEN $since AND $until GROUP BY outlet, topic
),
foremost AS (
    SELECT outlet, sum(matches) AS total FROM counted
    GROUP BY outlet HAVING total > 0 ORDER BY total DESC, outlet LIMIT $most
)
SELECT counted.outlet, topic, matches, articles
FROM counted JOIN foremost ON foremost.outlet = counted.outlet
ORDER BY total DESC, counted.outlet, topic
"""

# A story may lead on several days: its outlets are those of its loudest day, its matches are summed.
_STORIES = """
WITH counted AS (
    SELECT
        topic, story_id, any_value(title) AS title, any_value(url) AS url, any_value(outlet) AS outlet,
        min(day) AS day, max(outlets) AS outlets, CAST(sum(matches) AS BIGINT) AS matches, max(score) AS score
    FROM top_stories SEMI JOIN current_topics USING (topic)
    WHERE day BETWEEN $since AND $until GROUP BY topic, story_id
)
SELECT topic, day, title, url, outlet, outlets, matches FROM counted
QUALIFY row_number() OVER (
    PARTITION BY topic ORDER BY outlets DESC, matches DESC, score DESC, story_id
) <= $most
ORDER BY outlets DESC, matches DESC, score DESC, story_id, topic
"""

_FEEDS = """
SELECT coalesce(title, outlet, url) AS feed, url, health, failures, last_message, succeeded_at, last_new_at
FROM feed_health ORDER BY health = 'ok', failures DESC, feed
"""

_ALERTS = """
SELECT decided_at, channel, topic, title, url, outlet, state, coalesce(cause, 'story') AS cause
FROM alerts WHERE CAST(decided_at AT TIME ZONE 'UTC' AS DATE) BETWEEN $since AND $until
ORDER BY decided_at DESC, alert_id LIMIT $most
"""
