"""Articles that an encoder has not embedded yet: which they are, their texts, and their new vectors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from storage.marks import mark_changed
from storage.rows import incoming
from storage.scores import Vectors, store_embeddings

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StoredText:
    """What an article is embedded by."""

    article_id: int
    title: str
    summary: str
    full_text: str | None


def find_missing(
    con: duckdb.DuckDBPyConnection, revision: str, *, languages: Collection[str], since: date | None
) -> Ids:
    """Find the articles without an embedding of `revision`, the newest first.

    `languages` (ISO 639-1) are those that the encoder covers, none means all; an article whose language is
    not known counts as covered. `since`: only those first seen from that day on (UTC).
    """
    found = con.execute(
        """
        SELECT article_id FROM articles
        ANTI JOIN (SELECT article_id FROM embeddings WHERE encoder_revision = $revision) USING (article_id)
        WHERE (len($languages) = 0 OR language IS NULL OR list_contains($languages, language))
            AND CAST(first_seen_at AT TIME ZONE 'UTC' AS DATE) >= coalesce($since, DATE '0001-01-01')
        ORDER BY first_seen_at DESC, article_id
        """,
        {"revision": revision, "languages": sorted(languages), "since": since},
    ).fetchnumpy()["article_id"]
    return np.asarray(found, np.int64)


def count_embedded(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Count the embeddings of each revision."""
    rows = con.execute("SELECT encoder_revision, count(*) FROM embeddings GROUP BY 1 ORDER BY 1").fetchall()
    return {revision: int(count) for revision, count in rows}


def load_stored_texts(con: duckdb.DuckDBPyConnection, article_ids: Sequence[int] | Ids) -> list[StoredText]:
    """Load the texts of those articles that are still there, in no order."""
    with incoming(con, pa.table({"article_id": pa.array(article_ids, pa.int64())})):
        rows = con.execute(
            "SELECT article_id, title, summary, full_text FROM articles SEMI JOIN incoming USING (article_id)"
        ).fetchall()
    return [StoredText(*row) for row in rows]


def add_embeddings(
    con: duckdb.DuckDBPyConnection, revision: str, article_ids: Sequence[int], vectors: Vectors
) -> int:
    """Store the vectors, float32 (n, 384), of those articles that are still there; return how many."""
    with incoming(con, pa.table({"article_id": pa.array(article_ids, pa.int64())})):
        rows = con.execute("SELECT article_id FROM articles SEMI JOIN incoming USING (article_id)").fetchall()
    there = {article_id for (article_id,) in rows}
    kept = [place for place, article_id in enumerate(article_ids) if article_id in there]
    if kept:
        store_embeddings(con, revision, [article_ids[place] for place in kept], vectors[kept])
    return len(kept)


def drop_embeddings(con: duckdb.DuckDBPyConnection, *, but: str) -> int:
    """Remove other embeddings of the articles that have one of revision `but`; return how many went."""
    replaced = (
        "encoder_revision <> $revision "
        "AND article_id IN (SELECT article_id FROM embeddings WHERE encoder_revision = $revision)"
    )
    months = con.execute(
        f"SELECT strftime(day, '%Y-%m') AS month, count(*) FROM embeddings WHERE {replaced} GROUP BY month",  # noqa: S608
        {"revision": but},
    ).fetchall()
    if months:
        con.execute(f"DELETE FROM embeddings WHERE {replaced}", {"revision": but})  # noqa: S608
        mark_changed(con, "embeddings", (month for month, _ in months if month is not None))
    return sum(count for _, count in months)
