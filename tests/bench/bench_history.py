"""Measures the history: trends from a cold reader, publishing after a run, storing; SQLite beside it.

python tests/bench/bench_history.py [--articles 1000000] [--no-sqlite]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
from invented_history import NOW, TOPICS, invent_history

from storage.articles import find_known, store_articles
from storage.database import Database
from storage.folder import history_path
from storage.history_file import published_path
from storage.publish import publish
from storage.scores import ScoreBlock, store_embeddings, store_scores
from tocsin.types import Article

_COLD = """
import sys, time
import duckdb
begin, used = time.perf_counter(), time.process_time()
con = duckdb.connect(sys.argv[1], read_only=True)
rows = con.execute("SELECT * FROM topic_trend ORDER BY topic, day").fetchall()
print(len(rows), time.perf_counter() - begin, time.process_time() - used)
"""
# What SQLite can say of it: without medians, and with windows by row instead of by day.
_SQLITE = """
WITH usual AS (
    SELECT topic, feed_url, sum(score >= 0.5) * 1.0 / (count(*) + 5) AS own
    FROM scores JOIN articles USING (article_id)
    WHERE is_newest AND day > (SELECT date(max(day), '-28 day') FROM scores)
    GROUP BY topic, feed_url
),
counted AS (
    SELECT day, topic, sum(score >= 0.5) AS matches, count(*) AS articles, sum(own) AS own
    FROM scores JOIN articles USING (article_id) LEFT JOIN usual USING (topic, feed_url)
    WHERE is_newest GROUP BY day, topic
)
SELECT day, topic, matches, matches * 1.0 / articles, avg(matches) OVER (w ROWS 6 PRECEDING),
    avg(matches) OVER (w ROWS 27 PRECEDING), matches / own
FROM counted WINDOW w AS (PARTITION BY topic ORDER BY day) ORDER BY topic, day
"""


def main() -> None:
    options = _read_options()
    folder = Path(tempfile.mkdtemp(prefix="bench-history-", dir=options.folder))
    try:
        for name, value, target in _measure(folder, options):
            print(f"{name:<72} {value:>10} {target}", flush=True)
    finally:
        shutil.rmtree(folder)


def _read_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--articles", type=int, default=1_000_000)
    parser.add_argument("--no-sqlite", action="store_true")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work [default: the system's]")
    return parser.parse_args()


def _measure(folder, options):
    db = Database(history_path(folder))
    yield "processors / load", f"{os.cpu_count()} / {os.getloadavg()[0]:.1f}", ""
    seconds, _ = _timed(lambda: invent_history(db, options.articles))
    yield f"invent {options.articles:,} articles with 10 scores each", _say(seconds), ""
    seconds, done = _timed(lambda: publish(db, now=NOW))
    yield f"publish all of it ({done.rows:,} rows, {done.files} files)", _say(seconds), ""
    yield "live file / Parquet", f"{_mb(db.path)} / {_mb(folder / 'history')}", "MB"
    yield from _trends(folder, db, options)
    yield from _publications(db, options)
    yield from _storing(db, options)


def _trends(folder, db, options):
    path = published_path(folder)
    found = [_cold(path) for _ in range(options.repeat)]
    cold = statistics.median(each[1] for each in found)
    yield f"topic_trend, cold reader: open and fetch {found[0][0]:,} days", _say(cold), "reach 0.4 s"
    yield "  fastest", _say(min(each[1] for each in found)), ""
    yield "  processor time", _say(statistics.median(each[2] for each in found)), ""
    yield "  with the start of its process", _say(statistics.median(each[3] for each in found)), ""
    if options.articles <= 1_000_000:
        with db.read() as con:
            live, _ = _timed(lambda: con.execute("SELECT * FROM topic_trend ORDER BY topic, day").fetchall())
        yield "  the same view on the live database, counted from all scores", _say(live), ""
    if not options.no_sqlite:
        seconds = _sqlite(folder, db)
        yield "  SQLite, less of it (no medians)", _say(seconds), f"{seconds / cold:.0f} times; reach 30"


def _cold(path):
    seconds, said = _timed(
        lambda: (
            subprocess.run(
                [sys.executable, "-c", _COLD, str(path)], check=True, capture_output=True, text=True
            ).stdout
        )
    )
    rows, inside, used = said.split()
    return int(rows), float(inside), float(used), seconds


def _publications(db, options):
    seconds, used = [], []
    for number in range(options.repeat):
        store_run(db, number=number, count=1000)
        begin = time.process_time()
        seconds.append(_timed(lambda number=number: publish(db, now=NOW + timedelta(minutes=number)))[0])
        used.append(time.process_time() - begin)
    yield "publish after a run of 1,000 new articles, median", _say(statistics.median(seconds)), "reach 1 s"
    yield "  fastest / slowest", f"{min(seconds):.2f} / {max(seconds):.2f}", ""
    yield "  processor time", _say(statistics.median(used)), ""


def _storing(db, options):
    seconds = [store_run(db, number=100 + number, count=5000) for number in range(min(3, options.repeat))]
    yield "store 5,000 new articles with scores, median", _say(statistics.median(seconds)), "reach 2 s"


def store_run(db, *, number, count):
    """Store a run as the pipeline does (known and new, articles, vectors, scores); give seconds."""
    first = 1_000_000_000 + number * 10_000
    now = NOW + timedelta(minutes=number)
    articles = [
        Article(each, f"https://run.example/{each}", f"Headline {each}", "A summary.", "Outlet 1",
                f"https://feeds.example/{each % 200}", now, now, "en")
        for each in range(first, first + count)
    ]  # fmt: skip
    ids = [article.article_id for article in articles]
    rng = np.random.default_rng(number)
    vectors = rng.standard_normal((count, 384)).astype(np.float32)
    block = ScoreBlock(
        ids, [topic.name for topic in TOPICS], [topic.version for topic in TOPICS], "encoder",
        ["head"] * len(TOPICS), rng.random((count, len(TOPICS))).astype(np.float32) ** 8,
    )  # fmt: skip
    begin = time.perf_counter()
    with db.read() as con:
        find_known(con, [*ids, *range(count)])
    with db.write() as con:
        store_articles(
            con, f"run-{number}", articles=articles, sightings=(), keys={each: each for each in ids}
        )
        store_embeddings(con, "encoder", ids, vectors)
        store_scores(con, block, now)
    return time.perf_counter() - begin


def _sqlite(folder, db):
    """Give the seconds that SQLite takes for the trend, from a table of scores and one of articles."""
    path = folder / "beside.sqlite"
    with sqlite3.connect(path) as beside, db.read() as con:
        beside.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF")
        beside.execute("CREATE TABLE articles (article_id INTEGER PRIMARY KEY, feed_url TEXT)")
        beside.execute(
            "CREATE TABLE scores (article_id INTEGER, topic TEXT, score REAL, day TEXT, is_newest INTEGER)"
        )
        _copy(con, beside, "SELECT article_id, feed_url FROM articles", "articles", 2)
        _copy(
            con,
            beside,
            "SELECT article_id, topic, score, day::VARCHAR, is_newest::INT FROM scores",
            "scores",
            5,
        )
    with sqlite3.connect(path) as beside:
        seconds, _ = _timed(lambda: beside.execute(_SQLITE).fetchall())
    beside.close()
    path.unlink()
    return seconds


def _copy(con, beside, query, table, columns):
    con.execute(query)
    while rows := con.fetchmany(100_000):
        beside.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})", rows)


def _timed(action):
    begin = time.perf_counter()
    result = action()
    return time.perf_counter() - begin, result


def _say(seconds):
    return f"{seconds:.3f} s"


def _mb(path):
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1e6:.0f}"


if __name__ == "__main__":
    print(json.dumps({"duckdb": duckdb.__version__, "python": sys.version.split()[0]}))
    main()
