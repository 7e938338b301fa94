"""Search in the published history: by likeness of embeddings, by words, or both. No run waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import duckdb

from storage.history_file import read_published
from storage.rows import as_utc
from storage.words import choose_words, rank_by_words

MOST_RANKED = 200  # of each kind of search, before they are joined
_RANKS = 60  # Cormack, Clarke and Buettcher, Reciprocal Rank Fusion (2009)


@dataclass(frozen=True, slots=True)
class Filters:
    """What articles must be, beside being found. Days are UTC and included; None: any."""

    topic: str | None = None
    outlet: str | None = None
    language: str | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for: `text` by its words, `vector` (384, by `revision`) by meaning; None: not."""

    text: str | None = None
    vector: Sequence[float] | None = None
    revision: str = ""
    filters: Filters = field(default_factory=Filters)


@dataclass(frozen=True, slots=True)
class FoundArticle:
    """An article that was found, best first. `likeness` is a cosine; None: not among those found so.

    `topics` are those that it matches.
    """

    article_id: int
    title: str
    outlet: str
    url: str | None
    first_seen_at: datetime
    published_at: datetime | None
    language: str | None
    topics: tuple[str, ...]
    likeness: float | None
    bm25: float | None


def search_history(folder: Path, question: Question, *, limit: int) -> list[FoundArticle]:
    """Search what was published in a data folder; best first, at most `limit`.

    Where both kinds of search are asked for, an article's place in each counts (reciprocal rank fusion).
    Raises: StorageError if nothing was published yet.
    """
    with read_published(folder) as con:
        likeness = _rank_by_vector(con, question) if question.vector is not None else {}
        bm25 = _rank_by_words(con, question) if question.text is not None else {}
        order = fuse([list(likeness), list(bm25)])[:limit]
        return _load(con, order, likeness, bm25)


def fuse(rankings: Sequence[Sequence[int]]) -> list[int]:
    """Join rankings, each best first, into one: an item scores 1 / (60 + its place) in each."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for place, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1 / (_RANKS + place)
    return sorted(scores, key=lambda item: -scores[item])


def _rank_by_vector(con: duckdb.DuckDBPyConnection, question: Question) -> dict[int, float]:
    chosen = question.filters
    where, values = _choose(chosen)
    days = [
        f"day {sign} ${name}"
        for name, sign, day in (("since", ">=", chosen.since), ("until", "<=", chosen.until))
        if day is not None
    ]
    if set(values) - {"since", "until"}:
        days.append(f"article_id IN (SELECT article_id FROM articles WHERE {where})")  # noqa: S608
    rows = con.execute(
        f"""
        SELECT article_id, array_cosine_similarity(embedding, CAST($vector AS FLOAT[384])) AS likeness
        FROM embeddings WHERE {" AND ".join(["encoder_revision = $revision", *days])}
        ORDER BY likeness DESC, article_id LIMIT $most
        """,  # noqa: S608 - names are ours
        values | {"vector": question.vector, "revision": question.revision, "most": MOST_RANKED},
    ).fetchall()
    return dict(rows)


def _rank_by_words(con: duckdb.DuckDBPyConnection, question: Question) -> dict[int, float]:
    words = choose_words(question.text or "")
    if not words:
        return {}
    where, values = _choose(question.filters)
    sql, patterns = rank_by_words(words, where)
    return dict(con.execute(sql, values | patterns | {"most": MOST_RANKED}).fetchall())


def _choose(filters: Filters) -> tuple[str, dict[str, object]]:
    """Write the condition that filters put on `articles`, and its values."""
    conditions = {
        "topic": "article_id IN (SELECT article_id FROM match_scores WHERE topic = $topic)",
        "outlet": "lower(outlet) = lower($outlet)",
        "language": "language = lower($language)",
        "since": "CAST(first_seen_at AT TIME ZONE 'UTC' AS DATE) >= $since",
        "until": "CAST(first_seen_at AT TIME ZONE 'UTC' AS DATE) <= $until",
    }
    values = {name: value for name in conditions if (value := getattr(filters, name)) is not None}
    return " AND ".join(conditions[name] for name in values) or "true", values


def _load(
    con: duckdb.DuckDBPyConnection, order: Sequence[int], likeness: dict[int, float], bm25: dict[int, float]
) -> list[FoundArticle]:
    rows = con.execute(
        """
        SELECT article_id, title, outlet, url, first_seen_at, published_at, language, (
            SELECT list(topic ORDER BY score DESC) FROM match_scores
            WHERE match_scores.article_id = articles.article_id
        )
        FROM articles WHERE list_contains($ids, article_id)
        """,
        {"ids": list(order)},
    ).fetchall()
    found = {
        article_id: FoundArticle(
            article_id, title, outlet, url, as_utc(seen_at) or seen_at, as_utc(published_at), language,
            tuple(topics or ()), likeness.get(article_id), bm25.get(article_id),
        )
        for article_id, title, outlet, url, seen_at, published_at, language, topics in rows
    }  # fmt: skip
    return [found[article_id] for article_id in order if article_id in found]
