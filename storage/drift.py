"""What two neighbouring spans of days hold: scores by topic, languages, outlets, as counts to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Days:
    """The days from `since` to `until`, both included, and the `reference_days` before them. Days are UTC."""

    since: date
    until: date
    reference_days: int

    @property
    def reference_since(self) -> date:
        """The first day of the reference."""
        return self.since - timedelta(days=self.reference_days)


@dataclass(frozen=True, slots=True)
class Span:
    """One of the two spans of days.

    `days` counts those on which articles were seen. `scores` has for each topic the articles in each bin
    of scores, lowest first; `matches` those that reach the topic's threshold of today.
    """

    days: int
    articles: int
    scores: Mapping[str, Sequence[int]]
    matches: Counts
    languages: Counts
    outlets: Counts


def load_spans(con: duckdb.DuckDBPyConnection, days: Days, *, edges: Sequence[float]) -> tuple[Span, Span]:
    """Load the reference and the days since, in this order; topics are those in use.

    `edges` part the scores into `len(edges) + 1` bins; a score on an edge belongs above it. A topic's scores
    count only if they came from what scores it now: the same definition (threshold, sensitivity and channel
    aside), encoder and head. Else a change that somebody made would look like one of the news.
    """
    return _load(con, days, edges, now=False), _load(con, days, edges, now=True)


def _load(con: duckdb.DuckDBPyConnection, days: Days, edges: Sequence[float], *, now: bool) -> Span:
    first = days.since if now else days.reference_since
    last = days.until if now else days.since - timedelta(days=1)
    span = {"first": first, "last": last}
    [(articles, seen_on)] = con.execute(
        f"SELECT count(*), count(DISTINCT {_DAY}) FROM articles WHERE {_IN_SPAN}",  # noqa: S608 - names are ours
        span,
    ).fetchall()
    scores, matches = _load_scores(con, {**span, "newest": days.until}, edges)
    return Span(
        days=seen_on,
        articles=articles,
        scores=scores,
        matches=matches,
        languages=_count(con, "coalesce(language, 'unknown')", span),
        outlets=_count(con, "outlet", span),
    )


_DAY = "CAST(first_seen_at AT TIME ZONE 'UTC' AS DATE)"
_IN_SPAN = f"{_DAY} BETWEEN $first AND $last"

# What a score came from, spelt out, so that only like is compared with like.
_SCORED = """
    WITH meanings AS (
        SELECT topic, version, any_value(concat_ws(chr(31),
            definition ->> 'description', definition ->> 'examples', definition ->> 'counter_examples'
        )) AS meaning
        FROM topics GROUP BY topic, version
    ),
    scored AS (
        SELECT scores.topic, scores.score, scores.day, scores.scored_at,
            concat_ws(chr(31), meanings.meaning, scores.encoder_revision, scores.head) AS scorer
        FROM scores
        JOIN meanings ON meanings.topic = scores.topic AND meanings.version = scores.topic_version
        WHERE scores.is_newest AND scores.day <= $newest
    ),
    in_use AS (SELECT topic, arg_max(scorer, scored_at) AS scorer FROM scored GROUP BY topic)
"""


def _load_scores(
    con: duckdb.DuckDBPyConnection, span: Mapping[str, object], edges: Sequence[float]
) -> tuple[dict[str, list[int]], Counts]:
    bins = " + ".join(f"CAST(score >= CAST({edge!r} AS FLOAT) AS INTEGER)" for edge in edges)
    rows = con.execute(
        f"""
        {_SCORED}
        SELECT current_topics.topic, {bins} AS bin, count(*),
            count(*) FILTER (WHERE score >= current_topics.threshold)
        FROM scored
        JOIN in_use ON in_use.topic = scored.topic AND in_use.scorer = scored.scorer
        JOIN current_topics ON current_topics.topic = scored.topic
        WHERE scored.day BETWEEN $first AND $last
        GROUP BY ALL
        """,  # noqa: S608 - numbers and names are ours
        span,
    ).fetchall()
    names = con.execute("SELECT topic FROM current_topics ORDER BY position").fetchall()
    scores = {name: [0] * (len(edges) + 1) for (name,) in names}
    matches = dict.fromkeys(scores, 0)
    for topic, place, count, matched in rows:
        scores[topic][place] = count
        matches[topic] += matched
    return scores, matches


def _count(con: duckdb.DuckDBPyConnection, what: str, span: Mapping[str, object]) -> Counts:
    rows = con.execute(
        f"SELECT {what} AS name, count(*) FROM articles WHERE {_IN_SPAN} GROUP BY name ORDER BY name",  # noqa: S608
        span,
    ).fetchall()
    return dict(rows)
