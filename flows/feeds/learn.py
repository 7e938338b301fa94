"""What a poll teaches about a feed: where it moved, whether its 304s can be believed, how often it speaks.

Pure: the clock is an argument. When the feed is polled next is for `schedule` to say.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from flows.feeds.rhythm import learn_rhythm
from tocsin.types import Exchange, FeedState, Fetched, FetchFailed, NotModified, Polled

# A permanent redirect is believed when it was seen so often, over at least so long.
REDIRECTS_TO_MOVE = 3
MOVE_AFTER = timedelta(days=1)
# What was learnt is put to the test again: publishers repair servers, and hijacks end.
TRUST_MOVE_FOR = timedelta(days=30)
DISTRUST_304_FOR = timedelta(days=30)
# Temporary failures of a target, after which the feed's own URL is asked again.
_FAILURES_TO_RETURN = 3
# A feed is fetched in full once 304s have lasted for so many of its usual gaps, within a day and a week.
_GAPS_TO_FULL_FETCH = 4
_FULL_FETCH_SOONEST = timedelta(days=1)


def asks_moved(state: FeedState, now: datetime) -> bool:
    """Tell whether the next request goes to `moved_to`; now and then the feed's own URL is asked again."""
    if state.moved_to is None or state.moved_at is None:
        return False
    return now - state.moved_at < TRUST_MOVE_FOR


def may_ask_conditionally(state: FeedState, now: datetime, *, longest: timedelta) -> bool:
    """Tell whether validators may be sent: some servers answer 304 for ever, so not always.

    `longest` is the time without a full fetch that is accepted; less for a feed that speaks often.
    """
    if state.full_fetch_at is None or state.distrust_304_at is not None:
        return False
    accepted = longest
    if state.usual_gap is not None:
        accepted = min(max(_GAPS_TO_FULL_FETCH * state.usual_gap, _FULL_FETCH_SOONEST), longest)
    return now - state.full_fetch_at < accepted


def should_test_validators(state: FeedState, now: datetime, *, asked: str) -> bool:
    """Tell whether an unconditional body that differs calls for a test of the old validators.

    It does where 304s since the last full fetch said that nothing had changed, and, for a server
    that was caught before, once a month.
    """
    if state.validators is None or state.validators.url != asked:
        return False
    if state.distrust_304_at is not None:
        return now - state.distrust_304_at >= DISTRUST_304_FOR
    if state.full_fetch_at is None or state.succeeded_at is None:
        return False
    return state.succeeded_at > state.full_fetch_at


def learn_outcome(state: FeedState, polled: Polled, *, now: datetime, seen_share: float | None) -> FeedState:
    """Give what is learnt from a poll; the times and counts of polls are for `schedule` to keep."""
    outcome = polled.outcome
    if isinstance(outcome, FetchFailed):
        return _learn_failure(state, outcome, now)
    state = _learn_move(state, outcome.exchange, now)
    state = _learn_trust(state, outcome.exchange, now, seen_share)
    state = learn_rhythm(state, polled, now=now, seen_share=seen_share)
    return _remember(state, outcome, now)


def _learn_failure(state: FeedState, outcome: FetchFailed, now: datetime) -> FeedState:
    if outcome.exchange.at_moved:
        has_failed = outcome.severity != "temporary" or state.failures + 1 >= _FAILURES_TO_RETURN
        return replace(state, moved_to=None, moved_at=None) if has_failed else state
    is_gone = outcome.reason == "http_410" and state.gone_at is None
    return replace(state, gone_at=now) if is_gone else state


def _learn_move(state: FeedState, exchange: Exchange, now: datetime) -> FeedState:
    """Count sightings of a permanent redirect; what the feed's own URL says outweighs what was learnt."""
    target = exchange.redirected_to
    if not exchange.at_moved and state.moved_to is not None:
        confirmed = target == state.moved_to
        state = replace(state, moved_to=target if confirmed else None, moved_at=now if confirmed else None)
        target = None if confirmed else target
    if target is None:
        return state if state.redirect_to is None else _forget_redirect(state)
    return _count_redirect(state, target, now)


def _count_redirect(state: FeedState, target: str, now: datetime) -> FeedState:
    is_same = target == state.redirect_to and state.redirect_since is not None
    count = state.redirect_count + 1 if is_same else 1
    since = state.redirect_since if is_same and state.redirect_since else now
    if count >= REDIRECTS_TO_MOVE and now - since >= MOVE_AFTER:
        return replace(_forget_redirect(state), moved_to=target, moved_at=now)
    return replace(state, redirect_to=target, redirect_count=count, redirect_since=since)


def _forget_redirect(state: FeedState) -> FeedState:
    return replace(state, redirect_to=None, redirect_count=0, redirect_since=None)


def _learn_trust(state: FeedState, exchange: Exchange, now: datetime, seen_share: float | None) -> FeedState:
    """Distrust a server whose 304 hid new entries; a body that differs in a time stamp only is no harm."""
    if exchange.honours_validators:
        return replace(state, distrust_304_at=None)
    is_caught = exchange.honours_validators is False and seen_share is not None and seen_share < 1.0
    return replace(state, distrust_304_at=now) if is_caught else state


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
    if outcome.exchange.status != 304:
        return replace(state, validators=outcome.validators, full_fetch_at=now)
    return state if outcome.validators == state.validators else replace(state, validators=outcome.validators)
