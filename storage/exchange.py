"""Export and import: articles with what was seen, or a topic's matches, as Parquet, CSV or JSON Lines."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import duckdb

from storage.parquet import sync
from storage.problems import explain
from storage.published_tables import select_column
from tocsin.errors import SettingsError

What = Literal["articles", "matches"]

_FORMATS = {
    ".parquet": "FORMAT parquet, COMPRESSION zstd",
    ".csv": "FORMAT csv, HEADER",
    ".jsonl": "FORMAT json",
}
_ARTICLE = {
    "article_id": "BIGINT",
    "url": "VARCHAR",
    "title": "VARCHAR",
    "summary": "VARCHAR",
    "outlet": "VARCHAR",
    "feed_url": "VARCHAR",
    "published_at": "TIMESTAMPTZ",
    "first_seen_at": "TIMESTAMPTZ",
    "language": "VARCHAR",
    "full_text": "VARCHAR",
}
_ENTRY = {
    "feed_url": "VARCHAR",
    "guid": "VARCHAR",
    "url": "VARCHAR",
    "title": "VARCHAR",
    "published_at": "TIMESTAMPTZ",
    "first_seen_at": "TIMESTAMPTZ",
}
_MATCH = {
    "topic": "VARCHAR",
    "topic_version": "VARCHAR",
    "topic_definition": "VARCHAR",
    "threshold": "DOUBLE",
    "encoder_revision": "VARCHAR",
    "head": "VARCHAR",
    "score": "FLOAT",
    "scored_at": "TIMESTAMPTZ",
}
_ENTRIES = "STRUCT(" + ", ".join(f"{name} {kind}" for name, kind in _ENTRY.items()) + ")[]"
_SEEN = "BIGINT[]"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import found in its file, and what of it was new."""

    articles: int
    new_articles: int
    new_entries: int
    new_scores: int


def export_history(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    what: What,
    *,
    topics: Iterable[str] = (),
    since: date | None = None,
) -> int:
    """Write articles, or matches of `topics` (none: all), to a file by its suffix; return how many rows.

    The file is complete or not there. Users and passwords of feeds are left out.
    Raises: SettingsError for another suffix, StorageError if the file cannot be written.
    """
    options = _FORMATS[choose_format(path)]
    sql = _select_rows(path.suffix, what, list(topics), since)
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    target = str(draft).replace("'", "''")
    try:
        [(rows,)] = con.execute(f"COPY ({sql}) TO '{target}' ({options})").fetchall()
        sync(draft)
        draft.replace(path)
    except (duckdb.Error, OSError) as error:
        raise explain(error, path) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return int(rows)


def import_history(con: duckdb.DuckDBPyConnection, path: Path, *, run_id: str, now: datetime) -> Imported:
    """Store what an export holds and the history does not: articles, entries, what was seen, scores, topics.

    What is stored already is left as it is, so a second time adds nothing. Nothing imported is ever alerted:
    runs alert only what they see for the first time, and what was imported has been seen.
    Raises: SettingsError if the file is no export, or another suffix.
    """
    choose_format(path)
    if not path.exists():
        raise SettingsError(f"{path}: there is no such file")
    columns = _read_columns(con, path)
    missing = [name for name in (*_ARTICLE, "entries", "seen") if name not in columns]
    if missing:
        raise SettingsError(f"{path}: is not an export of articles or matches: it lacks {', '.join(missing)}")
    con.execute(f"CREATE OR REPLACE TEMP TABLE arrived AS {_select_arrived(path, columns)}")
    try:
        return _store_arrived(con, run_id, now, has_matches=all(name in columns for name in _MATCH))
    except duckdb.ConstraintException as error:
        raise SettingsError(f"{path}: a row lacks what it must have: {error}") from error
    finally:
        with suppress(duckdb.Error):
            con.execute("DROP TABLE temp.arrived")


def choose_format(path: Path) -> str:
    """Return the suffix that names the format. Raises: SettingsError for one that is not known."""
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise SettingsError(f"{path}: name the file .parquet, .csv or .jsonl, after the format")
    return suffix


def _select_rows(suffix: str, what: What, topics: list[str], since: date | None) -> str:
    articles = ", ".join(f"articles.{name}" for name in _ARTICLE if name != "feed_url")
    entry = ", ".join(f"{name} := {_hide(name)}" for name in _ENTRY)
    as_text = "CAST(to_json({}) AS VARCHAR)" if suffix == ".csv" else "{}"
    listed = ", ".join("'" + topic.replace("'", "''") + "'" for topic in topics)
    days = f"CAST(articles.first_seen_at AT TIME ZONE 'UTC' AS DATE) >= DATE '{since}'" if since else "true"
    matches = (
        ", " + ", ".join(f"found.{name}" for name in _MATCH),
        "JOIN found ON found.article_id = articles.article_id",
        ", found.topic",
    )
    columns, joined, order = matches if what == "matches" else ("", "", "")
    return f"""
        WITH told AS (
            SELECT article_id, list(struct_pack({entry}) ORDER BY first_seen_at, feed_url, title) AS entries
            FROM entries GROUP BY article_id
        ),
        known AS (SELECT article_id, list(key ORDER BY key) AS keys FROM seen GROUP BY article_id),
        found AS (
            SELECT match_scores.*, definitions.topic_definition
            FROM match_scores JOIN (
                SELECT topic, version AS topic_version,
                    any_value(CAST(definition AS VARCHAR)) AS topic_definition
                FROM topics GROUP BY ALL
            ) AS definitions USING (topic, topic_version)
            WHERE {f"topic IN ({listed})" if topics else "true"}
        )
        SELECT {articles}, {_hide("feed_url", "articles.")} AS feed_url,
            {as_text.format(f"coalesce(told.entries, CAST([] AS {_ENTRIES}))")} AS entries,
            {as_text.format(f"coalesce(known.keys, CAST([] AS {_SEEN}))")} AS seen{columns}
        FROM articles LEFT JOIN told ON told.article_id = articles.article_id
        LEFT JOIN known ON known.article_id = articles.article_id {joined}
        WHERE {days} ORDER BY articles.first_seen_at, articles.article_id{order}
    """  # noqa: S608 - names are ours, and topics are quoted


def _hide(column: str, table: str = "") -> str:
    """Write a column as it may leave the house: without users and passwords of feeds."""
    return select_column("entries", column).partition(" AS ")[0].replace(f'"{column}"', f'{table}"{column}"')


def _read_columns(con: duckdb.DuckDBPyConnection, path: Path) -> set[str]:
    place = "'" + str(path).replace("'", "''") + "'"
    reader = {
        ".parquet": f"read_parquet({place})",
        ".csv": f"read_csv({place}, header = true, all_varchar = true)",
        ".jsonl": f"read_json({place}, format = 'newline_delimited', maximum_depth = 1)",
    }[choose_format(path)]
    try:
        return {row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall()}  # noqa: S608
    except duckdb.Error as error:
        raise SettingsError(f"{path}: cannot be read as {path.suffix[1:]}: {error}") from error


def _select_arrived(path: Path, columns: set[str]) -> str:
    """Write the SQL that reads an export with the right types, whatever its format."""
    plain = {name: kind for name, kind in (_ARTICLE | _MATCH).items() if name in columns}
    nested = {"entries": _ENTRIES, "seen": _SEEN}
    place, suffix = "'" + str(path).replace("'", "''") + "'", choose_format(path)
    casts = [f"CAST({name} AS {kind}) AS {name}" for name, kind in plain.items()]
    if suffix == ".csv":
        source = f"read_csv({place}, header = true, all_varchar = true)"
        casts = [_read_csv_column(name, kind) for name, kind in plain.items()]
        casts += [f"CAST(CAST({name} AS JSON) AS {kind}) AS {name}" for name, kind in nested.items()]
    elif suffix == ".jsonl":
        kinds = ", ".join(f"{name}: '{kind}'" for name, kind in (plain | nested).items())
        source = f"read_json({place}, format = 'newline_delimited', columns = {{{kinds}}})"
        casts += list(nested)
    else:
        source = f"read_parquet({place})"
        casts += [f"CAST({name} AS {kind}) AS {name}" for name, kind in nested.items()]
    return f"SELECT {', '.join(casts)} FROM {source}"  # noqa: S608 - names are ours


def _read_csv_column(name: str, kind: str) -> str:
    """Read a column of CSV, which does not tell an empty text from none."""
    source = f"coalesce({name}, '')" if name in {"title", "summary", "outlet", "feed_url"} else name
    return f"CAST({source} AS {kind}) AS {name}"


def _store_arrived(
    con: duckdb.DuckDBPyConnection, run_id: str, now: datetime, *, has_matches: bool
) -> Imported:
    [(articles,)] = con.execute("SELECT count(DISTINCT article_id) FROM temp.arrived").fetchall()
    names = ", ".join(_ARTICLE)
    new_articles = _count(
        con,
        f"""
        INSERT INTO articles ({names}, run_id)
        SELECT {names}, $run_id FROM temp.arrived ANTI JOIN articles USING (article_id)
        QUALIFY row_number() OVER (PARTITION BY article_id ORDER BY first_seen_at) = 1
        ORDER BY first_seen_at, article_id
        """,  # noqa: S608 - names are ours
        {"run_id": run_id},
    )
    entry = ", ".join(_ENTRY)
    new_entries = _count(
        con,
        f"""
        INSERT INTO entries (article_id, {entry}, run_id)
        SELECT article_id, {entry}, $run_id FROM (
            SELECT DISTINCT article_id, {", ".join(f"entry.{name} AS {name}" for name in _ENTRY)}
            FROM (SELECT article_id, unnest(entries) AS entry FROM temp.arrived)
        ) ANTI JOIN entries USING (article_id, feed_url, title)
        QUALIFY row_number() OVER (PARTITION BY article_id, feed_url, title ORDER BY first_seen_at) = 1
        ORDER BY first_seen_at, article_id
        """,  # noqa: S608 - names are ours
        {"run_id": run_id},
    )
    con.execute(
        "INSERT INTO seen (key, article_id) SELECT key, min(article_id) "
        "FROM (SELECT unnest(seen) AS key, article_id FROM temp.arrived) "
        "ANTI JOIN seen USING (key) GROUP BY key"
    )
    new_scores = _store_matches(con, run_id, now) if has_matches else 0
    return Imported(articles, new_articles, new_entries, new_scores)


def _store_matches(con: duckdb.DuckDBPyConnection, run_id: str, now: datetime) -> int:
    """Store scores and the versions of topics that they are of; a score in use stays in use."""
    con.execute(
        """
        INSERT INTO topics (topic, version, definition, threshold, recorded_at, run_id)
        SELECT topic, topic_version, any_value(topic_definition), any_value(threshold), $now, $run_id
        FROM temp.arrived
        ANTI JOIN (SELECT topic, version AS topic_version FROM topics) USING (topic, topic_version)
        GROUP BY topic, topic_version
        """,
        {"now": now, "run_id": run_id},
    )
    same = "article_id, topic, topic_version, encoder_revision, head"
    return _count(
        con,
        f"""
        INSERT INTO scores ({same}, score, scored_at, day, is_newest)
        SELECT {same}, score, scored_at, CAST(first_seen_at AT TIME ZONE 'UTC' AS DATE),
            (article_id, topic) NOT IN (SELECT (article_id, topic) FROM scores WHERE is_newest)
                AND row_number() OVER (PARTITION BY article_id, topic ORDER BY scored_at DESC) = 1
        FROM (
            SELECT DISTINCT ON ({same}) {same}, score, scored_at FROM temp.arrived
        ) ANTI JOIN scores USING ({same}) JOIN articles USING (article_id)
        """,  # noqa: S608 - names are ours
    )


def _count(con: duckdb.DuckDBPyConnection, sql: str, values: dict[str, object] | None = None) -> int:
    [(count,)] = con.execute(sql, values).fetchall()
    return int(count)
