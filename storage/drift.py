"""What two neighbouring spans of days hold: scores by topic, languages, outlets, as counts to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    aside), encoder and head, with or without a cross-encoder, whichever labels correct it. Else a change that
    somebody made would look like one of the news.
    """
    rows = _load_scores(con, days, edges)
    in_use = con.execute("SELECT topic FROM current_topics ORDER BY position").fetchall()
    empty = {topic: [0] * (len(edges) + 1) for (topic,) in in_use}
    before = _load_span(con, days.reference_since, days.since - timedelta(days=1))
    now = _load_span(con, days.since, days.until)
    return _with_scores(before, empty, rows[False]), _with_scores(now, empty, rows[True])


def _load_span(con: duckdb.DuckDBPyConnection, first: date, last: date) -> Span:
    span = {"first": first, "last": last}
    [(articles, seen_on)] = con.execute(
        f"SELECT count(*), count(DISTINCT {_DAY}) FROM articles WHERE {_IN_SPAN}",  # noqa: S608 - names are ours
        span,
    ).fetchall()
    return Span(
        days=seen_on,
        articles=articles,
        scores={},
        matches={},
        languages=_count(con, "coalesce(language, 'unknown')", span),
        outlets=_count(con, "outlet", span),
    )


def _count(con: duckdb.DuckDBPyConnection, what: str, span: Mapping[str, date]) -> Counts:
    rows = con.execute(
        f"SELECT {what} AS name, count(*) FROM articles WHERE {_IN_SPAN} GROUP BY name ORDER BY name",  # noqa: S608
        span,
    ).fetchall()
    return dict(rows)


_DAY = "CAST(first_seen_at AT TIME ZONE 'UTC' AS DATE)"
_IN_SPAN = f"{_DAY} BETWEEN $first AND $last"

_Row = tuple[str, int, int, int]
"""Topic, bin, articles, matches."""


def _load_scores(
    con: duckdb.DuckDBPyConnection, days: Days, edges: Sequence[float]
) -> dict[bool, list[_Row]]:
    """Load counts of scores, before (False) and now (True): counted first, joined with definitions after."""
    bins = " + ".join(f"CAST(score >= CAST({edge!r} AS FLOAT) AS INTEGER)" for edge in edges)
    rows = con.execute(
        f"""
        WITH counted AS (
            SELECT scores.topic, topic_version, encoder_revision, head, day >= $since AS is_now,
                {bins} AS bin,
                max(scored_at) AS scored_at, count(*) AS articles,
                count(*) FILTER (WHERE score >= current_topics.threshold) AS matches
            FROM scores JOIN current_topics ON current_topics.topic = scores.topic
            WHERE is_newest AND day BETWEEN $first AND $until
            GROUP BY ALL
        ),
        meanings AS (
            SELECT topic, version, any_value(hash(
                definition ->> 'description', definition ->> 'examples', definition ->> 'counter_examples'
            )) AS meaning
            FROM topics GROUP BY topic, version
        ),
        scored AS (
            SELECT counted.*, hash(
                meaning, encoder_revision,
                split_part(split_part(split_part(head, '+labels', 1), '+nli', 1), '+vector', 1)
            ) AS scorer
            FROM counted JOIN meanings ON meanings.topic = counted.topic AND version = topic_version
        ),
        in_use AS (SELECT topic, arg_max(scorer, scored_at) AS scorer FROM scored GROUP BY topic)
        SELECT is_now, scored.topic, bin, CAST(sum(articles) AS BIGINT), CAST(sum(matches) AS BIGINT)
        FROM scored JOIN in_use ON in_use.topic = scored.topic AND in_use.scorer = scored.scorer
        GROUP BY ALL
        """,  # noqa: S608 - numbers and names are ours
        {"first": days.reference_since, "since": days.since, "until": days.until},
    ).fetchall()
    found: dict[bool, list[_Row]] = {False: [], True: []}
    for is_now, *row in rows:
        found[is_now].append((row[0], row[1], row[2], row[3]))
    return found


def _with_scores(span: Span, empty: Mapping[str, Sequence[int]], rows: Sequence[_Row]) -> Span:
    scores = {topic: list(bins) for topic, bins in empty.items()}
    matches = dict.fromkeys(empty, 0)
    for topic, place, count, matched in rows:
        scores[topic][place] += count
        matches[topic] += matched
    return replace(span, scores=scores, matches=matches)
