"""What a preview asks of the past: which articles came when, their scores, vectors and facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.articles import ARTICLE, read_article
from storage.rows import BIGINT, build_column, incoming
from storage.scores import DIMENSIONS, PIECE, keeping_little, look_at_vectors
from tocsin.types import Article

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PastArticle:
    """An article of the past with its story, and whether it came with the first poll of its feed."""

    article: Article
    story_id: int
    is_baseline: bool


def load_past_ids(
    con: duckdb.DuckDBPyConnection, since: datetime, revision: str
) -> tuple[Ids, datetime | None]:
    """Load the ids, in order, of the articles first seen since then that encoder `revision` embedded.

    With them comes when the first of them was seen, None if there are none.
    """
    found = con.sql(
        """
        SELECT article_id, min(first_seen_at) OVER () FROM articles
        SEMI JOIN (SELECT article_id FROM embeddings WHERE encoder_revision = $revision) USING (article_id)
        WHERE first_seen_at >= $since ORDER BY article_id
        """,
        params={"since": since, "revision": revision},
    ).to_arrow_table()
    return _numbers(found, 0, np.int64), found.column(1)[0].as_py() if found.num_rows else None


def load_past_scores(
    con: duckdb.DuckDBPyConnection,
    topic: str,
    versions: Sequence[str],
    *,
    since: datetime,
    revision: str,
) -> tuple[Ids, Vectors]:
    """Load a topic's newest scores in any of these versions, with the ids of their articles, in order."""
    found = con.sql(
        """
        SELECT article_id, any_value(score) FROM scores
        WHERE is_newest AND topic = $topic AND encoder_revision = $revision
            AND list_contains($versions, topic_version) AND day >= CAST($since AT TIME ZONE 'UTC' AS DATE)
        GROUP BY article_id ORDER BY article_id
        """,
        params={"topic": topic, "versions": list(versions), "since": since, "revision": revision},
    ).to_arrow_table()
    return _numbers(found, 0, np.int64), _numbers(found, 1, np.float32)


def iterate_vectors(
    con: duckdb.DuckDBPyConnection, since: datetime, revision: str
) -> Iterator[tuple[Ids, Vectors]]:
    """Give the ids and vectors, float32 (n, 384), of the articles first seen since then, in batches.

    Those of the whole first day (UTC) come with them: to leave some out would take longer than to score them.
    """
    found = con.sql(
        """
        SELECT article_id, CAST(embedding AS FLOAT[384]) AS embedding FROM embeddings
        WHERE encoder_revision = $revision AND day >= CAST($since AT TIME ZONE 'UTC' AS DATE)
        """,
        params={"since": since, "revision": revision},
    )
    with keeping_little(con):
        for batch in found.to_arrow_reader(PIECE):
            yield batch.column(0).to_numpy(zero_copy_only=False), look_at_vectors(batch.column(1))


def load_vectors(con: duckdb.DuckDBPyConnection, article_ids: Sequence[int], revision: str) -> Vectors:
    """Load the vectors of these articles, all of which are embedded, in their order: float32 (n, 384)."""
    with incoming(con, build_column("article_id", BIGINT, article_ids)):
        found = con.sql(
            "SELECT article_id, CAST(embedding AS FLOAT[384]) AS embedding "
            "FROM embeddings SEMI JOIN incoming USING (article_id) "
            "WHERE encoder_revision = $revision",
            params={"revision": revision},
        ).to_arrow_table()
    places = {each: place for place, each in enumerate(_numbers(found, 0, np.int64).tolist())}
    vectors = [look_at_vectors(chunk) for chunk in found.column(1).chunks]
    every = np.concatenate([np.empty((0, DIMENSIONS), np.float32), *vectors])
    return every[[places[each] for each in article_ids]]


def load_past_articles(
    con: duckdb.DuckDBPyConnection, article_ids: Sequence[int], *, with_texts: bool
) -> list[PastArticle]:
    """Load these articles in the order in which they were first seen; without texts, summaries are empty."""
    source = (
        "FROM articles" if with_texts else "SELECT * REPLACE ('' AS summary, NULL AS full_text) FROM articles"
    )
    with incoming(con, build_column("article_id", BIGINT, article_ids)):
        rows = con.execute(
            f"""
            SELECT
                coalesce(tied.story_id, articles.article_id),
                coalesce(articles.first_seen_at <= feeds.baseline_at, false), {ARTICLE}
            FROM (FROM ({source}) SEMI JOIN incoming USING (article_id)) AS articles
            LEFT JOIN story_articles AS tied ON tied.article_id = articles.article_id
            LEFT JOIN feeds ON feeds.url = articles.feed_url
            ORDER BY articles.first_seen_at, articles.article_id
            """  # noqa: S608 - the text is ours
        ).fetchall()
    return [PastArticle(read_article(article), story, is_baseline) for story, is_baseline, *article in rows]


def _numbers(found: pa.Table, column: int, kind: type[Any]) -> npt.NDArray[Any]:
    return np.asarray(found.column(column).to_numpy(), dtype=kind)
