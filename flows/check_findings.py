"""What examining one feed finds: its values, when it would be polled next and why, what to warn of. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tocsin.types import FeedState, FetchFailed, FetchOutcome, ParsedFeed

# A feed that is worth following has said something in this time.
_SILENT = timedelta(days=30)
_PERMANENT = frozenset({301, 308})


@dataclass(frozen=True, slots=True)
class Address:
    """What a host name led to, and whether we may connect there."""

    host: str
    address: str
    is_allowed: bool


@dataclass(frozen=True, slots=True)
class Hop:
    """One request and its answer; `address` is the one that was connected to."""

    url: str
    status: int
    address: str | None
    redirected_to: str | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """What was fetched; `severity`, `reason` and `message` say why it is not usable, else they are None."""

    addresses: tuple[Address, ...]
    hops: tuple[Hop, ...]
    final_url: str
    status: int | None
    seconds: float
    received_bytes: int
    body_bytes: int | None = None
    content_type: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    severity: str | None = None
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """What was parsed. `dated` counts the entries with a date that can be right."""

    format: str
    title: str | None
    entries: int
    dated: int
    newest_at: datetime | None
    oldest_at: datetime | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IdField:
    """How well a field of the entries tells them apart.

    `given` entries have it, with `distinct` values; `shared` have one that an entry with another headline
    has too.
    """

    given: int
    distinct: int
    shared: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What its entries are known by; `articles` is how many different ones they make."""

    articles: int
    links: IdField
    guids: IdField
    identified_by: str


@dataclass(frozen=True, slots=True)
class InHistory:
    """What the feed would be to the history; the last two are None if nothing was parsed."""

    is_followed: bool
    is_first_poll: bool
    new_articles: int | None
    seen_share: float | None


@dataclass(frozen=True, slots=True)
class NextPoll:
    """`due_at` is what the history plans (None: at the next run), `at` what would follow a poll now."""

    due_at: datetime | None
    at: datetime
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FeedCheck:
    """All that was found, without user and password. `feed_links` are feeds that a web page names."""

    url: str
    checked_at: datetime
    is_usable: bool
    transfer: Transfer
    contents: Contents | None
    identity: Identity | None
    history: InHistory | None
    next_poll: NextPoll
    feed_links: tuple[str, ...]
    warnings: tuple[str, ...]


def identified_by(links: IdField, guids: IdField, entries: int) -> str:
    """Name the fields that are in fact unique, else what is left to go by."""
    fields = {"link": links, "guid": guids}
    unique = [name for name, each in fields.items() if each.given == entries and not each.shared]
    if unique:
        return " and ".join(unique)
    partly = [name for name, each in fields.items() if each.given > each.shared]
    return " or ".join([*partly, "headline and summary"])


def explain_pace(
    before: FeedState, after: FeedState, outcome: FetchOutcome, ttl: timedelta | None
) -> list[str]:
    """Say what moved the next poll to where `after` has it, one phrase each."""
    if isinstance(outcome, FetchFailed):
        reasons = [f"a {outcome.severity} failure, number {after.failures} in a row"]
    else:
        reasons = [_explain_interval(before, after)]
    hints = outcome.hints
    stated = {
        "the server asks to wait {} (Retry-After)": hints.retry_after,
        "the server says that its answer stays fresh for {}": hints.max_age,
        "the feed says that it changes every {}": ttl,
    }
    return [*reasons, *(text.format(span(value)) for text, value in stated.items() if value)]


def _explain_interval(before: FeedState, after: FeedState) -> str:
    interval = f"the feed's rhythm gives an interval of {span(after.interval or timedelta(0))}"
    return interval if before.interval is None else f"{interval} (it was {span(before.interval)})"


def find_warnings(
    transfer: Transfer, contents: Contents | None, identity: Identity | None, *, now: datetime, is_open: bool
) -> tuple[str, ...]:
    """Say what a person should know before following the feed, one sentence each.

    `is_open`: a user and password would go over http.
    """
    found = list(_warn_of_transfer(transfer, is_usable=contents is not None))
    if is_open:
        found.append("User and password travel unencrypted: use https")
    if contents is not None:
        found += _warn_of_contents(contents, now)
    if identity is not None and contents is not None:
        found += _warn_of_identity(identity, contents.entries)
    return tuple(found)


def _warn_of_transfer(transfer: Transfer, *, is_usable: bool) -> Iterator[str]:
    if is_usable and any(hop.status in _PERMANENT for hop in transfer.hops):
        yield f"The feed has moved for good: follow {transfer.final_url} instead"
    if is_usable and not (transfer.etag or transfer.last_modified):
        yield "The server gives no ETag and no Last-Modified: every poll fetches the whole feed"


def _warn_of_contents(contents: Contents, now: datetime) -> Iterator[str]:
    if not contents.entries:
        yield "The feed has no entries"
    elif contents.dated < contents.entries:
        missing = contents.entries - contents.dated
        yield f"{missing} of {contents.entries} entries have no usable date: first-seen time stands in"
    if contents.newest_at and now - contents.newest_at > _SILENT:
        yield f"The newest entry is {(now - contents.newest_at).days} days old"


def _warn_of_identity(identity: Identity, entries: int) -> Iterator[str]:
    for name, each in (("guid", identity.guids), ("link", identity.links)):
        if each.shared:
            yield f"{each.shared} of {entries} entries share a {name} with an entry of another headline"
    if entries and not identity.links.given:
        yield "No entry has a link of its own: alerts cannot lead to the article"


def span(length: timedelta) -> str:
    """Write a length of time as people say it."""
    seconds = length.total_seconds()
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size * (2 if unit == "day" else 1):
            return _count(seconds / size, unit)
    return _count(seconds, "second")


def _count(number: float, unit: str) -> str:
    text = f"{number:.1f}".removesuffix(".0")
    return f"{text} {unit}{'' if text == '1' else 's'}"


def dates_of(parsed: ParsedFeed) -> list[datetime]:
    """The entries' dates, oldest first."""
    return sorted(entry.published_at for entry in parsed.entries if entry.published_at)
