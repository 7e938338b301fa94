"""Pruning: what is old goes, but for what was seen, told or labelled; trends keep their counts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

import duckdb

from storage.marks import mark_changed

log = logging.getLogger(__name__)

Kind = Literal["articles", "texts", "embeddings", "scores", "fetches", "decisions"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Texts and vectors go with their articles; of the articles that stay they go only when asked for.
USUAL: tuple[Kind, ...] = ("articles", "scores", "fetches", "decisions")


@dataclass(frozen=True, slots=True)
class PruneOrder:
    """What goes: everything of these kinds from before `before`.

    `keep_matches`: articles stay that matched a topic by their newest scores.
    """

    before: datetime
    what: tuple[Kind, ...] = USUAL
    keep_matches: bool = False


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows of each table were removed, and of how many articles the texts."""

    removed: dict[str, int] = field(default_factory=dict)
    texts: int = 0

    @property
    def is_nothing(self) -> bool:
        return not self.texts and not any(self.removed.values())


def prune(con: duckdb.DuckDBPyConnection, order: PruneOrder) -> Pruned:
    """Remove what the order names, in the caller's transaction.

    Kept for ever: `seen`, alerts and what became of them, labels, runs, feeds, topics; and the articles that
    alerts or labels are about, that stories of articles which stay began with, and that own a guid which
    their feed uses again and again (their headlines tell its news from it).
    """
    removed = _prune_articles(con, order) if "articles" in order.what else {}
    texts = _prune_texts(con, order) if "texts" in order.what else 0
    for kind, remove in _OTHERS.items():
        if kind in order.what:
            for table, count in remove(con, order).items():
                removed[table] = removed.get(table, 0) + count
    log.info("history.pruned before=%s texts=%d removed=%s", order.before, texts, removed)
    return Pruned(removed, texts)


_WITH_GONE = "article_id IN (SELECT article_id FROM gone)"
_ARTICLE_SEEN = "(SELECT first_seen_at FROM articles WHERE articles.article_id = {table}.article_id)"
# What hangs on an article, and the time whose month its rows are published under. Articles go last.
_OF_ARTICLES = {
    "entries": "first_seen_at",
    "embeddings": _ARTICLE_SEEN,
    "scores": "day",
    "unscored": "marked_at",
    "story_articles": _ARTICLE_SEEN,
    "decisions": "decided_at",
    "articles": "first_seen_at",
}

_CHOOSE = """
CREATE OR REPLACE TEMP TABLE gone AS
WITH old AS (SELECT article_id, first_seen_at FROM articles WHERE first_seen_at < $before),
guids AS (
    SELECT arg_min(article_id, (first_seen_at, article_id)) AS article_id FROM entries
    WHERE guid IS NOT NULL GROUP BY feed_url, guid HAVING count(DISTINCT article_id) > 1
),
kept AS (
    SELECT article_id FROM articles WHERE first_seen_at >= $before
    UNION ALL SELECT article_id FROM alerts
    UNION ALL SELECT story_id FROM alerts WHERE story_id IS NOT NULL
    UNION ALL SELECT article_id FROM labels
    UNION ALL SELECT article_id FROM guids
    UNION ALL SELECT article_id FROM match_scores WHERE $keep_matches
)
SELECT article_id, first_seen_at FROM old
WHERE article_id NOT IN (SELECT article_id FROM kept)
    AND article_id NOT IN (
        SELECT story_id FROM story_articles WHERE article_id IN (SELECT article_id FROM kept)
    )
"""


def _prune_articles(con: duckdb.DuckDBPyConnection, order: PruneOrder) -> dict[str, int]:
    con.execute(_CHOOSE, {"before": order.before, "keep_matches": order.keep_matches})
    _keep_counts(con)
    removed = {table: _remove(con, table, _WITH_GONE) for table in _OF_ARTICLES}
    con.execute("DROP TABLE temp.gone")
    return removed


# What is counted of the scores that go, by the same SQL as the views count what stays.
_COUNTED = """
WITH went AS (SELECT scores.* FROM scores WHERE is_newest AND article_id IN (SELECT article_id FROM gone)),
counted AS (
    SELECT
        went.day, went.topic, articles.feed_url, articles.outlet,
        date_trunc('hour', articles.first_seen_at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS hour,
        went.score >= versions.threshold AS is_match
    FROM went
    JOIN (
        SELECT topic, version, any_value(threshold) AS threshold FROM topics GROUP BY topic, version
    ) AS versions ON versions.topic = went.topic AND versions.version = went.topic_version
    JOIN articles ON articles.article_id = went.article_id
)
"""
_COUNTS = {"pruned_feed_days": "day, topic, feed_url, outlet", "pruned_hours": "hour, topic"}


def _keep_counts(con: duckdb.DuckDBPyConnection) -> None:
    """Add what goes to the counts of what went before: one row for each group of a table, however often."""
    for table, group in _COUNTS.items():
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE counts AS {_COUNTED} SELECT {group}, count(*) AS articles, "  # noqa: S608
            f"count(*) FILTER (WHERE is_match) AS matches FROM counted GROUP BY {group}"
        )
        con.execute(
            f"INSERT INTO counts SELECT * FROM {table} SEMI JOIN (SELECT DISTINCT {group} FROM counts) "  # noqa: S608
            f"AS fresh USING ({group})"
        )
        con.execute(
            f"DELETE FROM {table} WHERE ({group}) IN (SELECT ({group}) FROM counts)"  # noqa: S608
        )
        con.execute(
            f"INSERT INTO {table} SELECT {group}, CAST(sum(articles) AS BIGINT), "  # noqa: S608
            f"CAST(sum(matches) AS BIGINT) FROM counts GROUP BY {group} ORDER BY {group}"
        )
        con.execute("DROP TABLE temp.counts")


def _remove(
    con: duckdb.DuckDBPyConnection, table: str, where: str, values: dict[str, object] | None = None
) -> int:
    """Remove rows, mark the months that lost some, and say how many went."""
    time = (_OF_ARTICLES | {"fetches": "fetched_at"})[table].format(table=table)
    months = con.execute(
        f"SELECT strftime(CAST({time} AS DATE), '%Y-%m') AS month, count(*) FROM {table} "  # noqa: S608
        f"WHERE {where} GROUP BY month",
        values,
    ).fetchall()
    if not months:
        return 0
    con.execute(f"DELETE FROM {table} WHERE {where}", values)  # noqa: S608
    mark_changed(con, table, (month for month, _ in months if month is not None))
    if table == "articles":  # scores are published with counts by their articles' feeds
        mark_changed(con, "scores", (month for month, _ in months))
    return sum(count for _, count in months)


def _prune_texts(con: duckdb.DuckDBPyConnection, order: PruneOrder) -> int:
    """Empty summaries and full texts of old articles that stay; headlines, addresses and outlets stay."""
    where = "first_seen_at < $before AND (summary <> '' OR full_text IS NOT NULL)" + _unless_match(order)
    months = con.execute(
        f"SELECT strftime(CAST(first_seen_at AS DATE), '%Y-%m') AS month, count(*) "  # noqa: S608
        f"FROM articles WHERE {where} GROUP BY month",
        {"before": order.before},
    ).fetchall()
    con.execute(
        f"UPDATE articles SET summary = '', full_text = NULL WHERE {where}",  # noqa: S608
        {"before": order.before},
    )
    mark_changed(con, "articles", (name for name, _ in months))
    return sum(count for _, count in months)


def _unless_match(order: PruneOrder) -> str:
    return " AND article_id NOT IN (SELECT article_id FROM match_scores)" if order.keep_matches else ""


_OLD_VECTORS = (
    "article_id IN (SELECT article_id FROM articles WHERE first_seen_at < $before) "
    "AND article_id NOT IN (SELECT article_id FROM labels)"
)


def _prune_embeddings(con: duckdb.DuckDBPyConnection, order: PruneOrder) -> dict[str, int]:
    """Remove the vectors of old articles, but those of labelled ones: labels correct scores by them."""
    where = _OLD_VECTORS + _unless_match(order)
    return {"embeddings": _remove(con, "embeddings", where, {"before": order.before})}


def _prune_scores(con: duckdb.DuckDBPyConnection, order: PruneOrder) -> dict[str, int]:
    """Remove old scores that newer ones took the place of: no view counts them."""
    where = "NOT is_newest AND scored_at < $before"
    return {"scores": _remove(con, "scores", where, {"before": order.before})}


def _prune_fetches(con: duckdb.DuckDBPyConnection, order: PruneOrder) -> dict[str, int]:
    return {"fetches": _remove(con, "fetches", "fetched_at < $before", {"before": order.before})}


def _prune_decisions(con: duckdb.DuckDBPyConnection, order: PruneOrder) -> dict[str, int]:
    """Remove old decisions, but those that rang: why an alert was sent can be asked for ever."""
    where = "decided_at < $before AND alert_id IS NULL"
    return {"decisions": _remove(con, "decisions", where, {"before": order.before})}


_OTHERS: dict[Kind, Callable[[duckdb.DuckDBPyConnection, PruneOrder], dict[str, int]]] = {
    "embeddings": _prune_embeddings,
    "scores": _prune_scores,
    "fetches": _prune_fetches,
    "decisions": _prune_decisions,
}
