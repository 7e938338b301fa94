"""When a feed is polled next. Pure: the clock and the jitter are arguments.

The interval follows the feed's rhythm. Answers and failures move the next poll, never the interval itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from flows.feeds.failures import asks_to_stop
from flows.feeds.learn import learn_outcome
from flows.feeds.rhythm import pace_interval
from flows.feeds.urls import host_key
from tocsin.types import FeedState, FetchFailed, PaceHints, Polled, Severity

SOONEST = timedelta(minutes=1)
LATEST = timedelta(hours=24)
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
    learnt = learn_outcome(state, polled, now=now, seen_share=seen_share)
    if isinstance(outcome, FetchFailed):
        delay = max(_failure_delay(learnt, outcome), _retry_after(outcome.hints))
        return replace(
            learnt,
            polled_at=now,
            failures=state.failures + 1,
            failing_since=state.failing_since or now,
            next_poll_at=now + _bounded(delay, jitter),
        )
    interval = pace_interval(learnt, now, seen_share=seen_share if state.succeeded_at else None)
    ttl = polled.parsed.ttl if polled.parsed else None
    delay = max(interval, _earliest(outcome.hints, ttl))
    return replace(
        learnt,
        polled_at=now,
        succeeded_at=now,
        failures=0,
        failing_since=None,
        gone_at=None,
        interval=interval,
        next_poll_at=now + _bounded(delay, jitter),
    )


def hold_back(waiting: Iterable[FeedState], polled: Iterable[Polled], now: datetime) -> list[FeedState]:
    """Give those of the feeds not polled whose host asked to stop and that would be due too soon, put off.

    So the next passes leave the host alone as well: what it said is remembered in its feeds' next polls.
    """
    until: dict[str, datetime] = {}
    for each in polled:
        if isinstance(each.outcome, FetchFailed) and asks_to_stop(each.outcome):
            exchange = each.outcome.exchange
            delay = max(_BACKOFF["temporary"][0], _retry_after(each.outcome.hints))
            # A redirect may have led to the host that spoke; its feeds would only be led there again.
            for url in {exchange.final_url, exchange.final_url if exchange.at_moved else exchange.feed_url}:
                until[host_key(url)] = max(now + min(delay, LATEST), until.get(host_key(url), now))
    held = ((state, until.get(host_key(state.moved_to or state.url))) for state in waiting)
    return [
        replace(state, next_poll_at=moment)
        for state, moment in held
        if moment is not None and (state.next_poll_at is None or state.next_poll_at < moment)
    ]


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


def _earliest(hints: PaceHints, ttl: timedelta | None) -> timedelta:
    """How long the server and the feed say that nothing will change."""
    stated = [min(hint, _LONGEST_HINT) for hint in (hints.max_age, ttl) if hint is not None]
    return max([*stated, _retry_after(hints)])


def _retry_after(hints: PaceHints) -> timedelta:
    return hints.retry_after or timedelta(0)


def _failure_delay(state: FeedState, outcome: FetchFailed) -> timedelta:
    """Back off by severity; what is gone is asked once a day, and after a target its feed's own URL soon."""
    if state.gone_at is not None:
        return LATEST
    if outcome.exchange.at_moved and state.moved_to is None:
        return _BACKOFF["temporary"][0]
    first, longest = _BACKOFF[outcome.severity]
    return min(first * (1 << min(state.failures, 16)), longest)


def _bounded(delay: timedelta, jitter: float) -> timedelta:
    """Only ever later: what a server asked for is a lower bound."""
    late = min(max(delay, SOONEST), LATEST) * (1.0 + _JITTER * jitter)
    return min(late, LATEST)
