"""Poll generated feeds with Tocsin and its peers in turn: all new, all unchanged, a tenth changed.

Every poll is a process of its own; what counts is the CPU time of it and its children. Nothing is scored.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from feed_farm import FeedFarm
from measured import Taken
from pollers import Poller, find_pollers

POLLS = ("all new", "all 304", "10 % changed")
CHANGED = 0.1
# (poll, peer, how many times less CPU): what issue 3 asks for.
TARGETS = (("all new", "newsboat", 1.3), ("all 304", "reader", 1.4), ("10 % changed", "newsboat", 3.0))
PEAK_MB = 400


@dataclass(slots=True)
class Figures:
    """What each poller took in each poll, one item a round, and how many feeds it had."""

    feeds: dict[str, int] = field(default_factory=dict)
    taken: dict[tuple[str, str], list[Taken]] = field(default_factory=lambda: defaultdict(list))

    def cpu(self, name: str, poll: str) -> float:
        """Median CPU seconds per 1,000 feeds."""
        return self._median(name, poll, "cpu") * 1000 / self.feeds[name]

    def rate(self, name: str, poll: str) -> float:
        """Feeds a second, by the median wall time."""
        return self.feeds[name] / self._median(name, poll, "wall")

    def peak_mb(self, name: str) -> float:
        return max(self._median(name, poll, "peak_mb") for poll in POLLS if (name, poll) in self.taken)

    def ratio(self, name: str, poll: str, other: str = "tocsin") -> tuple[float, float, float]:
        """How many times the CPU of `other` it took: the median over rounds, the lowest, the highest."""
        scale = self.feeds[other] / self.feeds[name]
        pairs = zip(self.taken[name, poll], self.taken[other, poll], strict=False)
        ratios = sorted(mine.cpu / ours.cpu * scale for mine, ours in pairs)
        return statistics.median(ratios), ratios[0], ratios[-1]

    def _median(self, name: str, poll: str, what: str) -> float:
        return statistics.median(getattr(taken, what) for taken in self.taken[name, poll])


class Bench:
    """Rounds of polls over one farm; each round begins with empty data and the first edition."""

    def __init__(self, farm: FeedFarm, pollers: Sequence[Poller], scratch: Path) -> None:
        self._farm = farm
        self._pollers = pollers
        self._scratch = scratch
        self.figures = Figures()
        for poller in pollers:
            self.figures.feeds[poller.name] = len(self._urls(poller))

    def run_round(self, number: int) -> None:
        """Take every poller through the three polls, poll by poll, in an order that changes by round."""
        self._farm.publish(edition=1, share=CHANGED)
        turn = number % len(self._pollers)
        order = [*self._pollers[turn:], *self._pollers[:turn]]
        for poll in POLLS:
            new = self._farm.publish(edition=2, share=CHANGED) if poll == POLLS[2] else 0
            for poller in order:
                self._poll_once(poller, poll, self._scratch / f"{number}-{poller.name}", new=new)
        for poller in order:
            shutil.rmtree(self._scratch / f"{number}-{poller.name}")

    def _poll_once(self, poller: Poller, poll: str, folder: Path, *, new: int) -> None:
        urls = self._urls(poller)
        if poller.settles and poll == POLLS[1]:
            poller.poll(folder, urls)
        self._farm.answers()
        taken, stored = poller.poll(folder, urls)
        answers = self._farm.answers()
        changed = {POLLS[0]: len(urls), POLLS[1]: 0, POLLS[2]: round(self._farm.count * CHANGED)}[poll]
        if poller.share == 1.0:
            _require_answers(poller, poll, answers, {"200": changed, "304": len(urls) - changed})
            _require_stored(poller, poll, stored, self._farm.entries * len(urls) + new)
        self.figures.taken[poller.name, poll].append(taken)
        print(
            f"  {poll:12}  {poller.name:8}  {taken.cpu:6.2f} s CPU  {taken.wall:6.2f} s wall  "
            f"{taken.peak_mb:4.0f} MB  {stored} stored  {dict(answers)}",
            flush=True,
        )

    def _urls(self, poller: Poller) -> list[str]:
        urls = self._farm.urls
        step = round(1 / poller.share)  # spread, so that a tenth of them changes here too
        return urls[::step]


def _require_answers(
    poller: Poller, poll: str, answers: Mapping[str, int], expected: Mapping[str, int]
) -> None:
    wanted = {status: count for status, count in expected.items() if count}
    if dict(answers) != wanted:
        raise RuntimeError(f"{poller.name} was answered {dict(answers)} in «{poll}», not {wanted}")


def _require_stored(poller: Poller, poll: str, stored: int, expected: int) -> None:
    if stored != expected:
        raise RuntimeError(f"{poller.name} has {stored} entries after «{poll}», not {expected}")


def print_table(figures: Figures) -> None:
    """Print CPU seconds per 1,000 feeds, feeds a second and peak memory, then the ratios to Tocsin."""
    names = list(figures.feeds)
    print(
        f"\nCPU seconds per 1,000 feeds (feeds a second)\n{'':12}"
        + "".join(f"{poll:>20}" for poll in POLLS)
        + "  peak MB"
    )
    for name in names:
        cells = (f"{figures.cpu(name, poll):.2f} ({figures.rate(name, poll):.0f})" for poll in POLLS)
        print(f"{name:12}" + "".join(f"{cell:>20}" for cell in cells) + f"{figures.peak_mb(name):9.0f}")
    print("\nTimes the CPU of Tocsin: median (lowest to highest of the rounds)")
    for name in names[1:]:
        cells = ("{:.2f} ({:.2f} to {:.2f})".format(*figures.ratio(name, poll)) for poll in POLLS)
        print(f"{name:12}" + "".join(f"{cell:>22}" for cell in cells))
    for poll, peer, target in TARGETS:
        if peer in names:
            ratio = figures.ratio(peer, poll)[0]
            verdict = "reached" if ratio >= target else "MISSED"
            print(f"target {poll:12} {peer:8} {target:.1f}  got {ratio:.2f}  {verdict}")


def measure_memory(scratch: Path, poller: Poller, sizes: Sequence[int], *, entries: int) -> dict[int, float]:
    """Peak memory of a first poll by the number of feeds."""
    peaks = {}
    for size in sizes:
        folder = scratch / f"memory-{size}"
        with FeedFarm(folder / "farm", feeds=size, entries=entries) as farm:
            taken, stored = poller.poll(folder / "data", farm.urls)
        shutil.rmtree(folder)
        peaks[size] = taken.peak_mb
        print(
            f"  {size:6} feeds  {taken.peak_mb:4.0f} MB  {taken.cpu:6.1f} s CPU  {taken.wall:6.1f} s wall  "
            f"{stored} stored",
            flush=True,
        )
    return peaks


def describe_machine() -> str:
    """Name what the figures depend on."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {system}"


def write_json(path: Path, figures: Figures, extra: Mapping[str, object]) -> None:
    polls = {
        name: {
            poll: {
                "cpu_seconds_per_1000": figures.cpu(name, poll),
                "feeds_per_second": figures.rate(name, poll),
                "ratio_to_tocsin": figures.ratio(name, poll)[0],
                "rounds": [[taken.cpu, taken.wall, taken.peak_mb] for taken in figures.taken[name, poll]],
            }
            for poll in POLLS
        }
        for name in figures.feeds
    }
    path.write_text(json.dumps({**extra, "feeds": figures.feeds, "polls": polls}, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeds", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gzip", action="store_true", help="serve compressed feeds to those who accept them")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="pollers to run, Tocsin apart")
    parser.add_argument(
        "--naive-share", type=float, default=0.1, help="part of the feeds for the slowest (0: none)"
    )
    parser.add_argument("--reader-python", type=Path, help="Python of the environment that holds reader")
    parser.add_argument(
        "--memory", type=int, nargs="*", default=[], metavar="FEEDS", help="also: peak memory at these sizes"
    )
    parser.add_argument("--memory-entries", type=int, default=35, help="entries a feed in that part")
    parser.add_argument("--seconds", type=float, default=300.0, help="start no further round after this time")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    return parser.parse_args()


def main() -> int:
    """Run from the command line; 0 also where the bench is skipped."""
    arguments = parse_arguments()
    if sys.platform != "linux" or not (shutil.which("nginx") or Path("/usr/sbin/nginx").exists()):
        print("bench_poll skipped: it needs Linux and nginx (Debian: apt-get install nginx-light newsboat)")
        return 0
    pollers = find_pollers(arguments.reader_python, naive_share=arguments.naive_share)
    if arguments.only is not None:
        pollers = [poller for poller in pollers if poller.name in {"tocsin", *arguments.only}]
    machine, versions = describe_machine(), {poller.name: poller.version for poller in pollers}
    print(f"{machine}\n{versions}\n{arguments.feeds} feeds, gzip {'on' if arguments.gzip else 'off'}")
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as temporary:
        scratch = Path(temporary)
        figures = compare(scratch, pollers, arguments)
        print_table(figures)
        peaks = measure_memory(scratch, pollers[0], arguments.memory, entries=arguments.memory_entries)
    if arguments.json:
        write_json(arguments.json, figures, {"machine": machine, "versions": versions, "peak_mb": peaks})
    return 0


def compare(scratch: Path, pollers: Sequence[Poller], arguments: argparse.Namespace) -> Figures:
    """Run the rounds that fit into the time; at least one."""
    started = time.monotonic()
    farm = FeedFarm(scratch / "farm", feeds=arguments.feeds, seed=arguments.seed, compress=arguments.gzip)
    with farm:
        bench = Bench(farm, pollers, scratch)
        for number in range(arguments.rounds):
            if number and time.monotonic() - started > arguments.seconds:
                print(f"time is up: {number} of {arguments.rounds} rounds")
                break
            print(f"round {number + 1}", flush=True)
            bench.run_round(number)
    return bench.figures


if __name__ == "__main__":
    raise SystemExit(main())
