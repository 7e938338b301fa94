"""What Prefect costs: runs of 500 feeds with it, on a server that runs, in turns with the same runs without.

Both kinds of run are of one process, as under `tocsin serve`, on a history each; the feeds are served by
nginx, the server is a process of its own, and neither is counted. A run's CPU is that of the process and of
the processes that it started and ended; what Prefect sends in the background counts with its run, as CPU and
not as wall time, since nobody waits for it. Beside the pairs, which neighbours of this machine disturb, what
Prefect does itself is counted within its runs (prefect_account.py).

    python tests/bench/bench_prefect.py [--feeds 500] [--rounds 7] [--json FILE]
"""

import argparse
import functools
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "bench"), str(ROOT / "tests" / "e2e")]

from prefect_account import Account, background_seconds  # noqa: E402

TARGET = 0.05  # what issue 7 asks for
SETTLE = 3.0  # seconds after each run, of either kind: Prefect sends its log two seconds late
POLLS = {"all 304": 0.0, "10 % changed": 0.1, "all changed": 1.0}


@dataclass(frozen=True)
class Taken:
    """What one run took, in seconds, and how many new articles it brought.

    `prefect`: the processor seconds that were counted as Prefect's own in it.
    """

    poll: str
    kind: str
    round: int
    cpu: float
    wall: float
    articles: int
    prefect: float = 0.0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--feeds", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--polls", nargs="+", choices=POLLS, default=list(POLLS))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-prefect-") as scratch:
        taken = bench(Path(scratch), chosen)
    report(taken)
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(each) for each in taken], indent=1))


def bench(scratch, chosen):
    """Start the server and the farm, and take rounds."""
    from feed_farm import FeedFarm
    from prefect_server import PrefectServer

    home = scratch / "server"
    home.mkdir()
    server = PrefectServer(home, dict(os.environ))
    server.start()
    os.environ |= {
        "PREFECT_API_URL": server.url,
        "PREFECT_HOME": str(home),
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "TOCSIN_ALLOW_NETWORKS": "127.0.0.0/8",
    }
    try:
        with FeedFarm(scratch / "farm", feeds=chosen.feeds, entries=4) as farm:
            return take_rounds(scratch, farm, chosen)
    finally:
        server.stop()


def take_rounds(scratch, farm, chosen):
    """Take each poll in turns with Prefect and without; the first run of each kind fills a history."""
    from flows.under_prefect import without_heartbeat
    from tocsin.tuning import relax_collection

    relax_collection()
    urls = scratch / "feeds.txt"
    urls.write_text("\n".join(farm.urls))
    kinds = {"plain": run_plain, "prefect": run_with_prefect}
    for kind, run in kinds.items():
        run(scratch / kind, urls)
    with without_heartbeat():
        return list(_take_all(kinds, scratch, farm, chosen))


def _take_all(kinds, scratch, farm, chosen):
    urls, edition = scratch / "feeds.txt", 1
    for number in range(chosen.rounds):
        for poll in chosen.polls:
            if share := POLLS[poll]:
                edition += 1
                farm.publish(edition=edition, share=share)
            for kind in sorted(kinds, reverse=bool(number % 2)):
                taken = measure(kinds[kind], scratch / kind, urls, (poll, kind, number))
                print(f"{taken}", file=sys.stderr)
                yield taken


def measure(run, data, urls, named):
    """Take one run and say what it took."""
    cpu, behind, began = _cpu(), background_seconds(), time.perf_counter()
    new_articles, in_front = run(data, urls)
    wall = time.perf_counter() - began
    time.sleep(SETTLE)
    prefect = in_front + background_seconds() - behind
    return Taken(*named, _cpu() - cpu, wall, new_articles, prefect)


def _cpu():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def run_plain(data, urls):
    """Do what the flow does, with the steps as plain functions; give the new articles, and 0 s of Prefect."""
    import uuid

    from flows.assemble import Request, open_run
    from flows.pipeline import run_steps
    from tocsin.settings import load_settings

    request = Request(feeds=[str(urls)], poll_all=True)
    with open_run(load_settings(data=data), request, run_id=str(uuid.uuid4())) as run:
        run_steps(run)
    return run.report.new_articles, 0.0


def run_with_prefect(data, urls):
    """Run the flow as `tocsin serve` does; give the new articles, and Prefect's seconds in this thread."""
    from flows import monitor

    account = open_account(monitor)
    account.ours, began = 0.0, time.thread_time()
    report = monitor.monitor(feeds=[str(urls)], poll_all=True, data=data)
    return report.new_articles, time.thread_time() - began - account.ours


open_account = functools.cache(Account)


def report(taken):
    """Print medians, and Prefect's share as the median of pairs with the range of the middle half."""
    print("| poll | articles | CPU without, with | wall without, with | by pairs: CPU | wall | counted |")
    print("|---|---|---|---|---|---|---|")
    for poll in dict.fromkeys(each.poll for each in taken):
        plain, ours = ([each for each in taken if (each.poll, each.kind) == (poll, kind)] for kind in KINDS)
        pairs = list(zip(plain, ours, strict=True))
        cells = [poll, f"{statistics.median(each.articles for each in plain):.0f}"]
        for what in WHAT:
            medians = [statistics.median(getattr(each, what) for each in kind) for kind in (plain, ours)]
            cells.append(f"{medians[0]:.2f} s, {medians[1]:.2f} s")
        cells += [share_of([getattr(o, what) / getattr(p, what) - 1 for p, o in pairs]) for what in WHAT]
        counted = share_of([each.prefect / (each.cpu - each.prefect) for each in ours])
        cells.append(f"{statistics.median(each.prefect for each in ours):.2f} s, {counted}")
        print(f"| {' | '.join(cells)} |")
    print(
        f"\nAsked: under {TARGET:.0%} of a run. {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}."
    )


KINDS = ("plain", "prefect")
WHAT = ("cpu", "wall")


def share_of(shares):
    """Give the median and the middle half."""
    if len(shares) < 2:
        return f"{shares[0]:+.1%}"
    low, middle, high = statistics.quantiles(shares, n=4)
    return f"{middle:+.1%} ({low:+.1%} to {high:+.1%})"


if __name__ == "__main__":
    main()
