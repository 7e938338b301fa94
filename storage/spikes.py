"""What spikes are decided on (volumes corrected for coverage, matched articles), and those that were told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from tocsin.types import Alert, LeadingStory, Spike

REFERENCE_DAYS = 28  # behind a feed's usual share: those before the newest, which must not excuse itself
DAYS = 57  # eight weeks and the newest day
_SHORT = 6  # hours


@dataclass(frozen=True, slots=True)
class SpikeQuestion:
    """What is asked before spikes are decided.

    `muted` outlets (in lower case) and articles dated more than `max_age` before we saw them (None: of any
    age) count for nothing; nor does a feed's first poll, which brings weeks of news at once.
    """

    now: datetime
    topics: Sequence[str]
    muted: Sequence[str] = ()
    max_age: timedelta | None = None

    def parameters(self, *, days: int = DAYS) -> dict[str, object]:
        """Give the parameters of `_SCORED`, for so many days up to now."""
        return {
            "now": self.now,
            "since": self.now - timedelta(days=days),
            "topics": list(self.topics),
            "muted": list(self.muted),
            "max_age": self.max_age,
        }


@dataclass(frozen=True, slots=True)
class MatchedArticle:
    """An article that matched a topic. `story_id` is its own id if it belongs to no story."""

    topic: str
    article_id: int
    story_id: int
    title: str
    url: str | None
    outlet: str
    first_seen_at: datetime


# Ages are counted back from now in whole days, so that a window is the same hours of every day.
_SCORED = """
    WITH versions AS (
        SELECT topic, version, any_value(threshold) AS threshold FROM topics GROUP BY topic, version
    ),
    scored AS (
        SELECT
            scores.topic, articles.article_id, articles.feed_url, articles.outlet, articles.title,
            articles.url, articles.first_seen_at, scores.score >= versions.threshold AS is_match,
            CAST($now AS TIMESTAMPTZ) - articles.first_seen_at AS age
        FROM scores
        JOIN versions ON versions.topic = scores.topic AND versions.version = scores.topic_version
        JOIN articles ON articles.article_id = scores.article_id
        LEFT JOIN feeds ON feeds.url = articles.feed_url
        WHERE scores.is_newest AND scores.topic IN (SELECT unnest(CAST($topics AS VARCHAR[])))
            AND scores.day >= CAST(CAST($since AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS DATE)
            AND articles.first_seen_at > CAST($since AS TIMESTAMPTZ)
            AND articles.first_seen_at <= CAST($now AS TIMESTAMPTZ)
            AND lower(articles.outlet) NOT IN (SELECT unnest(CAST($muted AS VARCHAR[])))
            AND (feeds.baseline_at IS NULL OR articles.first_seen_at > feeds.baseline_at)
            AND (
                $max_age IS NULL OR articles.published_at IS NULL
                OR articles.first_seen_at - articles.published_at <= CAST($max_age AS INTERVAL)
            )
    )
"""


def load_volumes(
    con: duckdb.DuckDBPyConnection, asked: SpikeQuestion
) -> list[tuple[str, int, int, int, float]]:
    """Load topic, hours (6 or 24), days ago, matches and expected matches of each window that ends now.

    Expected is corrected for coverage as in `topic_trend`: each feed's articles times its usual share, which
    is that of the 28 days before the newest day, drawn towards the topic's by as much as 5 articles weigh.
    """
    return con.execute(
        f"""
        {_SCORED},
        counted AS (
            SELECT
                topic, feed_url, CAST(floor(epoch(age) / 86400) AS INTEGER) AS days_ago,
                count(*) AS articles, count(*) FILTER (is_match) AS matches,
                count(*) FILTER (epoch(age) % 86400 < {_SHORT * 3600}) AS late_articles,
                count(*) FILTER (is_match AND epoch(age) % 86400 < {_SHORT * 3600}) AS late_matches
            FROM scored GROUP BY ALL
        ),
        overall AS (SELECT topic, sum(matches) / sum(articles) AS share FROM counted GROUP BY topic),
        usual AS (
            SELECT
                counted.topic, feed_url,
                (sum(matches) + 5 * any_value(overall.share)) / (sum(articles) + 5) AS share
            FROM counted JOIN overall ON overall.topic = counted.topic
            WHERE days_ago BETWEEN 1 AND {REFERENCE_DAYS} GROUP BY counted.topic, feed_url
        ),
        windows AS (
            SELECT topic, feed_url, 24 AS hours, days_ago, articles, matches FROM counted
            UNION ALL
            SELECT topic, feed_url, {_SHORT}, days_ago, late_articles, late_matches FROM counted
        )
        SELECT
            windows.topic, hours, days_ago, CAST(sum(matches) AS BIGINT),
            CAST(sum(articles * share) AS DOUBLE)
        FROM windows JOIN usual ON usual.topic = windows.topic AND usual.feed_url = windows.feed_url
        GROUP BY windows.topic, hours, days_ago ORDER BY ALL
        """,  # noqa: S608 - the text is ours
        asked.parameters(),
    ).fetchall()


def load_matched(con: duckdb.DuckDBPyConnection, asked: SpikeQuestion) -> list[MatchedArticle]:
    """Load the matches of the newest day, oldest first, of feeds that brought articles before."""
    rows: list[Any] = con.execute(
        f"""
        {_SCORED},
        known AS (
            SELECT DISTINCT feed_url FROM articles
            WHERE first_seen_at <= CAST($now AS TIMESTAMPTZ) - INTERVAL 1 DAY
                AND first_seen_at > CAST($now AS TIMESTAMPTZ) - INTERVAL 29 DAY
        )
        SELECT
            scored.topic, scored.article_id, coalesce(tied.story_id, scored.article_id), title, url, outlet,
            first_seen_at
        FROM scored
        SEMI JOIN known ON known.feed_url = scored.feed_url
        LEFT JOIN story_articles AS tied ON tied.article_id = scored.article_id
        WHERE is_match
        ORDER BY first_seen_at, scored.article_id
        """,  # noqa: S608 - the text is ours
        asked.parameters(days=1),
    ).fetchall()
    return [MatchedArticle(*(*row[:-1], row[-1].astimezone(UTC))) for row in rows]


def load_earlier(con: duckdb.DuckDBPyConnection, asked: SpikeQuestion) -> dict[str, list[tuple[str, str]]]:
    """Load by topic the outlets and headlines of the matches of the eight weeks before the newest day."""
    rows = con.execute(
        f"{_SCORED} SELECT topic, outlet, title FROM scored WHERE is_match AND age >= INTERVAL 1 DAY",  # noqa: S608
        asked.parameters(),
    ).fetchall()
    found: dict[str, list[tuple[str, str]]] = {topic: [] for topic in asked.topics}
    for topic, outlet, title in rows:
        found[topic].append((outlet, title))
    return found


def last_told(con: duckdb.DuckDBPyConnection) -> dict[str, datetime]:
    """Say by topic when its last spike was decided."""
    rows = con.execute("SELECT topic, max(decided_at) FROM spikes GROUP BY topic").fetchall()
    return {topic: at.astimezone(UTC) for topic, at in rows}


def store_spikes(con: duckdb.DuckDBPyConnection, run_id: str, alerts: Iterable[Alert]) -> None:
    """Store what the alerts of spikes tell; one that is there already stays as it is."""
    for alert in alerts:
        spike = alert.spike
        if (
            spike is None
            or con.execute("SELECT 1 FROM spikes WHERE alert_id = ?", [alert.alert_id]).fetchall()
        ):
            continue
        stories = json.dumps([asdict(story) for story in spike.stories])
        con.execute(
            "INSERT INTO spikes (alert_id, topic, channel, run_id, decided_at, began_at, hours, matches, "
            "usual, z_score, outlets, terms, stories) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(alert.alert_id, spike.topic, alert.channel, run_id, alert.decided_at, spike.began_at),
                *(spike.hours, spike.matches, spike.usual, spike.z_score, spike.outlets),
                *(list(spike.terms), stories),
            ],
        )


def with_spikes(con: duckdb.DuckDBPyConnection, alerts: Sequence[Alert]) -> list[Alert]:
    """Give back the alerts, in their order, those of spikes with what they tell."""
    ids = [alert.alert_id for alert in alerts if alert.cause == "spike"]
    if not ids:
        return list(alerts)
    rows: list[Any] = con.execute(
        "SELECT alert_id, topic, hours, matches, usual, z_score, outlets, began_at, stories, terms "
        "FROM spikes WHERE alert_id IN (SELECT unnest(CAST(? AS VARCHAR[])))",
        [ids],
    ).fetchall()
    spikes = {row[0]: _read(row) for row in rows}
    return [replace(alert, spike=spikes.get(alert.alert_id)) for alert in alerts]


def _read(row: tuple[Any, ...]) -> Spike:
    _, topic, hours, matches, usual, z_score, outlets, began_at, stories, terms = row
    return Spike(
        topic=topic,
        hours=hours,
        matches=matches,
        usual=usual,
        z_score=z_score,
        outlets=outlets,
        began_at=began_at.astimezone(UTC),
        stories=tuple(LeadingStory(**story) for story in json.loads(stories)),
        terms=tuple(terms),
    )
