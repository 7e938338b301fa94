"""Articles, the entries behind them, and the identities that were ever seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any

import duckdb

from storage.rows import BIGINT, INSTANT, TEXT, Columns, as_utc, build_column, build_rows, incoming
from tocsin.types import Article, Sighting

_ARTICLES: Columns = {
    "article_id": BIGINT,
    "url": TEXT,
    "title": TEXT,
    "summary": TEXT,
    "outlet": TEXT,
    "feed_url": TEXT,
    "published_at": INSTANT,
    "first_seen_at": INSTANT,
    "run_id": TEXT,
    "language": TEXT,
    "full_text": TEXT,
}
# Of one article, in the order in which `read_article` takes them.
ARTICLE = (
    "articles.article_id, articles.url, articles.title, articles.summary, articles.outlet, "
    "articles.feed_url, articles.published_at, articles.first_seen_at, articles.language, articles.full_text"
)
_ENTRIES: Columns = {
    "feed_url": TEXT,
    "article_id": BIGINT,
    "guid": TEXT,
    "url": TEXT,
    "title": TEXT,
    "published_at": INSTANT,
    "first_seen_at": INSTANT,
    "run_id": TEXT,
}
_SEEN: Columns = {"key": BIGINT, "article_id": BIGINT}


def read_article(row: Sequence[Any]) -> Article:
    """Read a row of the columns `ARTICLE`."""
    article_id, url, title, summary, outlet, feed_url, published_at, first_seen_at, language, full_text = row
    return Article(
        article_id=article_id,
        url=url,
        title=title,
        summary=summary,
        outlet=outlet,
        feed_url=feed_url,
        published_at=as_utc(published_at),
        first_seen_at=first_seen_at.astimezone(UTC),
        language=language,
        full_text=full_text,
    )


def find_known(con: duckdb.DuckDBPyConnection, keys: Sequence[int]) -> dict[int, int]:
    """Map those of the identity keys that were seen before to their article ids."""
    with incoming(con, build_column("key", BIGINT, keys)):
        rows = con.execute("SELECT key, article_id FROM seen SEMI JOIN incoming USING (key)").fetchall()
    return dict(rows)


def load_headlines(con: duckdb.DuckDBPyConnection, article_ids: Sequence[int]) -> dict[int, list[str]]:
    """Find every headline that feeds gave these articles, sorted."""
    found: dict[int, list[str]] = {}
    with incoming(con, build_column("article_id", BIGINT, article_ids)):
        rows = con.execute(
            "SELECT DISTINCT article_id, title FROM entries SEMI JOIN incoming USING (article_id) "
            "ORDER BY ALL"
        ).fetchall()
    for article_id, title in rows:
        found.setdefault(article_id, []).append(title)
    return found


def store_articles(
    con: duckdb.DuckDBPyConnection,
    run_id: str,
    *,
    articles: Sequence[Article],
    sightings: Iterable[Sighting],
    keys: Mapping[int, int],
) -> int:
    """Store new articles, who carried them, and the identities (key to article id) that stand for them.

    An entry is a feed's first sighting of an article, and of each further headline it gives it; of an
    article that was pruned there are none. What is stored already is left as it is: a repeated run adds
    nothing. Returns how many articles were new.
    """
    added = _add_articles(con, [_write_article(article, run_id) for article in articles])
    _add_entries(con, [_write_sighting(sighting, run_id) for sighting in sightings])
    _add_seen(con, keys)
    return added


def _add_articles(con: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[object]]) -> int:
    if not rows:
        return 0
    with incoming(con, build_rows(_ARTICLES, rows)):
        added = con.execute(
            f"""
            INSERT INTO articles ({", ".join(_ARTICLES)})
            SELECT {", ".join(_ARTICLES)} FROM incoming ANTI JOIN articles USING (article_id)
            QUALIFY row_number() OVER (PARTITION BY article_id ORDER BY first_seen_at) = 1
            """  # noqa: S608 - names are ours
        ).fetchall()
    return int(added[0][0])


def _add_entries(con: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[object]]) -> None:
    if not rows:
        return
    with incoming(con, build_rows(_ENTRIES, rows)):
        con.execute(
            f"""
            INSERT INTO entries ({", ".join(_ENTRIES)})
            SELECT {", ".join(_ENTRIES)} FROM incoming
            SEMI JOIN articles USING (article_id)  -- not of one that was pruned
            ANTI JOIN entries USING (article_id, feed_url, title)
            QUALIFY row_number() OVER (PARTITION BY article_id, feed_url, title ORDER BY first_seen_at) = 1
            """  # noqa: S608 - names are ours
        )


def _add_seen(con: duckdb.DuckDBPyConnection, keys: Mapping[int, int]) -> None:
    if not keys:
        return
    with incoming(con, build_rows(_SEEN, list(keys.items()))):
        con.execute(
            "INSERT INTO seen (key, article_id) "
            "SELECT key, article_id FROM incoming ANTI JOIN seen USING (key)"
        )


def _write_article(article: Article, run_id: str) -> tuple[object, ...]:
    return (
        article.article_id,
        article.url,
        article.title,
        article.summary,
        article.outlet,
        article.feed_url,
        article.published_at,
        article.first_seen_at,
        run_id,
        article.language,
        article.full_text,
    )


def _write_sighting(sighting: Sighting, run_id: str) -> tuple[object, ...]:
    return (
        sighting.feed_url,
        sighting.article_id,
        sighting.guid,
        sighting.url,
        sighting.title,
        sighting.published_at,
        sighting.seen_at,
        run_id,
    )
