"""Rescoring: stored embeddings by the slice, the texts behind some, and the scores that they get anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage import scores
from storage.newest import turn_newest
from storage.rows import incoming
from storage.scores import Vectors, keeping_little, look_at_vectors

SLICE = 65_536  # embeddings at a time
BY_VECTOR = "+vector"  # ends the name of a head that saw the vector of an article only

Ids = npt.NDArray[np.int64]
Days = npt.NDArray[np.datetime64]
Rows = tuple[int, int]
"""The first and the last row of a slice."""
Texts = tuple[str, str, str | None]
"""Headline, summary and full text of an article."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Articles with their days (datetime64[D])."""

    article_ids: Ids
    days: Days


NOTHING = Slice(np.empty(0, np.int64), np.empty(0, "datetime64[D]"))


@dataclass(frozen=True, slots=True)
class Piece:
    """A small part of a slice and its embeddings, float32 (n, 384); to be looked at before the next piece."""

    part: Slice
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Scorer:
    """What scored: a version of a topic, on embeddings of a revision, by a head."""

    topic: str
    version: str
    encoder_revision: str
    head: str


def count_vectors(
    con: duckdb.DuckDBPyConnection, revision: str, *, since: date | None
) -> tuple[int, dict[str, int]]:
    """Count the articles with an embedding of `revision`, and the others by the newest revision they have.

    Those that have none at all stand under an empty name.
    """
    where = "true" if since is None else "CAST(first_seen_at AT TIME ZONE 'UTC' AS DATE) >= $since"
    rows = con.execute(
        f"""
        WITH wanted AS (SELECT article_id FROM articles WHERE {where}),
        missing AS (
            FROM wanted ANTI JOIN (FROM embeddings WHERE encoder_revision = $revision) USING (article_id)
        )
        SELECT
            coalesce(other, ''), count(*), (SELECT count(*) FROM wanted) - (SELECT count(*) FROM missing)
        FROM missing LEFT JOIN (
            SELECT article_id, max(encoder_revision) AS other FROM embeddings
            WHERE encoder_revision <> $revision GROUP BY article_id
        ) USING (article_id)
        GROUP BY 1
        UNION ALL SELECT NULL, 0, (SELECT count(*) FROM wanted) - (SELECT count(*) FROM missing)
        """,  # noqa: S608 - names are ours
        {"revision": revision} | ({} if since is None else {"since": since}),
    ).fetchall()
    return int(rows[-1][2]), {name: count for name, count, _ in rows if name is not None}


def list_slices(con: duckdb.DuckDBPyConnection, *, since: date | None) -> list[Rows]:
    """Cut the embeddings of all revisions into slices, oldest first."""
    rows = con.execute(
        "SELECT min(rowid), max(rowid) FROM embeddings WHERE day >= coalesce($since, DATE '0001-01-01')",
        {"since": since},
    ).fetchall()
    first, last = rows[0]
    if first is None:
        return []
    return [(at, min(at + SLICE - 1, last)) for at in range(first, last + 1, SLICE)]


def read_slice(
    con: duckdb.DuckDBPyConnection, revision: str, rows: Rows, *, since: date | None = None
) -> Iterator[Piece]:
    """Read the embeddings of `revision` in a slice; those that belong to no article are left out.

    The connection is taken until the last piece.
    """
    with keeping_little(con):
        yield from _read_pieces(con, revision, rows, since)


def _read_pieces(
    con: duckdb.DuckDBPyConnection, revision: str, rows: Rows, since: date | None
) -> Iterator[Piece]:
    found = con.sql(
        "SELECT article_id, day, CAST(embedding AS FLOAT[384]) AS embedding "
        "FROM embeddings WHERE rowid BETWEEN $first AND $last "
        "AND encoder_revision = $revision AND day >= coalesce($since, DATE '0001-01-01')",
        params={"first": rows[0], "last": rows[1], "revision": revision, "since": since},
    )
    for batch in found.to_arrow_reader(scores.PIECE):
        # Copies: a column that is only looked at would keep the vectors of its piece too.
        days = batch["day"].to_numpy(zero_copy_only=False).astype("datetime64[D]")
        yield Piece(Slice(batch["article_id"].to_numpy().copy(), days), look_at_vectors(batch["embedding"]))


def join_slices(parts: Sequence[Slice]) -> Slice:
    """Join slices that follow each other; there is at least one."""
    return Slice(
        np.concatenate([part.article_ids for part in parts]), np.concatenate([part.days for part in parts])
    )


def load_texts(con: duckdb.DuckDBPyConnection, article_ids: Ids) -> list[Texts]:
    """Load headline, summary and full text of stored articles, in the order of their ids."""
    with incoming(con, pa.table({"article_id": article_ids})):
        # Only the rows between the first and the last article are read: slices lie together there too.
        first, last = con.execute(
            "SELECT coalesce(min(articles.rowid), 0), coalesce(max(articles.rowid), 0) "
            "FROM articles SEMI JOIN incoming USING (article_id)"
        ).fetchall()[0]
        rows = con.execute(
            "SELECT article_id, title, summary, full_text "
            "FROM articles SEMI JOIN incoming USING (article_id) WHERE rowid BETWEEN ? AND ?",
            [first, last],
        ).fetchall()
    found = {article_id: (title, summary, full_text) for article_id, title, summary, full_text in rows}
    return list(map(found.__getitem__, article_ids.tolist()))


def find_scored(con: duckdb.DuckDBPyConnection, topics: Sequence[str]) -> set[str]:
    """Tell which of the topics have any score."""
    rows = con.execute(
        "SELECT DISTINCT topic FROM scores WHERE list_contains($topics, topic)", {"topics": list(topics)}
    ).fetchall()
    return {topic for (topic,) in rows}


def add_scores(con: duckdb.DuckDBPyConnection, scorer: Scorer, scored: pa.Table, *, now: datetime) -> int:
    """Add the first scores of a topic, from a table as `build_scores` makes it; return how many.

    The caller knows that the topic has no score of these articles.
    """
    with incoming(con, scored):
        return _insert(con, scorer, now, "incoming")


def replace_scores(con: duckdb.DuckDBPyConnection, scorer: Scorer, scored: pa.Table, *, now: datetime) -> int:
    """Put a scorer's scores of these articles in use, and add those that are not stored; return how many.

    A score that the same scorer gave before stays as it is, also one refined by a second opinion; but one by
    the vector alone gives way to one by the text. Others of the topic are kept and go out of use; their
    months are marked for publishing.
    """
    days = scored["day"].to_numpy()
    facts = _name(scorer) | {"first": str(days.min()), "last": str(days.max())}
    with incoming(con, scored):
        con.execute(
            """
            CREATE TEMP TABLE held AS
            SELECT article_id, arg_max(
                scores.head, (NOT ends_with(scores.head, $by_vector), scores.scored_at)
            ) AS head
            FROM scores JOIN (SELECT article_id, by_text FROM incoming) USING (article_id)
            WHERE topic = $topic AND topic_version = $version AND encoder_revision = $revision
                AND (scores.head = $head OR starts_with(scores.head, $head || '+'))
                AND NOT (by_text AND scores.head = $head || $by_vector)
                AND day BETWEEN CAST($first AS DATE) AND CAST($last AS DATE)
            GROUP BY article_id
            """,
            facts | {"by_vector": BY_VECTOR},
        )
        _put_in_use(con, facts)
        added = _insert(con, scorer, now, "incoming ANTI JOIN temp.held USING (article_id)")
        con.execute("DROP TABLE temp.held")
    return added


def build_scores(part: Slice, values: Vectors, *, by_text: npt.NDArray[np.bool_]) -> pa.Table:
    """Lay out one topic's scores (n,) of a slice; `by_text` (n,) tells which had the text too."""
    return pa.table({"article_id": part.article_ids, "day": part.days, "score": values, "by_text": by_text})


def _put_in_use(con: duckdb.DuckDBPyConnection, facts: dict[str, object]) -> None:
    turn_newest(
        con,
        """(
            SELECT incoming.article_id, coalesce(held.head, '') AS head
            FROM incoming LEFT JOIN temp.held ON held.article_id = incoming.article_id
        ) AS wanted""",
        """scores.topic = $topic AND scores.day BETWEEN CAST($first AS DATE) AND CAST($last AS DATE)
            AND scores.article_id = wanted.article_id
            AND scores.is_newest <> (
                scores.topic_version = $version AND scores.encoder_revision = $revision
                AND scores.head = wanted.head
            )""",
        {name: value for name, value in facts.items() if name != "head"},
    )


def _insert(con: duckdb.DuckDBPyConnection, scorer: Scorer, now: datetime, source: str) -> int:
    [(added,)] = con.execute(
        f"""
        INSERT INTO scores (
            article_id, topic, topic_version, encoder_revision, head, score, scored_at, day, is_newest
        )
        SELECT article_id, $topic, $version, $revision,
            CASE WHEN by_text THEN $head ELSE $head || '{BY_VECTOR}' END, score, $now, day, true
        FROM {source}
        """,  # noqa: S608 - names are ours
        _name(scorer) | {"now": now},
    ).fetchall()
    return int(added)


def _name(scorer: Scorer) -> dict[str, object]:
    return {
        "topic": scorer.topic,
        "version": scorer.version,
        "revision": scorer.encoder_revision,
        "head": scorer.head,
    }
