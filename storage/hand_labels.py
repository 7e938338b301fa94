"""Labels that people give by hand, on the terminal or in a table; and which articles they are asked about."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import duckdb

BY_HAND = "by hand"  # stands for channel and alert of such a label


class HandLabel(NamedTuple):
    """A person's yes (True) or no on an article; None takes an earlier answer of theirs back."""

    article_id: int
    topic: str
    positive: bool | None


class Question(NamedTuple):
    """An article that a person may judge, with its newest score. `answer` is what the person said before."""

    article_id: int
    title: str
    summary: str
    outlet: str
    first_seen_at: datetime
    score: float
    answer: bool | None = None


def record_hand_labels(
    con: duckdb.DuckDBPyConnection, labels: Iterable[HandLabel], *, person: str, now: datetime
) -> tuple[int, int]:
    """Make a person's labels by hand what is given; return how many were added and taken back.

    An answer that was given already stays as it is, and one that was turned round counts as both. Articles
    that are not stored are passed over.
    """
    added = removed = 0
    for label in labels:
        key = [label.article_id, label.topic, person]
        where = f"article_id = ? AND topic = ? AND labelled_by = ? AND channel = '{BY_HAND}'"
        held = con.execute(f"SELECT positive FROM labels WHERE {where}", key).fetchone()  # noqa: S608 - ours
        if held is not None and held[0] is label.positive:
            continue
        if held is not None:
            con.execute(f"DELETE FROM labels WHERE {where}", key)  # noqa: S608 - as above
            removed += 1
        if label.positive is not None and _is_stored(con, label.article_id):
            con.execute(
                "INSERT INTO labels "
                "(article_id, topic, positive, labelled_by, labelled_at, channel, alert_id) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [label.article_id, label.topic, label.positive, person, now, BY_HAND, BY_HAND],
            )
            added += 1
    return added, removed


def load_questions(
    con: duckdb.DuckDBPyConnection, topic: str, *, threshold: float, limit: int
) -> list[Question]:
    """Load the articles whose newest score for a topic is nearest to its threshold, one of a story.

    Those that anybody judged for the topic are left out.
    """
    rows = con.execute(
        """
        SELECT articles.article_id, title, summary, outlet, first_seen_at, score
        FROM scores JOIN articles USING (article_id)
        LEFT JOIN story_articles AS tied ON tied.article_id = scores.article_id
        WHERE is_newest AND topic = $topic
            AND scores.article_id NOT IN (SELECT article_id FROM labels WHERE topic = $topic)
        QUALIFY row_number() OVER (
            PARTITION BY coalesce(tied.story_id, scores.article_id) ORDER BY abs(score - $threshold), score
        ) = 1
        ORDER BY abs(score - $threshold), articles.article_id LIMIT $limit
        """,
        {"topic": topic, "threshold": threshold, "limit": limit},
    ).fetchall()
    return [_read_question(row) for row in rows]


def load_hand_labelled(con: duckdb.DuckDBPyConnection, topic: str, *, person: str) -> list[Question]:
    """Load the articles that a person judged by hand for a topic, newest answer first."""
    rows = con.execute(
        f"""
        SELECT articles.article_id, title, summary, outlet, first_seen_at, coalesce(newest.score, 0), positive
        FROM labels JOIN articles USING (article_id)
        LEFT JOIN (SELECT article_id, any_value(score) AS score FROM scores
            WHERE is_newest AND topic = $topic GROUP BY article_id) AS newest USING (article_id)
        WHERE labels.topic = $topic AND labelled_by = $person AND channel = '{BY_HAND}'
        ORDER BY labelled_at DESC, articles.article_id
        """,  # noqa: S608 - ours
        {"topic": topic, "person": person},
    ).fetchall()
    return [_read_question(row) for row in rows]


def _read_question(row: tuple[Any, ...]) -> Question:
    article_id, title, summary, outlet, first_seen_at, *rest = row
    return Question(article_id, title, summary, outlet, first_seen_at.astimezone(UTC), *rest)


def _is_stored(con: duckdb.DuckDBPyConnection, article_id: int) -> bool:
    return con.execute("SELECT 1 FROM articles WHERE article_id = ?", [article_id]).fetchone() is not None
