"""Followed feeds examined as `tocsin feeds check` does, several at a time, one a host; no Prefect."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

from flows.check_feed import check_feed
from flows.check_findings import FeedCheck
from flows.feeds.options import PollOptions
from flows.feeds.urls import without_credentials
from storage.database import Database
from storage.folder import history_path
from storage.following import FeedHealth, load_health
from tocsin.settings import Settings
from tocsin.types import Feed

Which = Literal["ailing", "all"]
Examine = Callable[[Feed, datetime], FeedCheck]

HOSTS_AT_ONCE = 8
# Between two requests to one host, as a run spaces them too.
PAUSE = timedelta(seconds=1)
_ORDER = {"ok": 2, "new": 1}


@dataclass(frozen=True, slots=True)
class CheckedFeed:
    """A feed's health in the history and what examining it now found; `found` None: it was not examined."""

    health: FeedHealth
    found: FeedCheck | None = None

    @property
    def verdict(self) -> str:
        """Say in one sentence what is wrong now, or that nothing is."""
        if self.found is None:
            return "not examined"
        if not self.found.is_usable:
            return self.found.transfer.message or "it cannot be used"
        return "; ".join(self.found.warnings) or "it works"

    def to_row(self) -> dict[str, str | int | None]:
        """Give a row of a table, without users and passwords."""
        health = self.health
        return {
            "feed": health.title or health.outlet or without_credentials(health.url),
            "health": health.health,
            "now": self.verdict,
            "failures in a row": health.failures,
            "last success": _moment(health.succeeded_at),
            "next poll": _moment(health.next_poll_at),
            "url": without_credentials(health.url),
        }


def check_followed(
    settings: Settings,
    *,
    which: Which,
    at_most: int,
    now: datetime,
    examine: Examine | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> list[CheckedFeed]:
    """Examine the followed feeds (none followed: those ever polled), the worst first; nothing is written.

    `which` "ailing": only feeds that are not well, or were never polled; `at_most`: so many at the most. The
    others are in the list with their health alone. Between two feeds of one host `wait` is called with the
    seconds to pause. Raises: StorageError if there is no history.
    """
    with Database(history_path(settings.data)).read() as con:
        every = load_health(con)
    feeds = _worst_first([each for each in every if each.is_followed] or every)
    chosen = [each for each in feeds if which == "all" or each.health != "ok"][:at_most]
    found = _examine_all(chosen, now, examine or _examiner(settings), wait)
    return [CheckedFeed(each, found.get(each.url)) for each in feeds]


def _examine_all(
    feeds: Sequence[FeedHealth], now: datetime, examine: Examine, wait: Callable[[float], None]
) -> dict[str, FeedCheck]:
    hosts: dict[str | None, list[FeedHealth]] = defaultdict(list)
    for each in feeds:
        hosts[urlsplit(each.url).hostname].append(each)

    def examine_host(of_host: Sequence[FeedHealth]) -> list[tuple[str, FeedCheck]]:
        found = []
        for number, each in enumerate(of_host):
            if number:
                wait(PAUSE.total_seconds())
            found.append((each.url, examine(Feed(each.url, each.title, each.outlet), now)))
        return found

    with ThreadPoolExecutor(HOSTS_AT_ONCE, thread_name_prefix="check") as pool:
        return dict(pair for pairs in pool.map(examine_host, hosts.values()) for pair in pairs)


def _examiner(settings: Settings) -> Examine:
    options = PollOptions(allow_networks=settings.allow_networks)
    return lambda feed, now: check_feed(feed, now=now, options=options)


def _worst_first(feeds: Iterable[FeedHealth]) -> list[FeedHealth]:
    return sorted(feeds, key=lambda each: (_ORDER.get(each.health, 0), -each.failures, each.url))


def _moment(moment: datetime | None) -> str | None:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else None
