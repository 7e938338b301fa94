"""The way of one article through the pipeline, as the history knows it: what a person asks "why" about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from storage.rows import as_utc

MOST_CANDIDATES = 10


@dataclass(frozen=True, slots=True)
class Candidate:
    """An article that a person may mean."""

    article_id: int
    title: str
    outlet: str
    url: str | None
    first_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class FeedFact:
    """How a feed fares, and when it was polled last."""

    url: str
    health: str
    message: str | None
    polled_at: datetime | None


@dataclass(frozen=True, slots=True)
class TopicWay:
    """What became of an article for one topic.

    `score` None: it has none. `threshold` is that of the topic now, or None if it is not watched any more.
    `rule` and what follows are of the last decision, None where none was recorded.
    """

    topic: str
    score: float | None
    threshold: float | None
    rule: str | None = None
    rings: bool = False
    explanation: str | None = None
    channel: str | None = None
    fitted: float | None = None
    outlets: int | None = None
    decided_at: datetime | None = None
    hold_until: datetime | None = None
    decisions: int = 0


@dataclass(frozen=True, slots=True)
class AlertWay:
    """An alert that told the article or its story. `is_of_article`: it shows this very article."""

    alert_id: str
    channel: str
    topics: tuple[str, ...]
    state: str
    decided_at: datetime | None
    delivered_at: datetime | None
    retry_at: datetime | None
    attempts: int
    error: str | None
    is_of_article: bool


@dataclass(frozen=True, slots=True)
class Way:
    """All that the history knows of an article's way.

    `feed` is the feed's title or None, `baseline_at` when its first poll was stored. `carried_by` are the
    feeds that had it. `unscored` says why it has no scores. `outlets` and `articles` are those of its story,
    None for `story_id` if it is in none.
    """

    article: Candidate
    published_at: datetime | None
    language: str | None
    feed_url: str
    feed: str | None
    baseline_at: datetime | None
    carried_by: tuple[str, ...]
    unscored: str | None
    story_id: int | None
    story_title: str | None
    outlets: tuple[str, ...]
    articles: int
    topics: tuple[TopicWay, ...]
    alerts: tuple[AlertWay, ...]


_CANDIDATE = "article_id, title, outlet, url, first_seen_at"


def find_by_id(con: duckdb.DuckDBPyConnection, article_ids: Sequence[int]) -> list[Candidate]:
    """Find articles by their ids, newest first."""
    return _find(con, "article_id IN (SELECT unnest(CAST($value AS BIGINT[])))", list(article_ids))


def find_by_address(con: duckdb.DuckDBPyConnection, url: str, key: int) -> list[Candidate]:
    """Find the articles with an address as a feed gave it, else those behind the identity of an address."""
    exact = _find(
        con,
        "url = $value OR article_id IN (SELECT article_id FROM entries WHERE entries.url = $value)",
        url,
    )
    return exact or _find(con, "article_id IN (SELECT article_id FROM seen WHERE key = $value)", key)


def find_by_words(con: duckdb.DuckDBPyConnection, words: Sequence[str]) -> list[Candidate]:
    """Find the articles whose headline holds all the words, newest first; of a whole headline only those."""
    whole = _find(con, "lower(title) = $value", " ".join(words).lower())
    each = " AND ".join(f"contains(lower(title), $value[{place}])" for place in range(1, len(words) + 1))
    return whole or _find(con, each, [word.lower() for word in words])


def find_feeds_of(con: duckdb.DuckDBPyConnection, host: str) -> list[FeedFact]:
    """Find the feeds of a host, or that brought articles of it, failing ones first; at most three."""
    rows = con.execute(
        """
        SELECT url, health, last_message, polled_at FROM feed_health
        WHERE contains(url, $host) OR url IN (SELECT feed_url FROM articles WHERE contains(url, $host))
        ORDER BY health = 'ok', url LIMIT 3
        """,
        {"host": f"//{host}/"},
    ).fetchall()
    return [FeedFact(url, health, message, as_utc(polled_at)) for url, health, message, polled_at in rows]


def _find(con: duckdb.DuckDBPyConnection, where: str, value: object) -> list[Candidate]:
    rows = con.execute(
        f"SELECT {_CANDIDATE} FROM articles WHERE {where} "  # noqa: S608 - the text is ours
        f"ORDER BY first_seen_at DESC, article_id LIMIT {MOST_CANDIDATES + 1}",
        {"value": value},
    ).fetchall()
    return [
        Candidate(article_id, title, outlet, url, as_utc(seen_at))
        for article_id, title, outlet, url, seen_at in rows
    ]


def load_way(con: duckdb.DuckDBPyConnection, article: Candidate) -> Way:
    """Load an article's way; an article that is not stored must not be asked for."""
    key = {"id": article.article_id}
    ((published_at, language, feed_url, feed, baseline_at, unscored, story_id),) = con.execute(
        """
        SELECT
            published_at, language, articles.feed_url, coalesce(feeds.title, feeds.outlet), feeds.baseline_at,
            (SELECT any_value(reason) FROM unscored_articles WHERE unscored_articles.article_id = $id),
            (SELECT any_value(story_id) FROM story_articles WHERE story_articles.article_id = $id)
        FROM articles LEFT JOIN feeds ON feeds.url = articles.feed_url
        WHERE articles.article_id = $id
        """,
        key,
    ).fetchall()
    carried = con.execute(
        "SELECT DISTINCT feed_url FROM entries WHERE article_id = $id ORDER BY feed_url", key
    ).fetchall()
    title, outlets, count = _load_story(con, article.article_id if story_id is None else story_id)
    return Way(
        article=article,
        published_at=as_utc(published_at),
        language=language,
        feed_url=feed_url,
        feed=feed,
        baseline_at=as_utc(baseline_at),
        carried_by=tuple(url for (url,) in carried),
        unscored=unscored,
        story_id=story_id,
        story_title=title,
        outlets=outlets,
        articles=count,
        topics=_load_topics(con, article.article_id),
        alerts=_load_alerts(con, article.article_id, story_id),
    )


def _load_story(con: duckdb.DuckDBPyConnection, story_id: int) -> tuple[str | None, tuple[str, ...], int]:
    """Load a story's first headline, its outlets (one spelling of each) and its number of articles."""
    rows = con.execute(
        """
        SELECT articles.title, articles.outlet, articles.article_id = $id
        FROM articles
        WHERE article_id = $id OR article_id IN (SELECT article_id FROM story_articles WHERE story_id = $id)
        ORDER BY first_seen_at, article_id
        """,
        {"id": story_id},
    ).fetchall()
    spelt: dict[str, str] = {}
    for _, outlet, _ in rows:
        spelt.setdefault(outlet.lower(), outlet)
    title = next((title for title, _, is_first in rows if is_first), None)
    return title, tuple(spelt.values()), len(rows)


def _load_topics(con: duckdb.DuckDBPyConnection, article_id: int) -> tuple[TopicWay, ...]:
    rows = con.execute(
        """
        WITH last AS (
            SELECT * FROM decision_trail WHERE article_id = $id AND is_final
        ),
        counted AS (SELECT topic, count(*) AS decisions FROM decisions WHERE article_id = $id GROUP BY topic),
        scored AS (SELECT topic, score FROM scores WHERE article_id = $id AND is_newest),
        named AS (
            SELECT topic FROM scored UNION SELECT topic FROM last UNION SELECT topic FROM current_topics
        )
        SELECT
            named.topic, coalesce(scored.score, last.score), current_topics.threshold, last.rule,
            coalesce(last.rings, false), last.explanation, last.channel, last.fitted, last.outlets,
            last.decided_at, last.hold_until, coalesce(counted.decisions, 0)
        FROM named
        LEFT JOIN scored ON scored.topic = named.topic
        LEFT JOIN last ON last.topic = named.topic
        LEFT JOIN counted ON counted.topic = named.topic
        LEFT JOIN current_topics ON current_topics.topic = named.topic
        ORDER BY coalesce(scored.score, last.score) DESC NULLS LAST, named.topic
        """,
        {"id": article_id},
    ).fetchall()
    return tuple(_read_topic(*row) for row in rows)


def _read_topic(topic: str, score: float | None, threshold: float | None, *rest: Any) -> TopicWay:
    rule, rings, explanation, channel, fitted, outlets, decided_at, hold_until, decisions = rest
    return TopicWay(
        topic=topic,
        score=score,
        threshold=threshold,
        rule=rule,
        rings=rings,
        explanation=explanation,
        channel=channel,
        fitted=fitted,
        outlets=outlets,
        decided_at=as_utc(decided_at),
        hold_until=as_utc(hold_until),
        decisions=decisions,
    )


def _load_alerts(
    con: duckdb.DuckDBPyConnection, article_id: int, story_id: int | None
) -> tuple[AlertWay, ...]:
    rows = con.execute(
        """
        SELECT
            alert_id, channel, topics, state, decided_at, delivered_at, retry_at, attempts, error,
            article_id = $id
        FROM alerts
        WHERE article_id = $id OR story_id = $story ORDER BY decided_at, alert_id
        """,
        {"id": article_id, "story": story_id},
    ).fetchall()
    return tuple(_read_alert(*row) for row in rows)


def _read_alert(alert_id: str, channel: str, topics: list[str], state: str, *rest: Any) -> AlertWay:
    decided_at, delivered_at, retry_at, attempts, error, is_of_article = rest
    return AlertWay(
        alert_id=alert_id,
        channel=channel,
        topics=tuple(topics),
        state=state,
        decided_at=as_utc(decided_at),
        delivered_at=as_utc(delivered_at),
        retry_at=as_utc(retry_at),
        attempts=attempts,
        error=error,
        is_of_article=is_of_article,
    )
