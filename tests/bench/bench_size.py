"""Measures what a history of real articles weighs by table, and embeddings in three forms.

    python tests/bench/bench_size.py POOL.jsonl.gz [--articles 20000] [--encoded 3000]

The pool has a line per article: title, summary, url, outlet. The first ones are embedded and scored by the
shipped encoder and heads; vectors and scores of the others repeat theirs (floats do not compress by that).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import itertools
import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from models.encode import load_encoder
from models.heads import build_heads
from models.text import compose_text
from models.topics import default_topics
from storage.articles import store_articles
from storage.compact import compact
from storage.database import ROW_GROUP, Database, connect
from storage.history_file import PARQUET, published_path
from storage.prune import PruneOrder, prune
from storage.publish import publish
from storage.scores import ScoreBlock, store_embeddings, store_scores
from storage.stories import store_ties
from storage.topics import record_topics
from tocsin.types import Article, Sighting, StoryTie

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
RUN = 250  # articles that a run stores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--articles", type=int, default=20_000)
    parser.add_argument("--encoded", type=int, default=3_000)
    options = parser.parse_args()
    articles = read_articles(options.pool, options.articles)
    encoder = load_encoder()
    texts = [compose_text(article.title, article.summary) for article in articles[: options.encoded]]
    vectors = np.concatenate([encoder.embed(texts[at : at + 250]) for at in range(0, len(texts), 250)])
    topics = default_topics()
    heads = build_heads(topics, encoder)
    values = heads.score(vectors, texts)
    with tempfile.TemporaryDirectory(prefix="bench-size-") as folder:
        db = Database(Path(folder) / "tocsin.duckdb")
        store(db, articles, vectors, values, (topics, encoder.revision, heads.names))
        report(db, len(articles))
    compare_forms(vectors)


def read_articles(pool, count):
    """Give so many articles of the pool, spread over the last 200 days, oldest first."""
    with gzip.open(pool, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in itertools.islice(lines, count)]
    step = timedelta(days=200) / len(rows)
    return [
        Article(
            number_of(row["url"] or row["id"]), row["url"], row["title"], row["summary"], row["outlet"],
            f"https://feeds.example/{number_of(row['outlet']) % 200}", seen, seen, row.get("lang"),
        )
        for number, row in enumerate({row["url"]: row for row in rows}.values())
        for seen in [NOW - timedelta(days=200) + number * step]
    ]  # fmt: skip


def number_of(text):
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def store(db, articles, vectors, values, judged):
    topics, revision, heads = judged
    with db.write() as con:
        versions = record_topics(con, topics, run_id="run", now=NOW)
    for at in range(0, len(articles), RUN):
        part = articles[at : at + RUN]
        ids = [article.article_id for article in part]
        rows = np.arange(at, at + len(part)) % len(vectors)
        keys = {number_of(f"{kind}{article.url}"): article.article_id for article in part for kind in "ugc"}
        sightings = [
            Sighting(each.feed_url, each.article_id, each.url, each.url, each.title, each.published_at,
                     each.first_seen_at, True)
            for each in part
        ]  # fmt: skip
        with db.write() as con:
            run = f"0b54f7a2-5c3c-4f5e-9d1e-{at:012d}"
            store_articles(con, run, articles=part, sightings=sightings, keys=keys)
            store_embeddings(con, revision, ids, vectors[rows])
            names = [topic.name for topic in topics]
            block = ScoreBlock(ids, names, [versions[name] for name in names], revision, heads, values[rows])
            store_scores(con, block, part[-1].first_seen_at)
            store_ties(con, run, [StoryTie(number, number, None) for number in ids])
    print(f"{len(articles):,} articles in runs of {RUN}, {len(topics)} topics")


def report(db, count):
    """Print bytes an article by table: each table alone in a new file, less what an empty file weighs."""
    grown = db.path.stat().st_size
    done = compact(db)
    print(f"{'live file':<28}{grown / count:>10.0f} bytes an article; compacted {done.after / count:.0f}")
    publish(db, now=NOW)
    root = db.path.parent / PARQUET
    with db.read() as con:
        tables = con.execute(
            "SELECT table_name, estimated_size FROM duckdb_tables() WHERE database_name = current_database() "
            "AND estimated_size > 100"
        ).fetchall()
    empty = weigh(db.path, "SELECT 1 AS one")
    for table, rows in tables:
        live = max(0, weigh(db.path, f"FROM live.{table}") - empty) / count
        print(
            f"  {table:<26}{live:>10.0f} live {parquet(root / table) / count:>8.0f} published  "
            f"{rows / count:.1f} rows"
        )
    for name in ("match_scores", "scored_feed_days", "scored_hours"):
        print(f"  {name:<26}{'':>10}      {parquet(root / name) / count:>8.0f} published")
    whole = sum(file.stat().st_size for file in root.rglob("*.parquet"))
    views = published_path(root.parent).stat().st_size
    print(f"{'published':<28}{whole / count:>10.0f} bytes an article, history.duckdb {views:,}")
    give_back(db)


def parquet(folder):
    return sum(file.stat().st_size for file in folder.rglob("*.parquet"))


def weigh(path, sql):
    with tempfile.TemporaryDirectory() as folder, connect() as con:
        con.execute(f"ATTACH '{path}' AS live (READ_ONLY)")
        con.execute(f"ATTACH '{folder}/one.duckdb' AS one (ROW_GROUP_SIZE {ROW_GROUP})")
        con.execute(f"CREATE TABLE one.rows AS {sql}; DETACH one")
        return (Path(folder) / "one.duckdb").stat().st_size


def give_back(db):
    """Print what pruning half of it gives back: by a checkpoint alone, and by the copy."""
    before = db.path.stat().st_size
    started = time.perf_counter()
    with db.write() as con:
        prune(con, PruneOrder(NOW - timedelta(days=100)))
    pruned = time.perf_counter() - started
    with connect(db.path) as con:
        con.execute("CHECKPOINT")
    checkpoint = db.path.stat().st_size
    started = time.perf_counter()
    after = compact(db).after
    seconds = time.perf_counter() - started
    print(
        f"prune of half: {pruned:.1f} s; file {before:,} bytes, after a checkpoint {checkpoint:,}, "
        f"after the copy {after:,} ({seconds:.1f} s)"
    )


def compare_forms(vectors):
    """Print bytes, recall@20 and time to compare one vector with all, for three forms of embeddings."""
    rng = np.random.default_rng(1)
    asked = vectors[rng.choice(len(vectors), 100, replace=False)]
    exact = np.argsort(-(asked @ vectors.T), axis=1, kind="stable")[:, :20]
    half = vectors.astype(np.float16)
    scale = np.abs(vectors).max(axis=1, keepdims=True) / 127
    small = np.round(vectors / scale).astype(np.int8)
    times = max(1, 60_000 // len(vectors))
    forms = {
        "FLOAT[384]": (vectors, "FLOAT[384]"),
        "float16 BLOB": (half, "BLOB"),
        "TINYINT[384] and a scale": (small, "TINYINT[384]"),
    }
    for name, (form, kind) in forms.items():
        back = form.astype(np.float32) * (scale if form is small else 1)
        found = np.argsort(-(asked @ back.T), axis=1, kind="stable")[:, :20]
        recall = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(exact, found, strict=True)])
        size, seconds = store_form(form, kind, scale[:, 0], asked[0], times)
        print(f"{name:<28}{size:>8.0f} bytes a vector, recall@20 {recall:.3f}, one against "
              f"{times * len(vectors):,}: {seconds * 1000:.0f} ms")  # fmt: skip


def store_form(form, kind, scale, asked, times):
    import pyarrow as pa

    if kind == "BLOB":
        column = pa.array([row.tobytes() for row in form])
    else:
        column = pa.FixedSizeListArray.from_arrays(pa.array(form.ravel()), 384)
    rows = pa.table({"id": np.arange(len(form)), "embedding": column, "scale": scale.astype(np.float32)})
    with tempfile.TemporaryDirectory() as folder, connect() as con:
        path = Path(folder) / "forms.duckdb"
        con.execute(f"ATTACH '{path}' AS one (ROW_GROUP_SIZE {ROW_GROUP})")
        columns = "id, embedding" if kind != "TINYINT[384]" else "id, embedding, scale"
        con.register("rows", rows)
        con.execute(f"CREATE TABLE one.e AS SELECT {columns} FROM rows, range({times})")
        con.execute("CHECKPOINT one")
        size = path.stat().st_size / (times * len(form))
        return size, min(ask_form(con, kind, asked) for _ in range(3))


def ask_form(con, kind, asked):
    started = time.perf_counter()
    if kind == "BLOB":
        found = con.execute("SELECT embedding FROM one.e").fetchnumpy()["embedding"]
        vectors = np.frombuffer(b"".join(found), np.float16).reshape(-1, 384).astype(np.float32)
        np.argpartition(-(vectors @ asked), 20)
    else:
        similar = "array_inner_product(embedding::FLOAT[384], $asked::FLOAT[384])"
        weighed = similar + (" * scale" if kind == "TINYINT[384]" else "")
        con.execute(
            f"SELECT id FROM one.e ORDER BY {weighed} DESC LIMIT 20", {"asked": asked.tolist()}
        ).fetchall()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
