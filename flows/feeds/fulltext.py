"""Article pages fetched as politely and as safely as feeds, and turned into plain text.

Whatever goes wrong with a page is a value: the feed's own text stands then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime

import httpx

from flows.feeds.discover import looks_like_html
from flows.feeds.extract import Extractor, Page
from flows.feeds.failures import severity_of
from flows.feeds.fetch import Client, fetch_quietly, open_client
from flows.feeds.network import Resolve, resolve_host
from flows.feeds.options import DEFAULTS, MIB, PollOptions
from flows.feeds.pool import Refusal
from flows.feeds.robots import Robots, read_robots, robots_url
from flows.feeds.urls import absolute_web_url, host_of, loggable
from tocsin.errors import FeedError
from tocsin.types import Article, Exchange, Feed, FeedState, Fetched, FetchFailed

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]

_HTML_TYPES = frozenset({"", "text/html", "application/xhtml+xml"})
_ACCEPT = "text/html, application/xhtml+xml;q=0.9"
# Failures that may be the whole host's, after which the rest of its pages are left alone.
_PATIENCE = 2


@dataclass(frozen=True, slots=True)
class FullTextOptions:
    """The bounds of a pass over article pages; what `poll` says of networks and places holds here too.

    Requests to a host start at least `spacing_seconds` apart, or what its robots.txt asks for. What
    is not begun within `pass_seconds` is left out, so that slow sites do not hold up alerts.
    """

    poll: PollOptions = DEFAULTS
    page_seconds: float = 20.0
    max_page_bytes: int = 4 * MIB
    max_redirects: int = 5
    max_characters: int = 20_000
    spacing_seconds: float = 1.0
    pass_seconds: float = 300.0
    extract_workers: int = 2
    extract_seconds: float = 10.0

    def for_pages(self) -> PollOptions:
        """The same bounds in the words of the fetcher."""
        return replace(
            self.poll,
            total_seconds=self.page_seconds,
            max_received_bytes=self.max_page_bytes,
            max_body_bytes=self.max_page_bytes,
            max_redirects=self.max_redirects,
        )


@dataclass(frozen=True, slots=True)
class FullText:
    """The plain text of an article's page, a paragraph a line."""

    exchange: Exchange
    text: str = field(repr=False)


FullTextOutcome = FullText | FetchFailed


async def fetch_full_texts(
    articles: Sequence[Article],
    *,
    clock: Clock,
    options: FullTextOptions | None = None,
    on_done: Callable[[FullTextOutcome], None] | None = None,
    resolve: Resolve = resolve_host,
    paused: Iterable[str] = (),
) -> dict[int, FullTextOutcome]:
    """Fetch and extract the pages of articles, newest first; outcomes by article id.

    Articles without a URL are absent from the result. Hosts in `paused`, by name or as name:port, asked to
    be left alone and are.
    """
    options = options or FullTextOptions()
    pages = options.for_pages()
    extractor = Extractor(workers=options.extract_workers, seconds=options.extract_seconds)
    try:
        async with (
            open_client(pages, resolve=resolve) as client,
            open_client(pages, resolve=resolve) as plain,
        ):
            one_pass = _Pass(client, plain, extractor, clock, options)
            one_pass.leave_alone(paused)
            return await one_pass.run(articles, on_done)
    finally:
        extractor.close()


@dataclass(slots=True)
class _Host:
    """What a pass keeps of one host: its places, when its next request may start, and why to stop."""

    places: asyncio.Semaphore
    next_at: float = 0.0
    troubles: int = 0
    brake: str | None = None

    def note(self, outcome: FullTextOutcome) -> None:
        """Stop asking a host that says so, or that keeps failing for reasons of its own."""
        if isinstance(outcome, FullText):
            self.troubles = 0
            return
        status = outcome.exchange.status
        self.troubles += outcome.severity == "temporary"
        if status == 429 or (status == 503 and outcome.hints.retry_after is not None):
            self.brake = f"Host asked us to stop with {status}"
        elif self.troubles >= _PATIENCE:
            self.brake = f"Host failed {_PATIENCE} times in a row"


class _Pass:
    """`client` fetches pages and checks each hop against robots.txt; `plain` fetches those files."""

    def __init__(
        self, client: Client, plain: Client, extractor: Extractor, clock: Clock, options: FullTextOptions
    ) -> None:
        client.headers["Accept"] = _ACCEPT
        client.event_hooks = {"request": [self._check_request], "response": [_check_response]}
        self._client, self._plain, self._extractor = client, plain, extractor
        self._clock, self._options, self._pages = clock, options, options.for_pages()
        self._hosts: dict[str, _Host] = defaultdict(lambda: _Host(asyncio.Semaphore(options.poll.per_host)))
        self._robots: dict[str, asyncio.Task[Robots]] = {}
        self._places = asyncio.Semaphore(options.poll.concurrency)
        # Places of their own: a page that holds one may wait for a robots.txt, never the reverse.
        self._robots_places = asyncio.Semaphore(options.poll.concurrency)
        self._ends_at = asyncio.get_running_loop().time() + options.pass_seconds

    def leave_alone(self, hosts: Iterable[str]) -> None:
        """Ask nothing of hosts that have told us to stop."""
        for host in hosts:
            self._hosts[host_of(f"//{host}")].brake = "Host asked us to stop when its feed was polled"

    async def run(
        self, articles: Sequence[Article], on_done: Callable[[FullTextOutcome], None] | None
    ) -> dict[int, FullTextOutcome]:
        async def one(article: Article, url: str) -> tuple[int, FullTextOutcome]:
            outcome = await self._fetch(url)
            _log_outcome(article, outcome)
            if on_done is not None:
                on_done(outcome)
            return article.article_id, outcome

        ordered = sorted(articles, key=lambda each: each.published_at or each.first_seen_at, reverse=True)
        addressed = [(each, url) for each in ordered if (url := absolute_web_url("", each.url))]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(article, url)) for article, url in addressed]
        finally:
            await self._drop_robots()
        return dict(task.result() for task in tasks)

    async def _fetch(self, url: str) -> FullTextOutcome:
        """Fetch one page when its host and the pass have a place, and extract it."""
        host = self._hosts[host_of(url)]
        async with AsyncExitStack() as held:
            async with host.places:
                refusal = await self._wait_for_turn(host, url)
                if refusal is not None:
                    return self._skip(url, refusal)
                # Kept until the page is extracted, so that few bodies are in memory at once.
                await held.enter_async_context(self._places)
                fetched = await self._exchange(self._client, url)
                if isinstance(fetched, FetchFailed):
                    host.note(fetched)
                    return fetched
            outcome = await self._extract(fetched)
        host.note(outcome)
        return outcome

    async def _wait_for_turn(self, host: _Host, url: str) -> Refusal | None:
        """Wait until the host may be asked again; gives why it is not to be asked at all."""
        loop = asyncio.get_running_loop()
        if host.brake is not None or loop.time() > self._ends_at:
            return _too_late(host)
        robots = await self._robots_for(url)
        if not robots.allows(url):
            return _refusal(robots, url)
        turn = max(loop.time(), host.next_at)
        if turn > self._ends_at:
            return _too_late(host)
        host.next_at = turn + max(self._options.spacing_seconds, robots.delay)
        await asyncio.sleep(turn - loop.time())
        # The answer to an earlier request may have come meanwhile.
        return _too_late(host) if host.brake is not None else None

    async def _exchange(self, client: Client, url: str) -> Fetched | FetchFailed:
        outcome = await fetch_quietly(
            client, Feed(url), state=FeedState(url), now=self._clock(), options=self._pages
        )
        assert isinstance(outcome, Fetched | FetchFailed)  # noqa: S101 - nothing is asked conditionally
        return outcome

    async def _extract(self, fetched: Fetched) -> FullTextOutcome:
        exchange = fetched.exchange
        if not fetched.content_type and not looks_like_html(fetched.body):
            return _failed(exchange, Refusal("not_html", "Page is not HTML"))
        page = Page(fetched.body, fetched.content_type, self._options.max_characters)
        text = await self._extractor.extract(page)
        return _failed(exchange, text) if isinstance(text, Refusal) else FullText(exchange, text)

    async def _robots_for(self, url: str) -> Robots:
        """The rules of a URL's site, fetched once in a pass however many ask."""
        where = robots_url(url)
        if where not in self._robots:
            self._robots[where] = asyncio.create_task(self._fetch_robots(where))
        return await asyncio.shield(self._robots[where])

    async def _fetch_robots(self, where: str) -> Robots:
        async with self._robots_places:
            return read_robots(await self._exchange(self._plain, where))

    async def _drop_robots(self) -> None:
        """End what nobody waits for any more, such as the rules of a site that a page gave up on."""
        for task in self._robots.values():
            task.cancel()
        await asyncio.gather(*self._robots.values(), return_exceptions=True)

    async def _check_request(self, request: httpx.Request) -> None:
        """Hold every hop of a redirect to the rules of the site that it leads to."""
        url = str(request.url)
        refusal = _refusal(await self._robots_for(url), url)
        if refusal is not None:
            raise FeedError(refusal.reason, refusal.message)

    def _skip(self, url: str, refusal: Refusal) -> FetchFailed:
        return _failed(Exchange(url, url, fetched_at=self._clock(), seconds=0.0), refusal)


async def _check_response(response: httpx.Response) -> None:
    """Refuse what is not a page before its body is read."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code == 200 and kind not in _HTML_TYPES:
        raise FeedError("not_html", f"Page is {kind[:60]}, not HTML")


def _too_late(host: _Host) -> Refusal:
    if host.brake is not None:
        return Refusal("host_paused", f"{host.brake}, so this page was not fetched")
    return Refusal("out_of_time", "Pages of this run took too long, so this one was not fetched")


def _refusal(robots: Robots, url: str) -> Refusal | None:
    if robots.allows(url):
        return None
    if robots.is_known:
        return Refusal("robots_forbidden", "Site's robots.txt asks us not to fetch this page")
    return Refusal("robots_unknown", "Site's robots.txt cannot be read now, so the page was not fetched")


def _failed(exchange: Exchange, refusal: Refusal) -> FetchFailed:
    return FetchFailed(exchange, severity_of(refusal.reason), refusal.reason, refusal.message)


def _log_outcome(article: Article, outcome: FullTextOutcome) -> None:
    url = loggable(outcome.exchange.final_url)
    if isinstance(outcome, FetchFailed):
        log.info("page.failed article=%d page=%s reason=%s", article.article_id, url, outcome.reason)
    else:
        log.info("page.fetched article=%d page=%s characters=%d", article.article_id, url, len(outcome.text))
