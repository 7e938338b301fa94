"""What more feeds take: workers, the writer's load, storage a year and money, from costs that were measured.

Pure arithmetic: no feed is polled. Every cost names the page or the bench that it was measured by; every
assumption and price is an option. The prices are examples: replace them by yours.

    python tests/bench/simulate_scale.py [--feeds 1000 10000 …] [--core-hour 0.04] [--gb-month 0.02] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

FEEDS = (1_000, 10_000, 100_000, 1_000_000)
PRICED_ON = "2026-11-22"
DAY = 86_400.0
HOURS_A_MONTH = 730.0


@dataclass(frozen=True)
class Costs:
    """What was measured on two shared cores: seconds of one core, and bytes."""

    poll_same: float = 0.0022  # docs/polling-speed.md, all 304, with what is stored of it
    poll_changed: float = (
        0.0122  # the same page: (3.2 - 0.9 * 2.2) / 0.1 per 1,000 feeds, three new entries each
    )
    embed: float = 0.0066  # docs/classifier.md: 305 texts a second on two cores
    task: float = 0.21  # of a worker, a shard's task: docs/scaling.md, as are the next three
    write_shard: float = 0.09  # of the run's own process, a shard: its task, and a transaction
    write_poll: float = 0.0002  # of the run's own process, a poll without news
    write_article: float = 0.0039  # of the run's own process, a new article but for its embedding
    live_bytes: float = 3_972.0  # docs/history-size.md: an article in a file that grew run by run
    published_bytes: float = 461.0  # the same page
    fetch_bytes: float = 63.0  # docs/scaling.md: a row of `fetches`, live and published


@dataclass(frozen=True)
class Assumptions:
    """What nobody measured for you; a day is spread evenly but for `peak`."""

    polls_a_day: float = 24.0  # of a feed, on average; its own rhythm decides
    articles_a_day: float = 3.0  # new ones of a feed, on average
    changed_share: float = 0.1  # of polls that bring a new entry
    wait: float = 0.5  # seconds of an exchange with a real server, nearly all of it waiting
    concurrency: int = 20  # exchanges at once in a slot: PollOptions.concurrency
    shard: int = 250  # TOCSIN_SHARD_FEEDS
    shard_texts: int = 256  # TOCSIN_SHARD_TEXTS
    peak: float = 2.0  # the busiest hour against the mean
    busy: float = 0.6  # how far a worker or the writer is to be used at the peak
    keep_fetches: float = 90.0  # days: `tocsin prune --what fetches`


@dataclass(frozen=True)
class Prices:
    """Example prices in one currency; a listing of yours goes before them."""

    core_hour: float = 0.04
    gb_month: float = 0.02


@dataclass(frozen=True)
class Need:
    """What so many feeds take. `writer` is the busy share of the run's own process at the peak."""

    feeds: int
    polls_a_second: float
    articles_a_day: float
    workers: int
    writer: float
    storage_gb: float
    money_a_month: float

    @property
    def one_writer_is_enough(self) -> bool:
        """Tell whether a single process can store it all."""
        return self.writer <= 1.0


def simulate(
    feeds: int, costs: Costs, assumed: Assumptions = Assumptions(), prices: Prices = Prices()
) -> Need:
    """Work out what so many feeds take; workers are slots of one core each, storage is after one year."""
    polls, articles = feeds * assumed.polls_a_day / DAY, feeds * assumed.articles_a_day
    embedding = articles / DAY * costs.embed
    here = embedding if embeds_itself(assumed) else 0.0
    slots = (polls * slot_seconds(costs, assumed) + embedding - here) * assumed.peak
    stored = costs.write_poll + costs.write_shard / assumed.shard
    writer = (polls * stored + articles / DAY * costs.write_article + here) * assumed.peak
    workers = max(1, math.ceil(slots / assumed.busy))
    kept = articles * 365 * (costs.live_bytes + costs.published_bytes)
    fetches = polls * DAY * assumed.keep_fetches * costs.fetch_bytes
    storage = (kept + fetches) / 1e9
    cores = workers + max(1, math.ceil(writer / assumed.busy))
    money = cores * HOURS_A_MONTH * prices.core_hour + storage * prices.gb_month
    return Need(feeds, polls, articles, workers, writer, storage, money)


def embeds_itself(assumed: Assumptions) -> bool:
    """Tell whether a shard brings so few new articles that the run embeds them, as it does."""
    return assumed.shard * assumed.articles_a_day / assumed.polls_a_day <= assumed.shard_texts


def slot_seconds(costs: Costs, assumed: Assumptions) -> float:
    """Say how long a poll keeps a slot: as it waits or as it works, whichever is more, and its task."""
    changed = assumed.changed_share
    work = costs.poll_same * (1 - changed) + costs.poll_changed * changed
    return max(assumed.wait / assumed.concurrency, work) + costs.task / assumed.shard


def to_table(needs: Sequence[Need]) -> str:
    """Give what is needed as a table in Markdown."""
    lines = [
        "| feeds | polls a second | articles a day | workers | the writer is busy | after a year | a month |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {need.feeds:,} | {need.polls_a_second:,.1f} | {need.articles_a_day:,.0f} | {need.workers:,} "
        f"| {need.writer:.0%}{'' if need.one_writer_is_enough else ': too much'} "
        f"| {need.storage_gb:,.0f} GB | {need.money_a_month:,.0f} |"
        for need in needs
    ]
    return "\n".join(lines)


def _add_options(parser: argparse.ArgumentParser, kind: type) -> None:
    for field in fields(kind):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=float, default=field.default, metavar="X"
        )


def _chosen(given: argparse.Namespace, kind: type):
    values = {field.name: getattr(given, field.name) for field in fields(kind)}
    return replace(kind(), **values)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--feeds", type=int, nargs="+", default=list(FEEDS))
    parser.add_argument("--json", action="store_true")
    for kind in (Costs, Assumptions, Prices):
        _add_options(parser, kind)
    given = parser.parse_args()
    costs, assumed, prices = (_chosen(given, kind) for kind in (Costs, Assumptions, Prices))
    needs = [simulate(feeds, costs, assumed, prices) for feeds in given.feeds]
    if given.json:
        print(json.dumps([asdict(need) for need in needs], indent=1))
        return
    print(to_table(needs))
    print(f"\n{assumed}\n{costs}\n{prices}, example prices of {PRICED_ON}: replace them by yours")


if __name__ == "__main__":
    main()
