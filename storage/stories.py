"""Stories: which articles tell of one event. A story has the id of its first article; rows are only added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.rows import BIGINT, DOUBLE, TEXT, Columns, build_column, build_rows, incoming
from storage.scores import DIMENSIONS
from tocsin.types import StoryArticle, StoryTie

# What new articles are compared with: bounds the memory of a run (1.5 KB each, and the text).
MOST_RECENT = 30_000

Vectors = npt.NDArray[np.float32]

_TIES: Columns = {"story_id": BIGINT, "article_id": BIGINT, "likelihood": DOUBLE, "run_id": TEXT}


def load_recent(
    con: duckdb.DuckDBPyConnection, revision: str, since: datetime, *, limit: int = MOST_RECENT
) -> tuple[list[StoryArticle], Vectors]:
    """Load the articles published since then, with their embeddings of that revision: float32 (n, 384).

    Oldest first; of more than `limit` the newest. An article that was stored before there were stories
    comes without one.
    """
    found = con.sql(
        """
        SELECT
            articles.article_id, title, summary, outlet, language,
            least(coalesce(published_at, first_seen_at), first_seen_at) AS told_at, tied.story_id, embedding
        FROM articles
        JOIN embeddings ON embeddings.article_id = articles.article_id AND encoder_revision = $revision
        LEFT JOIN story_articles AS tied ON tied.article_id = articles.article_id
        WHERE least(coalesce(published_at, first_seen_at), first_seen_at) >= $since
        ORDER BY told_at DESC, articles.article_id DESC
        LIMIT $limit
        """,
        params={"revision": revision, "since": since, "limit": limit},
    ).to_arrow_table()
    return _read_articles(found), _read_vectors(found)[::-1]


def store_ties(con: duckdb.DuckDBPyConnection, run_id: str, ties: Iterable[StoryTie]) -> int:
    """Store the stories of new articles and return how many were new; an article never changes its story.

    The article that a story began with gets its row here too, if it was stored before there were stories.
    """
    rows = [(tie.story_id, tie.article_id, tie.likelihood, run_id) for tie in ties]
    if not rows:
        return 0
    with incoming(con, build_rows(_TIES, rows)):
        added = con.execute(
            """
            INSERT INTO story_articles (story_id, article_id, likelihood, run_id)
            SELECT story_id, article_id, likelihood, run_id
            FROM incoming ANTI JOIN story_articles USING (article_id)
            """
        ).fetchall()
        con.execute(
            """
            INSERT INTO story_articles (story_id, article_id, likelihood, run_id)
            SELECT DISTINCT incoming.story_id, incoming.story_id, CAST(NULL AS DOUBLE), $run_id
            FROM incoming ANTI JOIN story_articles AS tied ON tied.article_id = incoming.story_id
            """,
            {"run_id": run_id},
        )
    return int(added[0][0])


def load_outlets(con: duckdb.DuckDBPyConnection, story_ids: Sequence[int]) -> dict[int, frozenset[str]]:
    """Load the outlets of each of these stories, in small letters; one that is not stored is absent."""
    with incoming(con, build_column("story_id", BIGINT, story_ids)):
        rows = con.execute(
            """
            SELECT story_id, list(DISTINCT lower(outlet))
            FROM (FROM story_articles SEMI JOIN incoming USING (story_id)) JOIN articles USING (article_id)
            GROUP BY story_id
            """
        ).fetchall()
    return {story: frozenset(outlets) for story, outlets in rows}


def _read_articles(found: pa.Table) -> list[StoryArticle]:
    columns = [found.column(number).to_pylist() for number in range(7)]
    articles = [
        StoryArticle(
            article_id=article_id,
            title=title,
            summary=summary,
            outlet=outlet,
            language=language,
            at=told_at.astimezone(UTC),
            story_id=story_id,
        )
        for article_id, title, summary, outlet, language, told_at, story_id in zip(*columns, strict=True)
    ]
    return articles[::-1]


def _read_vectors(found: pa.Table) -> Vectors:
    if not found.num_rows:
        return np.empty((0, DIMENSIONS), dtype=np.float32)
    return np.array(list(found.column(7).to_numpy()), dtype=np.float32)
