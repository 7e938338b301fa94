"""Kills a process that stores and publishes, at points spread over its work; counts what readers then see.

    python tests/bench/prove_publishing.py [--kills 200] [--seed 1]

Each process is left to work to its first, second or third run, to the storing or the publishing of it, and
is killed at a random moment of that. After each kill: both files open, every run that was reported as stored
is stored, every one reported as published is published, and what is published is one whole version. Readers
ask all the while. Linux.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from storage.database import Database
from storage.folder import history_path
from storage.history_file import PARQUET, read_published
from storage.publish import publish
from tocsin.errors import StorageError

_WORK = """
import itertools, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from storage.database import Database
from storage.publish import publish
from storage.runs import start_run

database = Database(Path(sys.argv[1]))
print("ready 0", flush=True)
for number in itertools.count(int(sys.argv[2])):
    now = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=7 * number)
    with database.write() as con:
        start_run(con, f"run-{number}", "monitor", now=now)
        con.execute(
            "INSERT INTO articles (article_id, title, summary, outlet, feed_url, first_seen_at, run_id) "
            "SELECT $n * 50 + range, 'T', '', 'O', 'f', $now, 'r' FROM range(50)", {"n": number, "now": now},
        )
        con.execute(
            "INSERT INTO scores SELECT article_id, 't', 'v', 'e', 'h', 0.9, $now, CAST($now AS DATE), true "
            "FROM articles WHERE first_seen_at = $now", {"now": now},
        )
    print("stored", number, flush=True)
    publish(database, now=now)
    print("published", number, flush=True)
"""
_WHOLE = """
SELECT (SELECT count(*) FROM runs) AS runs, (SELECT count(*) FROM articles) AS articles,
    (SELECT count(*) FROM scores) AS scores,
    (SELECT CAST(sum(articles) AS BIGINT) FROM topic_hours) AS counted
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prove-publishing-") as folder:
        sys.exit(0 if prove(Path(folder), options.kills, random.Random(options.seed)) else 1)


def prove(folder, kills, rng):
    """Kill so often, and say what was found; True if nothing was wrong."""
    database = Database(history_path(folder))
    with database.write() as con:
        con.execute(
            "INSERT INTO topics (topic, version, definition, threshold, recorded_at, run_id) "
            "VALUES ('t', 'v', '{}', 0.5, now(), 'r')"
        )
    publish(database, now=datetime(2025, 1, 1, tzinfo=UTC))
    wrong, begun, hit, pace = [], time.perf_counter(), Counter(), {"storing": 0.1, "publishing": 0.5}
    with _Reader(folder) as reader:
        stored = published = 0
        for kill in range(kills):
            said, doing = _work_until_killed(database.path, stored + 1, rng, pace)
            hit[doing] += 1
            stored = max([stored, *(number for word, number in said if word == "stored")])
            published = max([published, *(number for word, number in said if word == "published")])
            with reader.pausing:
                stored = _check(database, folder, stored, published, wrong)
            if kill % 20 == 19:
                print(
                    f"{kill + 1} kills, {stored} runs, {reader.asked} questions, wrong: {len(wrong)}",
                    flush=True,
                )
    wrong += reader.wrong
    publish(database, now=datetime(2035, 1, 1, tzinfo=UTC))
    _check(database, folder, stored, stored, wrong)
    files = len(list((folder / PARQUET).rglob("*.parquet")))
    print(f"{kills} kills in {time.perf_counter() - begun:.0f} s, {dict(hit)}: {stored} runs stored")
    print(
        f"{reader.asked} questions of a reader, {files} files left, wrong: {len(wrong)}", *wrong[:5], sep="\n"
    )
    return not wrong


def _work_until_killed(path, first, rng, pace):
    """Kill a worker in one of its first runs; give what it said, and what it was doing.

    `pace` has the seconds of a step by its name, and learns them.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _WORK, path, str(first)], stdout=subprocess.PIPE, text=True
    )
    said, steps = [process.stdout.readline().split()], rng.randrange(6)
    for _ in range(steps):
        begun, doing = time.perf_counter(), _doing(said)
        said.append(process.stdout.readline().split())
        pace[doing] += 0.3 * (time.perf_counter() - begun - pace[doing])
    time.sleep(rng.uniform(0.0, pace[_doing(said)]))
    process.kill()
    said += [line.split() for line in process.stdout if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    return [(word, int(number)) for word, number in said], _doing(said)


def _doing(said):
    return "publishing" if said[-1][0] == "stored" else "storing"


def _check(database, folder, stored, published, wrong):
    """Look at both files; give the number of the last run that is stored."""
    with database.read() as con:
        [(runs, articles)] = con.execute(
            "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM articles)"
        ).fetchall()
    if runs < stored or articles != 50 * runs:
        wrong.append(f"stored: {runs} runs and {articles} articles, reported {stored}")
    with read_published(folder) as con:
        row = con.execute(_WHOLE).fetchone()
    if not _is_whole(row) or row[0] < published:
        wrong.append(f"published: {row}, reported {published}")
    return runs


def _is_whole(row):
    runs, articles, scores, counted = row
    return articles == scores == (counted or 0) == 50 * runs


class _Reader:
    """Asks all the while, opening the file anew each time.

    It must not have it open when this process looks too: DuckDB gives all connections of a process to one
    path the file that the first of them opened.
    """

    def __init__(self, folder):
        self._folder, self._ends = folder, threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.asked, self.wrong, self.pausing = 0, [], threading.Lock()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()

    def _ask(self):
        while not self._ends.wait(0.1):
            try:
                with self.pausing, read_published(self._folder) as con:
                    row = con.execute(_WHOLE).fetchone()
            except StorageError as error:
                self.wrong.append(f"reader: {error}")
                continue
            self.asked += 1
            if not _is_whole(row):
                self.wrong.append(f"reader: {row}")


if __name__ == "__main__":
    main()
