"""What daily budgets are fitted on: the best scores of past stories, and what rang since a day began."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import duckdb

from storage.rows import DOUBLE, TEXT, TEXTS, Rows, build_rows, incoming
from tocsin.decisions import StoryScore


@dataclass(frozen=True, slots=True)
class TopicFilter:
    """What a topic asks of an article; empty lists ask nothing. Outlets in small letters, phrases folded."""

    outlets: Sequence[str] = ()
    languages: Sequence[str] = ()
    must: Sequence[str] = ()
    never: Sequence[str] = ()


_NO_FILTER = TopicFilter()


@dataclass(frozen=True, slots=True)
class PastQuestion:
    """Which past is asked for: articles first seen from `since` until before `until`.

    `filters` has what some topics ask of their articles.

    `floors` and `heads` give for each topic the lowest score of interest, and what scores it now.
    `muted` are outlets in small letters that do not count; `baseline`: nor do feeds' first polls.
    """

    since: datetime
    until: datetime
    encoder_revision: str
    floors: Mapping[str, float]
    heads: Mapping[str, str]
    max_age: timedelta | None
    muted: Sequence[str] = ()
    baseline: bool = True
    filters: Mapping[str, TopicFilter] = field(default_factory=dict)


def load_past(
    con: duckdb.DuckDBPyConnection, asked: PastQuestion
) -> tuple[list[StoryScore], dict[str, datetime]]:
    """Load the stories' best scores for each topic, and since when the topic has been scored in that past.

    Scores count only if they came from what scores the topic now: the same definition (what decides on
    ringing aside), encoder and head. So do only articles that could ring: of no feed's first poll, not too
    old when first seen, of no muted outlet.
    """
    with incoming(con, _build_topics(asked)):
        stories = con.execute(
            f"""
            {_PAST},
            best AS (
                SELECT topic, story_id, max(score) AS score
                FROM past WHERE can_ring AND score >= floor AND {_PASSES} GROUP BY topic, story_id
            )
            SELECT
                best.topic, best.story_id, any_value(best.score),
                list(DISTINCT lower(coalesce(others.outlet, alone.outlet)))
            FROM best
            JOIN articles AS alone ON alone.article_id = best.story_id
            LEFT JOIN story_articles AS tied ON tied.story_id = best.story_id
            LEFT JOIN articles AS others ON others.article_id = tied.article_id
            GROUP BY best.topic, best.story_id ORDER BY best.topic, best.story_id
            """,  # noqa: S608 - the text is ours
            _parameters(asked),
        ).fetchall()
        begun = con.execute(
            f"{_PAST} SELECT topic, min(first_seen_at) FROM past GROUP BY topic",  # noqa: S608 - the text is ours
            _parameters(asked),
        ).fetchall()
    found = [StoryScore(topic, story, score, frozenset(outlets)) for topic, story, score, outlets in stories]
    return found, {topic: at.astimezone(UTC) for topic, at in begun}


_PAST = """
    WITH meanings AS (
        SELECT topic, version, any_value(hash(
            definition ->> 'description', definition ->> 'examples', definition ->> 'counter_examples'
        )) AS meaning
        FROM topics GROUP BY topic, version
    ),
    past AS (
        SELECT
            scores.topic, scores.score, articles.first_seen_at,
            incoming.floor, incoming.outlets, incoming.languages, incoming.must, incoming.never,
            articles.outlet, articles.language, articles.title, articles.summary, articles.full_text,
            coalesce(tied.story_id, articles.article_id) AS story_id,
            lower(articles.outlet) NOT IN (SELECT unnest(CAST($muted AS VARCHAR[])))
            AND (NOT $baseline OR feeds.baseline_at IS NULL OR articles.first_seen_at > feeds.baseline_at)
            AND (
                $max_age IS NULL OR articles.published_at IS NULL
                OR articles.first_seen_at - articles.published_at <= CAST($max_age AS INTERVAL)
            ) AS can_ring
        FROM scores
        JOIN incoming ON incoming.topic = scores.topic
        JOIN current_topics ON current_topics.topic = scores.topic
        JOIN meanings AS used ON used.topic = scores.topic AND used.version = scores.topic_version
        JOIN meanings AS wanted ON wanted.topic = scores.topic AND wanted.version = current_topics.version
            AND wanted.meaning = used.meaning
        JOIN articles ON articles.article_id = scores.article_id
        LEFT JOIN story_articles AS tied ON tied.article_id = scores.article_id
        LEFT JOIN feeds ON feeds.url = articles.feed_url
        WHERE scores.is_newest AND scores.encoder_revision = $revision
            AND split_part(scores.head, '+nli', 1) = split_part(incoming.head, '+nli', 1)
            AND scores.day >= CAST($since AT TIME ZONE 'UTC' AS DATE)
            AND scores.day <= CAST($until AT TIME ZONE 'UTC' AS DATE)
            AND articles.first_seen_at >= $since AND articles.first_seen_at < $until
    )
"""


# As `tocsin.phrases` folds a text; both sides of a comparison have a space at their ends.
_FOLDED = (
    r"""(' ' || regexp_replace(strip_accents(lower(concat_ws(' ', title, summary, full_text))), """
    r"""'[^\p{L}\p{N}]+', ' ', 'g') || ' ')"""
)
_PASSES = f"""
    (len(outlets) = 0 OR list_contains(outlets, lower(outlet)))
    AND (len(languages) = 0 OR language IS NULL OR list_contains(languages, language))
    AND (len(must) = 0 OR len(list_filter(must, lambda said: contains({_FOLDED}, said))) > 0)
    AND (len(never) = 0 OR len(list_filter(never, lambda said: contains({_FOLDED}, said))) = 0)
"""


def _build_topics(asked: PastQuestion) -> Rows:
    """Lay out what is asked of each topic."""
    kinds = {"topic": TEXT, "floor": DOUBLE, "head": TEXT}
    kinds |= dict.fromkeys(("outlets", "languages", "must", "never"), TEXTS)
    rows = []
    for topic, floor in asked.floors.items():
        each = asked.filters.get(topic, _NO_FILTER)
        filters = (list(values) for values in (each.outlets, each.languages, each.must, each.never))
        rows.append((topic, floor, asked.heads[topic], *filters))
    return build_rows(kinds, rows)


def _parameters(asked: PastQuestion) -> dict[str, object]:
    return {
        "since": asked.since,
        "until": asked.until,
        "revision": asked.encoder_revision,
        "max_age": asked.max_age,
        "muted": list(asked.muted),
        "baseline": asked.baseline,
    }


def load_rung_since(con: duckdb.DuckDBPyConnection, since: datetime) -> dict[str, tuple[float, ...]]:
    """Load the scores of the alerts that were decided since, by topic: an alert counts for all it names.

    What rang in several channels at once counts once.
    """
    rows = con.execute(
        "SELECT coalesce(story_id, article_id), decided_at, reasons FROM alerts WHERE decided_at >= $since "
        "ORDER BY decided_at, alert_id",
        {"since": since},
    ).fetchall()
    once = {
        (reason["topic"], story, at): float(reason["score"])
        for story, at, written in rows
        for reason in json.loads(written)
    }
    found: dict[str, tuple[float, ...]] = {}
    for (topic, _, _), score in once.items():
        found[topic] = (*found.get(topic, ()), score)
    return found
