"""Embeddings and scores: what the models said of articles, kept for every version that said it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.newest import turn_newest
from storage.rows import BIGINT, build_column, incoming
from tocsin.errors import StorageError

DIMENSIONS = 384
PIECE = 2_048  # embeddings in memory at a time: what DuckDB computes with, so that no copy of more is made
KEPT = 128 * 2**20  # bytes of what was read that DuckDB keeps meanwhile
LANGUAGE = "language"  # why an article is not scored: the encoder does not cover its language

Vectors = npt.NDArray[np.float32]

_SAME_SCORE = "article_id, topic, topic_version, encoder_revision, head"


@dataclass(frozen=True, slots=True)
class ScoreBlock:
    """Scores of n articles for k topics.

    `article_ids` has n items; `topics`, `versions` and `heads` (what scored the topic) have k each;
    `values` is float32 (n, k), 0 to 1. `refined` names by row and column what scored single pairs otherwise.
    """

    article_ids: Sequence[int]
    topics: Sequence[str]
    versions: Sequence[str]
    encoder_revision: str
    heads: Sequence[str]
    values: Vectors
    refined: Mapping[tuple[int, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(
            len(self.topics) == len(self.versions) == len(self.heads), "has a version and a head per topic"
        )
        _require(_are_unique(self.article_ids) and _are_unique(self.topics), "has no article or topic twice")
        _require(
            self.values.shape == (len(self.article_ids), len(self.topics)),
            "has a value per article and topic",
        )
        _require(bool(((self.values >= 0) & (self.values <= 1)).all()), "has values from 0 to 1 only")


def store_embeddings(
    con: duckdb.DuckDBPyConnection, revision: str, article_ids: Sequence[int], embeddings: Vectors
) -> None:
    """Store unit vectors, float32 (n, 384), of n articles; those stored already are left as they are.

    Raises: StorageError if the shape is another or a number is not finite.
    """
    _require(
        embeddings.shape == (len(article_ids), DIMENSIONS), f"is an array of (n, {DIMENSIONS}) embeddings"
    )
    _require(_are_unique(article_ids), "has no article twice")
    _require(bool(np.isfinite(embeddings).all()), "has finite numbers only")
    flat = pa.array(np.ascontiguousarray(embeddings, np.float32).ravel())
    table = pa.table(
        {
            "article_id": pa.array(article_ids, pa.int64()),
            "embedding": pa.FixedSizeListArray.from_arrays(flat, DIMENSIONS),
        }
    )
    with incoming(con, table):
        con.execute(
            """
            INSERT INTO embeddings (article_id, encoder_revision, embedding, day)
            SELECT article_id, $revision, embedding, CAST(first_seen_at AT TIME ZONE 'UTC' AS DATE)
            FROM (
                FROM incoming
                ANTI JOIN (FROM embeddings WHERE encoder_revision = $revision) USING (article_id)
            )
            LEFT JOIN articles USING (article_id)
            """,
            {"revision": revision},
        )


def mark_unscored(
    con: duckdb.DuckDBPyConnection,
    revision: str,
    article_ids: Sequence[int],
    *,
    reason: str,
    now: datetime,
) -> None:
    """Mark articles that an encoder's revision cannot judge, so that no score is not taken for none yet.

    A mark made already is left as it is. Scores by another revision take an article out of the view
    `unscored_articles`; the mark itself stays.
    """
    if not article_ids:
        return
    with incoming(con, build_column("article_id", BIGINT, article_ids)):
        con.execute(
            """
            INSERT INTO unscored (article_id, encoder_revision, reason, marked_at)
            SELECT article_id, $revision, $reason, $now
            FROM (SELECT DISTINCT article_id FROM incoming)
                ANTI JOIN (FROM unscored WHERE encoder_revision = $revision) USING (article_id)
            """,
            {"revision": revision, "reason": reason, "now": now},
        )


def store_scores(con: duckdb.DuckDBPyConnection, block: ScoreBlock, now: datetime) -> None:
    """Store scores of stored articles and put them in use; older scores of the pairs are kept, not newest.

    A score stored already for the same version, encoder revision and head is left as it is.
    Raises: StorageError if an article is not stored.
    """
    with incoming(con, _flatten(block)):
        turn_newest(
            con,
            "incoming",
            """scores.article_id = incoming.article_id AND scores.topic = incoming.topic
                AND scores.is_newest <> (
                    scores.topic_version = incoming.topic_version
                    AND scores.encoder_revision = incoming.encoder_revision AND scores.head = incoming.head
                )""",
        )
        con.execute(
            f"""
            INSERT INTO scores ({_SAME_SCORE}, score, scored_at, day, is_newest)
            SELECT {_SAME_SCORE}, score, $now, CAST(first_seen_at AT TIME ZONE 'UTC' AS DATE), true
            FROM (FROM incoming ANTI JOIN scores USING ({_SAME_SCORE}))
            LEFT JOIN articles USING (article_id)
            """,  # noqa: S608 - names are ours
            {"now": now},
        )


def _flatten(block: ScoreBlock) -> pa.Table:
    """Lay the block out as one row per article and topic, article by article."""
    articles, topics = block.values.shape
    count = articles * topics
    return pa.table(
        {
            "article_id": np.repeat(np.asarray(block.article_ids, np.int64), topics),
            "topic": _tile(block.topics, articles),
            "topic_version": _tile(block.versions, articles),
            "encoder_revision": pa.repeat(pa.scalar(block.encoder_revision, pa.string()), count),
            "head": _name_heads(block),
            "score": pa.array(np.ascontiguousarray(block.values, np.float32).ravel()),
        }
    )


def _tile(names: Sequence[str], times: int) -> pa.StringArray:
    return pa.array(list(names) * times, pa.string())


def _name_heads(block: ScoreBlock) -> pa.StringArray:
    names = list(block.heads) * len(block.article_ids)
    for (row, column), head in block.refined.items():
        names[row * len(block.heads) + column] = head
    return pa.array(names, pa.string())


def _are_unique(values: Sequence[object]) -> bool:
    return len(set(values)) == len(values)


def _require(holds: bool, what: str) -> None:  # noqa: FBT001 - an assertion by another name
    if not holds:
        raise StorageError(f"What the models gave cannot be stored: a block {what}")


def look_at_vectors(chunk: Any) -> Vectors:
    """Look at vectors where they are; `flatten` would do it too, and load a module for 0.3 seconds."""
    numbers = chunk.values.to_numpy()
    return np.asarray(numbers.reshape(-1, DIMENSIONS)[chunk.offset : chunk.offset + len(chunk)], np.float32)


@contextmanager
def keeping_little(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Have DuckDB read into the same memory again and again: new memory for all costs as much as reading."""
    [(held,)] = con.execute(
        "SELECT coalesce(sum(memory_usage_bytes), 0)::BIGINT FROM duckdb_memory() WHERE tag <> 'BASE_TABLE'"
    ).fetchall()
    with suppress(duckdb.OutOfMemoryException):  # then it keeps what it likes
        con.execute(f"SET memory_limit = '{held + KEPT}B'")
    try:
        yield
    finally:
        with suppress(duckdb.Error):  # after an error the connection is closed, and its limit goes with it
            con.execute("RESET memory_limit")
