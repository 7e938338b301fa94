"""The trail of decisions: which rule let a close article ring or stopped it, and what waits for outlets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb

from storage.articles import ARTICLE, read_article
from storage.rows import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    INSTANT,
    INTEGER,
    TEXT,
    Columns,
    build_column,
    build_rows,
    incoming,
)
from tocsin.decisions import WAITING_RULES, Decision, Rule
from tocsin.types import Article

_DECISIONS: Columns = {
    "article_id": BIGINT,
    "topic": TEXT,
    "channel": TEXT,
    "run_id": TEXT,
    "decided_at": INSTANT,
    "rule": TEXT,
    "rings": BOOLEAN,
    "score": DOUBLE,
    "threshold": DOUBLE,
    "fitted": DOUBLE,
    "outlets": INTEGER,
    "story_id": BIGINT,
    "hold_until": INSTANT,
    "alert_id": TEXT,
    "topic_version": TEXT,
    "explanation": TEXT,
}
_NAMES = ", ".join(_DECISIONS)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An article that waits for its story to be in more outlets, and the rule that it waits for."""

    article: Article
    topic: str
    score: float
    rule: Rule
    story_id: int


def store_decisions(con: duckdb.DuckDBPyConnection, run_id: str, decisions: Iterable[Decision]) -> None:
    """Store a run's decisions; one that is stored for the article, topic, channel and run stays."""
    rows = [_write(decision, run_id) for decision in decisions]
    if not rows:
        return
    with incoming(con, build_rows(_DECISIONS, rows)):
        con.execute(
            f"""
            INSERT INTO decisions ({_NAMES})
            SELECT {_NAMES} FROM incoming ANTI JOIN decisions USING (article_id, topic, channel, run_id)
            QUALIFY row_number() OVER (PARTITION BY article_id, topic, channel ORDER BY decided_at DESC) = 1
            """  # noqa: S608 - names are ours
        )


def load_waiting(con: duckdb.DuckDBPyConnection, story_ids: Sequence[int]) -> list[Waiting]:
    """Load the articles of these stories whose last decision was to wait for more outlets, by article."""
    with incoming(con, build_column("story_id", BIGINT, story_ids)):
        rows = con.execute(
            f"""
            SELECT last.topic, last.score, last.rule, last.story_id, {ARTICLE}
            FROM (
                FROM decisions SEMI JOIN incoming USING (story_id)
                QUALIFY row_number() OVER (
                    PARTITION BY article_id, topic ORDER BY decided_at DESC, run_id DESC
                ) = 1
            ) AS last
            JOIN articles ON articles.article_id = last.article_id
            WHERE last.rule IN (SELECT unnest($rules))
            ORDER BY articles.article_id, last.topic
            """,  # noqa: S608 - names are ours
            {"rules": sorted(WAITING_RULES)},
        ).fetchall()
    return [
        Waiting(read_article(article), topic, score, rule, story_id)
        for topic, score, rule, story_id, *article in rows
    ]


def _write(decision: Decision, run_id: str) -> tuple[object, ...]:
    return (
        decision.article_id,
        decision.topic,
        decision.channel,
        run_id,
        decision.decided_at,
        decision.rule,
        decision.rings,
        decision.score,
        decision.threshold,
        decision.fitted,
        decision.outlets,
        decision.story_id,
        decision.hold_until,
        decision.alert_id,
        decision.topic_version,
        decision.explanation,
    )
