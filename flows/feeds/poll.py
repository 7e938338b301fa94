"""One pass over the feeds that are due: politely per host, in parallel over all, in bounded memory."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from flows.feeds.failures import asks_to_stop, severity_of
from flows.feeds.fetch import Client, fetch_feed, open_client
from flows.feeds.network import Resolve, parse_address, resolve_host
from flows.feeds.options import DEFAULTS, PollOptions
from flows.feeds.pool import ParseJob, ParserPool
from flows.feeds.urls import host_key, host_of, without_credentials
from tocsin.errors import FeedError
from tocsin.types import Exchange, Feed, FeedState, Fetched, FetchFailed, FetchOutcome, PaceHints, Polled

Request = tuple[Feed, FeedState]
Clock = Callable[[], datetime]
# By host, the answer that told us to stop; kept by the caller, it holds for several passes.
Brakes = dict[str, FetchFailed]
T = TypeVar("T")


async def fetch_feeds(
    requests: Sequence[Request],
    *,
    clock: Clock,
    options: PollOptions = DEFAULTS,
    on_outcome: Callable[[FetchOutcome], None] | None = None,
    resolve: Resolve = resolve_host,
) -> list[FetchOutcome]:
    """Fetch feeds at once; outcomes in the order of the requests. A feed's failure is its outcome."""

    async def keep(_feed: Feed, outcome: FetchOutcome) -> FetchOutcome:
        return outcome

    async with open_client(options, resolve=resolve) as client:
        return await _Pass(client, clock, options, {}).run(requests, keep, on_outcome)


async def poll_feeds(
    requests: Sequence[Request],
    *,
    clock: Clock,
    options: PollOptions = DEFAULTS,
    on_polled: Callable[[Polled], None] | None = None,
    resolve: Resolve = resolve_host,
    brakes: Brakes | None = None,
) -> list[Polled]:
    """Fetch and parse feeds at once; results in the order of the requests.

    A body that is no feed makes the outcome a `FetchFailed` with the same exchange. Bodies are
    dropped once parsed (`Fetched.body` is empty then), so memory does not grow with the feeds.
    Hosts in `brakes` are not asked, and those that ask to stop are added.
    """
    parsers = ParserPool(options)

    async def parse(feed: Feed, outcome: FetchOutcome) -> Polled:
        return await _parse(parsers, feed, outcome)

    try:
        async with open_client(options, resolve=resolve) as client:
            one_pass = _Pass(client, clock, options, {} if brakes is None else brakes)
            return await one_pass.run(requests, parse, on_polled)
    finally:
        parsers.close()


async def _parse(parsers: ParserPool, feed: Feed, outcome: FetchOutcome) -> Polled:
    if not isinstance(outcome, Fetched):
        return Polled(feed, outcome)
    exchange = outcome.exchange
    job = ParseJob(outcome.body, outcome.content_type, exchange.final_url, exchange.fetched_at)
    parsed = await parsers.parse(job)
    if isinstance(parsed, FeedError):
        failed = FetchFailed(exchange, severity_of(parsed.reason), parsed.reason, str(parsed), outcome.hints)
        return Polled(feed, failed)
    return Polled(feed, replace(outcome, body=b""), parsed)


@dataclass(slots=True)
class _Host:
    """What a pass keeps of one host: its places, whose turn it is to start, and when the last one did."""

    places: asyncio.Semaphore
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    started: float = -math.inf


@dataclass(slots=True)
class _Pass:
    client: Client
    clock: Clock
    options: PollOptions
    brakes: Brakes
    hosts: dict[str, _Host] = field(init=False)
    places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.hosts = defaultdict(lambda: _Host(asyncio.Semaphore(self.options.per_host)))
        self.places = asyncio.Semaphore(self.options.concurrency)

    async def run(
        self,
        requests: Sequence[Request],
        then: Callable[[Feed, FetchOutcome], Awaitable[T]],
        on_done: Callable[[T], None] | None,
    ) -> list[T]:
        async def one(feed: Feed, state: FeedState) -> T:
            async with AsyncExitStack() as held:
                outcome = await self._fetch(feed, state, held)
                result = await then(feed, outcome)
            if on_done is not None:
                on_done(result)
            return result

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(feed, state)) for feed, state in requests]
        return [task.result() for task in tasks]

    async def _fetch(self, feed: Feed, state: FeedState, held: AsyncExitStack) -> FetchOutcome:
        """Fetch when the host and the pass have a place; the pass's place stays taken by `held`.

        The host comes first, so that the many feeds of one host do not take all places while they
        wait for each other; the pass's place is kept until the body is parsed, so few bodies wait.
        """
        url = state.moved_to or feed.url
        key = host_key(url)
        host = self.hosts[key]
        async with host.places:
            if key not in self.brakes:
                await self._take_turn(host, url, held)
            if key in self.brakes:
                return self._skip(feed, self.brakes[key])
            outcome = await fetch_feed(self.client, feed, state=state, now=self.clock(), options=self.options)
            if isinstance(outcome, FetchFailed) and asks_to_stop(outcome):
                self.brakes[key] = outcome
        return outcome

    async def _take_turn(self, host: _Host, url: str, held: AsyncExitStack) -> None:
        """Wait until a host was left alone long enough, then for a place in the pass."""
        gap = 0.0 if _is_own_machine(url) else self.options.host_gap_seconds
        now = asyncio.get_running_loop().time
        async with host.turn:
            await asyncio.sleep(max(host.started + gap - now(), 0.0))
            await held.enter_async_context(self.places)
            host.started = now()

    def _skip(self, feed: Feed, brake: FetchFailed) -> FetchFailed:
        exchange = Exchange(feed.url, without_credentials(feed.url), fetched_at=self.clock(), seconds=0.0)
        message = f"Host asked us to stop with {brake.exchange.status}, so this feed was not fetched"
        return FetchFailed(exchange, "temporary", "host_paused", message, _pause(brake))


def _is_own_machine(url: str) -> bool:
    host = host_of(url)
    try:
        return host == "localhost" or parse_address(host).is_loopback
    except ValueError:
        return False


def _pause(brake: FetchFailed) -> PaceHints:
    return PaceHints(retry_after=brake.hints.retry_after)
