"""Invents a history of any size straight into a database: years of news from feeds of different habits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from storage.topics import record_topics
from tocsin.types import Topic

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAYS = 3 * 365
TOPICS = tuple(
    Topic(name=f"topic_{number}", description=f"Invented topic number {number}.") for number in range(10)
)
_FEEDS = 200


def invent_history(db, articles, *, days=DAYS, first=0, until=NOW):
    """Store so many articles of the last `days`, oldest first, each with a score per topic and its identity.

    Ids begin with `first`. Scores are drawn from hashes: about one in twenty matches, more in some feeds.
    """
    begin = until - timedelta(days=days)
    values = {"first": first, "count": articles, "begin": begin, "seconds": days * 86400, "feeds": _FEEDS}
    with db.write() as con:
        versions = record_topics(con, TOPICS, run_id="run", now=begin)
        con.execute(_ARTICLES, values)
        con.execute(
            "INSERT INTO seen SELECT hash(article_id)::UBIGINT::HUGEINT % 9223372036854775807, article_id "
            "FROM articles WHERE article_id >= $first AND article_id < $first + $count",
            {"first": first, "count": articles},
        )
        con.execute("CREATE TEMP TABLE IF NOT EXISTS used (topic VARCHAR, version VARCHAR, number INTEGER)")
        con.execute("DELETE FROM used")
        con.executemany(
            "INSERT INTO used VALUES (?, ?, ?)",
            [(topic, version, number) for number, (topic, version) in enumerate(versions.items())],
        )
        con.execute(_SCORES, {"first": first, "count": articles})


_ARTICLES = """
INSERT INTO articles (
    article_id, url, title, summary, outlet, feed_url, published_at, first_seen_at, run_id, language
)
SELECT
    $first + number, 'https://news.example/' || number, 'Headline number ' || ($first + number) || ' says it',
    'A summary that says about as much as summaries in feeds do, in a sentence. ' || md5(number::VARCHAR),
    'Outlet ' || (hash(number) % $feeds), 'https://feeds.example/' || (hash(number) % $feeds),
    seen_at, seen_at, 'run', 'en'
FROM (SELECT range AS number, $begin + to_seconds(range * $seconds / $count) AS seen_at FROM range($count))
"""
_SCORES = """
INSERT INTO scores
SELECT
    article_id, topic, version, 'encoder', 'head',
    pow((hash(article_id, number) % 10007) / 10007, 6 + hash(feed_url) % 9), first_seen_at,
    CAST(first_seen_at AT TIME ZONE 'UTC' AS DATE), true
FROM articles, used WHERE article_id >= $first AND article_id < $first + $count
ORDER BY article_id, number
"""
