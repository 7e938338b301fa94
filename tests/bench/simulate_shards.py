"""How long workers take for a poll, by how its feeds are cut into shards: the real pass, in virtual time.

Hosts have 1 to 60 feeds (Pareto) and a pace of their own (log-normal, median 0.4 s; a share of 5 to 15 s, a
share that runs into its time limit); an exchange varies around it. Shards are begun and stored in order, two
for each slot under way, as `flows.crew` does; a shard's task costs 0.2 s of its slot.

    python tests/bench/simulate_shards.py [--feeds 600 1000 2000 10000] [--slots 2] [--rounds 3]
"""

import argparse
import asyncio
import heapq
import random
import selectors
import statistics
from datetime import UTC, datetime

from flows.feeds import poll
from flows.feeds.options import DEFAULTS
from flows.shards import Shard, _by_host, cut_shards
from tocsin.types import Feed, FeedState

SIZE, AHEAD, TASK, WORK = 250, 2, 0.2, 0.005
# Spread of hosts' paces (sigma), share of slow ones, share of ones that run into the time limit.
WORLDS = {
    "alike": (0.5, 0.0, 0.0),
    "unlike": (1.0, 0.0, 0.0),
    "2 % slow": (1.0, 0.02, 0.0),
    "5 % time out": (1.0, 0.0, 0.05),
    "25 % time out": (1.0, 0.02, 0.25),
}


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time leaps to whatever is waited for."""

    def __init__(self):
        self.seconds = 0.0
        leaping = selectors.SelectSelector()
        look = leaping.select
        leaping.select = lambda timeout=None: self._leap(timeout) or look(0)
        super().__init__(leaping)

    def _leap(self, timeout):
        self.seconds += timeout or 0.0

    def time(self):
        return self.seconds


def seconds_of(shard, took):
    """Poll a shard as a worker does, where each feed takes so long."""

    async def fetch(_client, feed, **_):
        await asyncio.sleep(took[feed.url])

    async def keep(_feed, outcome):
        return outcome

    poll.fetch_feed = fetch
    loop = VirtualLoop()
    one_pass = poll._Pass(None, lambda: datetime.now(UTC), DEFAULTS, {})
    loop.run_until_complete(one_pass.run(shard.requests, keep, None))
    loop.close()
    return loop.seconds + TASK + WORK * len(shard.requests)


def makespan(shards, took, slots):
    """Say when the last shard is there."""
    free, lanes, given, begun = [0.0] * slots, {}, [], 0.0
    for number, shard in enumerate(shards):
        window = given[number - AHEAD * slots] if number >= AHEAD * slots else 0.0
        begun = max(begun, window, lanes.get(shard.lane, 0.0))
        done = max(begun, heapq.heappop(free)) + seconds_of(shard, took)
        heapq.heappush(free, done)
        lanes[shard.lane] = done
        given.append(max(done, given[-1] if given else 0.0))
    return given[-1]


def spread(requests):
    """Cut with the slow hosts dealt out evenly, as one would for workers that do one thing at a time."""
    hosts = sorted(_by_host(requests), key=lambda feeds: -sum(15.0 if s.failures else 0.5 for _, s in feeds))
    shards = [[] for _ in range(-(-len(requests) // SIZE))]
    for feeds in hosts:
        min(shards, key=len).extend(feeds)
    return [Shard(lane, tuple(feeds)) for lane, feeds in enumerate(shards)]


def make_world(feeds, sigma, slow, failing, rng):
    """Make feeds, and how long each took last time and takes now."""
    requests, paces = [], {}
    while len(requests) < feeds:
        pace, failures = min(rng.lognormvariate(-0.9, sigma), 15.0), 0
        if rng.random() < slow:
            pace = rng.uniform(5, 15)
        if rng.random() < failing:
            pace, failures = 15.0, 3
        host = f"https://h{len(requests)}.example"
        for number in range(min(int(rng.paretovariate(1.2)), 60)):
            url = f"{host}/{number}"
            paces[url] = pace
            requests.append((Feed(url), FeedState(url, failures=failures)))

    def exchange():
        return {url: min(pace * rng.lognormvariate(-0.08, 0.4), 30.0) for url, pace in paces.items()}

    return requests, exchange(), exchange()


def compare(feeds, world, slots, seed):
    """Give the makespans: spread evenly, cut by guesses, cut by the last durations; and what bounds them."""
    requests, last, took = make_world(feeds, *WORLDS[world], random.Random(seed))
    cuts = (spread(requests), cut_shards(requests, size=SIZE), cut_shards(requests, size=SIZE, measured=last))
    return [*(makespan(cut, took, slots) for cut in cuts), sum(took.values()) / DEFAULTS.concurrency / slots]


def main():
    """Print medians of seconds, and of the ratios to an even spread."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--feeds", type=int, nargs="*", default=[600, 1000, 2000, 10_000])
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print("| feeds | hosts | spread | guessed | measured | all places busy | guessed : spread | measured |")
    print("|---|---|---|---|---|---|---|---|")
    for feeds in chosen.feeds:
        for world in WORLDS:
            rounds = [compare(feeds, world, chosen.slots, seed) for seed in range(chosen.rounds)]
            seconds = " | ".join(f"{statistics.median(each):.0f}" for each in zip(*rounds, strict=True))
            ratios = (statistics.median(each[at] / each[0] for each in rounds) for at in (1, 2))
            print(
                f"| {feeds:,} | {world} | {seconds} | "
                + " | ".join(f"{ratio:.2f}" for ratio in ratios)
                + " |"
            )


if __name__ == "__main__":
    main()
