"""When a feed is polled next, and what is remembered of it. Pure: the clock and the jitter are arguments.

The interval follows the feed's rhythm: the share of entries already seen says whether we come too
often or too seldom. Answers and failures move the next poll, never the interval itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from tocsin.types import FeedState, Fetched, FetchFailed, NotModified, PaceHints, Polled, Severity

SOONEST = timedelta(minutes=1)
LATEST = timedelta(hours=24)
FIRST_INTERVAL = timedelta(minutes=15)
SHORTEST_INTERVAL = timedelta(minutes=5)
LONGEST_INTERVAL = timedelta(hours=6)
# Publishers copy such hints from templates; obeyed in full they would make news a day old.
_LONGEST_HINT = timedelta(hours=1)
_JITTER = 0.1

# After the first failure; doubled with each further one, up to the limit.
_BACKOFF: dict[Severity, tuple[timedelta, timedelta]] = {
    "temporary": (timedelta(minutes=5), timedelta(hours=4)),
    "soft": (timedelta(minutes=30), timedelta(hours=24)),
    "hard": (timedelta(hours=6), timedelta(hours=24)),
}


def schedule_poll(
    state: FeedState, polled: Polled, *, now: datetime, seen_share: float | None = None, jitter: float = 0.0
) -> FeedState:
    """Give the state after a poll; `next_poll_at` is 1 minute to 24 hours after `now`.

    `seen_share` is the part of the feed's entries that was known before, None where the body did
    not change. `jitter`, 0 to 1, delays the poll by up to a tenth, so that feeds spread out.
    """
    outcome = polled.outcome
    if isinstance(outcome, FetchFailed):
        failures = state.failures + 1
        delay = max(_backoff(outcome.severity, failures), _retry_after(outcome.hints))
        return replace(state, polled_at=now, failures=failures, next_poll_at=now + _bounded(delay, jitter))
    interval = _next_interval(state, seen_share)
    ttl = polled.parsed.ttl if polled.parsed else None
    return replace(
        _remember(state, outcome, now),
        polled_at=now,
        succeeded_at=now,
        failures=0,
        interval=interval,
        next_poll_at=now + _bounded(max(interval, _earliest(outcome.hints, ttl)), jitter),
    )


def due_feeds(states: Iterable[FeedState], now: datetime) -> list[FeedState]:
    """The feeds to poll now: never polled first, then the longest overdue.

    A next poll further ahead than any that we plan comes from a clock that was wrong: it is due.
    """

    def is_due(state: FeedState) -> bool:
        planned = state.next_poll_at
        return planned is None or planned <= now or planned > now + LATEST

    def order(state: FeedState) -> tuple[bool, float, str]:
        planned = state.next_poll_at
        return planned is not None, planned.timestamp() if planned else 0.0, state.url

    return sorted(filter(is_due, states), key=order)


def _remember(state: FeedState, outcome: Fetched | NotModified, now: datetime) -> FeedState:
    """Keep what the next request needs; a 304 counts as no full fetch, a body that is the same does."""
    if isinstance(outcome, Fetched):
        return replace(
            state,
            validators=outcome.validators,
            body_hash=outcome.body_hash,
            full_fetch_at=now,
            baseline_at=state.baseline_at or now,
        )
    is_full = outcome.exchange.status != 304
    return replace(
        state, validators=outcome.validators, full_fetch_at=now if is_full else state.full_fetch_at
    )


def _next_interval(state: FeedState, seen_share: float | None) -> timedelta:
    """Shorten while a poll finds many new entries, lengthen while it finds none."""
    if state.interval is None or state.succeeded_at is None:
        return FIRST_INTERVAL
    new_share = 0.0 if seen_share is None else 1.0 - seen_share
    if new_share >= 0.5:  # entries may have come and gone between two polls
        factor = 0.5
    elif new_share > 0.0:
        factor = 0.85
    else:
        factor = 1.2
    return min(max(state.interval * factor, SHORTEST_INTERVAL), LONGEST_INTERVAL)


def _earliest(hints: PaceHints, ttl: timedelta | None) -> timedelta:
    """How long the server and the feed say that nothing will change."""
    stated = [min(hint, _LONGEST_HINT) for hint in (hints.max_age, ttl) if hint is not None]
    return max([*stated, _retry_after(hints)])


def _retry_after(hints: PaceHints) -> timedelta:
    return hints.retry_after or timedelta(0)


def _backoff(severity: Severity, failures: int) -> timedelta:
    first, longest = _BACKOFF[severity]
    return min(first * (1 << min(failures - 1, 16)), longest)


def _bounded(delay: timedelta, jitter: float) -> timedelta:
    """Only ever later: what a server asked for is a lower bound."""
    late = min(max(delay, SOONEST), LATEST) * (1.0 + _JITTER * jitter)
    return min(late, LATEST)
