"""What Dask's worker processes cost and give in a run: none, one and two, and shards of several sizes.

Runs of `monitor` on a Prefect server that runs, one history for each way, in turns; nginx serves the feeds.
The clusters are processes of their own with warm workers, as under `dask:ADDRESS`; "of its own" are workers
that a run starts and ends. CPU is that of the run's process with those it ended, and of the workers with the
scheduler, which do a little while they wait: on a busy machine, where runs take long, that counts too.

    python tests/bench/bench_runners.py [--feeds 500] [--rounds 3] [--sizes 25 100 250 500] [--json FILE]
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "bench"), str(ROOT / "tests" / "e2e")]

POLLS = {"all 304": 0.0, "all changed": 1.0}


@dataclass(frozen=True)
class Taken:
    """What one run took, in seconds; `own` is the CPU of its process, `workers` that of Dask's."""

    poll: str
    way: str
    round: int
    wall: float
    own: float
    workers: float
    articles: int
    shards: int
    seconds: dict


def _own_cpu():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--feeds", type=int, default=500)
    parser.add_argument("--entries", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="*", default=[25, 100, 250])
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-runners-") as scratch:
        taken = bench(Path(scratch), chosen)
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(each) for each in taken], indent=1))
    report(taken)


def bench(scratch, chosen):
    """Start the server, the clusters and the farm, and take rounds."""
    from clusters import DaskCluster
    from feed_farm import FeedFarm
    from prefect_server import PrefectServer

    home = scratch / "server"
    home.mkdir()
    server = PrefectServer(home, dict(os.environ))
    os.environ |= {
        "PREFECT_API_URL": server.url,
        "PREFECT_HOME": str(home),
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "TOCSIN_ALLOW_NETWORKS": "127.0.0.0/8",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    with ExitStack() as stack:
        server.start()
        stack.callback(server.stop)
        farm = stack.enter_context(FeedFarm(scratch / "farm", feeds=chosen.feeds, entries=chosen.entries))
        ways = {"threads": (None, {"TOCSIN_RUNNER": "threads"})}
        for workers in (1, 2):
            cluster = stack.enter_context(DaskCluster(workers, scratch / f"cluster-{workers}", nannies=False))
            for size in chosen.sizes if workers == 2 else [250]:
                ways[f"{workers}, shards of {size}"] = (cluster, _settings(cluster, size))
        own = {"TOCSIN_RUNNER": "dask", "TOCSIN_WORKERS": "2", "TOCSIN_SHARD_FEEDS": "250"}
        ways["2 of its own, shards of 250"] = (None, own)
        return take_rounds(scratch, farm, ways, chosen)


def _settings(cluster, size):
    return {"TOCSIN_RUNNER": f"dask:{cluster.address}", "TOCSIN_SHARD_FEEDS": str(size)}


def take_rounds(scratch, farm, ways, chosen):
    """Take each poll in turns by every way; the first run of each fills its history and warms its workers."""
    urls = scratch / "feeds.txt"
    urls.write_text("\n".join(farm.urls))
    folders = {way: scratch / f"data-{number}" for number, way in enumerate(ways)}
    for way in ways:
        measure(way, ways[way], (folders[way], urls), "first", 0)
    taken, edition = [], 1
    for number in range(chosen.rounds):
        for poll, share in POLLS.items():
            if share:
                edition += 1
                farm.publish(edition=edition, share=share)
            for way in sorted(ways, reverse=bool(number % 2)):
                taken.append(measure(way, ways[way], (folders[way], urls), poll, number))
                print(taken[-1], file=sys.stderr)
    return taken


def measure(way, how, where, poll, number):
    """Take one run and say what it took."""
    from flows.monitor import monitor

    (cluster, settings), (data, urls) = how, where
    os.environ |= settings
    before, own, began = cluster.cpu() if cluster else 0.0, _own_cpu(), time.perf_counter()
    run = monitor(feeds=[str(urls)], poll_all=True, data=data)
    wall = time.perf_counter() - began
    assert run.lost_feeds == 0
    own, workers = _own_cpu() - own, (cluster.cpu() if cluster else 0.0) - before
    shards = -(-run.feeds // int(settings.get("TOCSIN_SHARD_FEEDS", run.feeds)))
    return Taken(poll, way, number, wall, own, workers, run.new_articles, shards, run.seconds)


def report(taken):
    """Print medians, with the lowest and highest of the CPU."""
    print("| poll | workers | wall | CPU of the run | CPU of the workers | together (lowest to highest) |")
    print("|---|---|---|---|---|---|")
    for poll in POLLS:
        for way in dict.fromkeys(each.way for each in taken):
            runs = [each for each in taken if (each.poll, each.way) == (poll, way)]
            wall, own, workers = (
                statistics.median(getattr(each, what) for each in runs) for what in ("wall", "own", "workers")
            )
            sums = [each.own + each.workers for each in runs]
            print(
                f"| {poll} | {way} | {wall:.2f} s | {own:.2f} s | {workers:.2f} s "
                f"| {statistics.median(sums):.2f} s ({min(sums):.2f} to {max(sums):.2f}) |"
            )
    print(f"\nA shard's task: {task_cost(taken)}")
    articles = statistics.median(each.articles for each in taken if each.poll == "all changed")
    print(
        f"\n{articles:.0f} new articles where all changed. {os.cpu_count()} processors, load "
        f"{os.getloadavg()[0]:.1f}."
    )


def task_cost(taken):
    """Say what one more shard costs: the smallest size against the largest, by rounds of all 304."""
    runs = {
        (each.round, each.way): each for each in taken if each.poll == "all 304" and "2, shards" in each.way
    }
    sizes = sorted({int(way.rpartition(" ")[2]) for _, way in runs})
    if len(sizes) < 2:
        return "give two sizes or more"
    said = []
    for number in sorted({number for number, _ in runs}):
        small, large = (runs[number, f"2, shards of {size}"] for size in (sizes[0], sizes[-1]))
        more = small.shards - large.shards
        own, workers = (small.own - large.own) / more, (small.workers - large.workers) / more
        said.append(f"{own:.2f} s of the run and {workers:.2f} s of the workers")
    return "; ".join(said)


if __name__ == "__main__":
    main()
