"""One pass over the feeds that are due: politely per host, in parallel over all, in bounded memory."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit

from flows.feeds.failures import severity_of
from flows.feeds.fetch import Client, fetch_feed, open_client
from flows.feeds.network import Resolve, resolve_host
from flows.feeds.options import DEFAULTS, PollOptions
from flows.feeds.pool import ParseJob, ParserPool
from flows.feeds.urls import without_credentials
from tocsin.errors import FeedError
from tocsin.types import Exchange, Feed, FeedState, Fetched, FetchFailed, FetchOutcome, PaceHints, Polled

Request = tuple[Feed, FeedState]
Clock = Callable[[], datetime]
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
        return await _Pass(client, clock, options).run(requests, keep, on_outcome)


async def poll_feeds(
    requests: Sequence[Request],
    *,
    clock: Clock,
    options: PollOptions = DEFAULTS,
    on_polled: Callable[[Polled], None] | None = None,
    resolve: Resolve = resolve_host,
) -> list[Polled]:
    """Fetch and parse feeds at once; results in the order of the requests.

    A body that is no feed makes the outcome a `FetchFailed` with the same exchange. Bodies are
    dropped once parsed (`Fetched.body` is empty then), so memory does not grow with the feeds.
    """
    parsers = ParserPool(options)

    async def parse(feed: Feed, outcome: FetchOutcome) -> Polled:
        return await _parse(parsers, feed, outcome)

    try:
        async with open_client(options, resolve=resolve) as client:
            return await _Pass(client, clock, options).run(requests, parse, on_polled)
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
    """What a pass keeps of one host: its places, and the answer that told us to stop."""

    places: asyncio.Semaphore
    brake: FetchFailed | None = None


@dataclass(slots=True)
class _Pass:
    client: Client
    clock: Clock
    options: PollOptions
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
        host = self.hosts[_host_key(feed.url)]
        async with host.places:
            await held.enter_async_context(self.places)
            if host.brake is not None:
                return self._skip(feed, host.brake)
            outcome = await fetch_feed(self.client, feed, state=state, now=self.clock(), options=self.options)
            if isinstance(outcome, FetchFailed) and _asks_to_stop(outcome):
                host.brake = outcome
        return outcome

    def _skip(self, feed: Feed, brake: FetchFailed) -> FetchFailed:
        exchange = Exchange(feed.url, without_credentials(feed.url), fetched_at=self.clock(), seconds=0.0)
        message = f"Host asked us to stop with {brake.exchange.status}, so this feed was not fetched"
        return FetchFailed(exchange, "temporary", "host_paused", message, _pause(brake))


def _host_key(url: str) -> str:
    try:
        return urlsplit(without_credentials(url)).netloc.lower()
    except ValueError:
        return ""


def _asks_to_stop(outcome: FetchFailed) -> bool:
    """429 speaks for the host; 503 may be one feed's trouble, unless it says when to come back."""
    status = outcome.exchange.status
    return status == 429 or (status == 503 and outcome.hints.retry_after is not None)


def _pause(brake: FetchFailed) -> PaceHints:
    return PaceHints(retry_after=brake.hints.retry_after)
