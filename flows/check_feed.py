"""One feed examined step by step, by the same code that polls it; nothing is written.

Must not know how the findings are shown, nor where the history lies.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from flows.check_findings import (
    Address,
    Contents,
    FeedCheck,
    Hop,
    Identity,
    IdField,
    InHistory,
    NextPoll,
    Transfer,
    dates_of,
    explain_pace,
    find_warnings,
    identified_by,
)
from flows.feeds.discover import find_feed_links
from flows.feeds.failures import severity_of
from flows.feeds.fetch import fetch_feed, open_client
from flows.feeds.identity import Identified, identify_entries, keys_to_look_up
from flows.feeds.network import Resolve, is_allowed, resolve_host
from flows.feeds.options import Network, PollOptions
from flows.feeds.pool import ParseJob, ParserPool
from flows.feeds.schedule import schedule_poll
from flows.feeds.urls import canonical_url, is_home_page, without_credentials
from tocsin.errors import FeedError
from tocsin.types import Feed, FeedState, Fetched, FetchFailed, FetchOutcome, ParsedFeed, Polled


@dataclass(frozen=True, slots=True)
class History:
    """What the history knows of the feed; `find_known` gives the article ids of known identities."""

    state: FeedState
    is_followed: bool
    find_known: Callable[[Sequence[int]], Mapping[int, int]]


def check_feed(
    feed: Feed,
    *,
    now: datetime,
    options: PollOptions,
    history: History | None = None,
    resolve: Resolve = resolve_host,
) -> FeedCheck:
    """Fetch and parse a feed once, unconditionally, and say what a poll would make of it.

    `history` None: there is none yet. Whatever is wrong with the feed is a finding, never an exception.
    """
    witness = _Witness(resolve, options.allow_networks)
    outcome, polled, links = asyncio.run(_fetch(feed, witness, now=now, options=options))
    parsed = polled.parsed
    known = history.find_known(keys_to_look_up([polled])) if history else {}
    identified = identify_entries([polled], known, now=now)
    transfer = _transfer(outcome, polled.outcome, witness)
    contents = _contents(parsed) if parsed else None
    identity = _identity(polled, parsed, now) if parsed else None
    return FeedCheck(
        url=without_credentials(feed.url),
        checked_at=now,
        is_usable=parsed is not None,
        transfer=transfer,
        contents=contents,
        identity=identity,
        history=_in_history(history, identified, feed.url, is_parsed=parsed is not None) if history else None,
        next_poll=_next_poll(polled, history, identified, now),
        feed_links=links,
        warnings=find_warnings(transfer, contents, identity, now=now, is_open=_is_open(feed.url)),
    )


class _Witness:
    """Writes down what a client's host names lead to and which answers it gets."""

    def __init__(self, resolve: Resolve, allow_networks: Sequence[Network]) -> None:
        self.addresses: list[Address] = []
        self.hops: list[Hop] = []
        self._resolve = resolve
        self._allow_networks = allow_networks

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        found = await self._resolve(host, port)
        for text in found:
            judged = Address(host, text, is_allowed(ip_address(text), self._allow_networks))
            if judged not in self.addresses:
                self.addresses.append(judged)
        return found

    async def note_answer(self, response: Any) -> None:
        """Be an event hook of the client, which calls it before the body is read."""
        location = response.headers.get("location") if response.has_redirect_location else None
        self.hops.append(
            Hop(
                url=without_credentials(str(response.request.url)),
                status=response.status_code,
                address=response.extensions.get("server_address"),
                redirected_to=without_credentials(location) if location else None,
            )
        )


async def _fetch(
    feed: Feed, witness: _Witness, *, now: datetime, options: PollOptions
) -> tuple[FetchOutcome, Polled, tuple[str, ...]]:
    """Give the outcome with its body, what a poll would make of it, and the feeds that a page names."""
    async with open_client(options, resolve=witness.resolve) as client:
        client.event_hooks["response"].append(witness.note_answer)
        outcome = await fetch_feed(client, feed, state=FeedState(feed.url), now=now, options=options)
    if not isinstance(outcome, Fetched):
        return outcome, Polled(feed, outcome), ()
    parsers = ParserPool(options)
    try:
        final_url = outcome.exchange.final_url
        parsed = await parsers.parse(ParseJob(outcome.body, outcome.content_type, final_url, now))
    finally:
        parsers.close()
    if isinstance(parsed, FeedError):
        links = find_feed_links(outcome.body, final_url) if parsed.reason == "html" else ()
        reason = severity_of(parsed.reason), parsed.reason
        return (
            outcome,
            Polled(feed, FetchFailed(outcome.exchange, *reason, str(parsed), outcome.hints)),
            links,
        )
    return outcome, Polled(feed, outcome, parsed), ()


def _transfer(outcome: FetchOutcome, judged: FetchOutcome, witness: _Witness) -> Transfer:
    exchange = outcome.exchange
    fetched = outcome if isinstance(outcome, Fetched) else None
    validators = None if isinstance(outcome, FetchFailed) else outcome.validators
    failed = judged if isinstance(judged, FetchFailed) else None
    return Transfer(
        addresses=tuple(witness.addresses),
        hops=tuple(witness.hops),
        final_url=exchange.final_url,
        status=exchange.status,
        seconds=round(exchange.seconds, 3),
        received_bytes=exchange.received_bytes,
        body_bytes=len(fetched.body) if fetched else None,
        content_type=fetched.content_type if fetched else None,
        etag=validators.etag if validators else None,
        last_modified=validators.last_modified if validators else None,
        severity=failed.severity if failed else None,
        reason=failed.reason if failed else None,
        message=failed.message if failed else None,
    )


def _contents(parsed: ParsedFeed) -> Contents:
    dates = dates_of(parsed)
    return Contents(
        format=parsed.format,
        title=parsed.title,
        entries=len(parsed.entries),
        dated=len(dates),
        newest_at=dates[-1] if dates else None,
        oldest_at=dates[0] if dates else None,
        notes=parsed.notes,
    )


def _identity(polled: Polled, parsed: ParsedFeed, now: datetime) -> Identity:
    """Judge the feed's entries among themselves, as if nothing had been seen before."""
    own = canonical_url(polled.feed.url)

    def is_general(value: str) -> bool:
        return is_home_page(value) or canonical_url(value) == own

    links = [(entry.url, entry.title) for entry in parsed.entries if entry.url and not is_general(entry.url)]
    guids = [
        (entry.guid, entry.title) for entry in parsed.entries if entry.guid and not is_general(entry.guid)
    ]
    link_field = _id_field((canonical_url(url), title) for url, title in links)
    guid_field = _id_field(guids)
    return Identity(
        articles=len(identify_entries([polled], {}, now=now).articles),
        links=link_field,
        guids=guid_field,
        identified_by=identified_by(link_field, guid_field, len(parsed.entries)),
    )


def _id_field(values: Iterable[tuple[str, str]]) -> IdField:
    headlines: dict[str, list[str]] = defaultdict(list)
    for value, headline in values:
        headlines[value].append(" ".join(headline.casefold().split()))
    return IdField(
        given=sum(map(len, headlines.values())),
        distinct=len(headlines),
        shared=sum(len(each) for each in headlines.values() if len(set(each)) > 1),
    )


def _in_history(history: History, identified: Identified, url: str, *, is_parsed: bool) -> InHistory:
    return InHistory(
        is_followed=history.is_followed,
        is_first_poll=history.state.baseline_at is None,
        new_articles=len(identified.articles) if is_parsed else None,
        seen_share=identified.seen_share.get(url) if is_parsed else None,
    )


def _next_poll(polled: Polled, history: History | None, identified: Identified, now: datetime) -> NextPoll:
    before = history.state if history else FeedState(polled.feed.url)
    seen_share = identified.seen_share.get(polled.feed.url)
    after = schedule_poll(before, polled, now=now, seen_share=seen_share)
    ttl = polled.parsed.ttl if polled.parsed else None
    return NextPoll(
        due_at=before.next_poll_at,
        at=after.next_poll_at or now,
        reasons=tuple(explain_pace(before, after, polled.outcome, ttl)),
    )


def _is_open(url: str) -> bool:
    """Tell whether a user and password would be readable on the way."""
    return url.startswith("http://") and without_credentials(url) != url
