"""Runs that store and publish, alone and beside 8 readers of the published history: errors and delays.

    python tests/bench/bench_readers.py [--seconds 60] [--articles 100000] [--readers 8]

Settings take turns in rounds so that other work on the machine meets all of them alike: nobody reads;
readers that give way to runs, as `tocsin sql` does and docs/history.md says; readers that do not. They pause
between questions as people do, or ask without a pause. A run stores 1,000 new articles with vectors and 10
scores each, and publishes. Every answer is checked to be of one whole version.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

from bench_history import store_run
from invented_history import NOW, invent_history

from storage.database import Database
from storage.folder import history_path
from storage.history_file import published_path
from storage.publish import publish

ROUND = 15.0  # seconds of each setting, before the next one's turn
_READ = """
import os, random, sys, time
if sys.argv[4] == "nice":
    os.nice(19)
elif sys.argv[4] == "idle":
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
import duckdb
path, pause = sys.argv[1], float(sys.argv[2])
questions = (
    "SELECT count(*) FROM topic_trend",
    "SELECT topic, sum(matches) FROM topic_daily GROUP BY topic",
    "SELECT outlet, count(*) FROM matches GROUP BY outlet ORDER BY 2 DESC LIMIT 10",
    "SELECT title FROM articles ORDER BY first_seen_at DESC LIMIT 20",
)
rng, asked, wrong = random.Random(os.getpid()), 0, 0
print("ready", flush=True)
until = time.monotonic() + float(sys.argv[3])
while time.monotonic() < until:
    try:
        with duckdb.connect(path, read_only=True, config={"threads": 1}) as con:
            con.execute("SET enable_progress_bar = false")
            con.execute(rng.choice(questions)).fetchall()
            [(articles, scored)] = con.execute(
                "SELECT (SELECT count(*) FROM articles), (SELECT count(*) FROM scores)"
            ).fetchall()
        asked += 1
        wrong += scored != 10 * articles
    except duckdb.Error as error:
        wrong += 1
        print(str(error).splitlines()[0], file=sys.stderr)
    time.sleep(rng.uniform(0, 2 * pause))
print(asked, wrong, flush=True)
"""
NOBODY = "nobody reads"
# By name: the pause of readers in seconds (None: there are none), and how they give way.
SETTINGS = {
    NOBODY: (None, ""),
    "pause 2 s, nice 19": (2.0, "nice"),
    "no pause, nice 19": (0.0, "nice"),
    "no pause, idle": (0.0, "idle"),
    "pause 2 s, no way given": (2.0, ""),
    "no pause, no way given": (0.0, ""),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each setting")
    parser.add_argument("--articles", type=int, default=100_000)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, help="these settings, and nobody")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-readers-") as folder:
        measure(Path(folder), options)


def measure(folder, options):
    db = Database(history_path(folder))
    invent_history(db, options.articles)
    publish(db, now=NOW)
    print(
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {options.articles:,} articles",
        flush=True,
    )
    chosen = {name: SETTINGS[name] for name in ([NOBODY, *options.only] if options.only else SETTINGS)}
    took, asked, wrong, number = defaultdict(list), defaultdict(int), defaultdict(int), 0
    for _ in range(max(1, round(options.seconds / ROUND))):
        for name, (pause, way) in chosen.items():
            readers = [] if pause is None else start(published_path(folder), (pause, way), options.readers)
            until = time.monotonic() + ROUND
            while time.monotonic() < until:
                number += 1
                took[name].append(run_once(db, number))
            for reader in readers:
                said = reader.communicate()[0].splitlines()[-1].split()
                asked[name] += int(said[0])
                wrong[name] += int(said[1])
    alone = statistics.median(took[NOBODY])
    for name, seconds in took.items():
        middle = statistics.median(seconds)
        print(
            f"{name:<26}{len(seconds):>4} runs, median {middle:.2f} s ({middle / alone - 1:+.0%}), slowest "
            f"{max(seconds):.2f} s; {asked[name]} questions, {wrong[name]} wrong"
        )
    print(f"load {os.getloadavg()[0]:.1f}")


def run_once(db, number):
    begin = time.perf_counter()
    store_run(db, number=number, count=1000)
    publish(db, now=NOW + timedelta(minutes=number))
    return time.perf_counter() - begin


def start(path, habit, count):
    pause, way = habit
    command = [sys.executable, "-c", _READ, str(path), str(pause), str(ROUND), way]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    for reader in readers:
        reader.stdout.readline()
    return readers


if __name__ == "__main__":
    main()
