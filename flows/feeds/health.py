"""Which feeds an operator should hear of: failing for days, gone, or silent against their rhythm. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from flows.feeds.urls import without_credentials
from tocsin.types import FeedState, FeedWarning, WarningKind

FAILING_FOR = timedelta(days=3)
# Two failures with days between them may only say that nobody polled.
MIN_FAILURES = 3
SILENT_FOR = timedelta(days=3)
# Gaps between news vary; at random, eight times the mean comes once in three thousand gaps.
GAPS_TO_SILENCE = 8


def find_warnings(states: Iterable[FeedState], now: datetime) -> list[FeedWarning]:
    """Give the warnings that hold now, by feed; each feed has one at most.

    The same episode gives the same `warning_id` at every call, so that it can be told once; after a
    recovery the next episode has another.
    """
    found = (_find_warning(state, now) for state in states)
    return sorted((each for each in found if each is not None), key=lambda each: each.feed_url)


def _find_warning(state: FeedState, now: datetime) -> FeedWarning | None:
    if state.gone_at is not None:
        message = f"Feed is gone: its server says so since {_day(state.gone_at)}. Remove or replace it"
        return _warn(state, "gone", state.gone_at, message)
    if state.failing_since is not None:
        return _find_failing(state, state.failing_since, now)
    return _find_silent(state)


def _find_failing(state: FeedState, since: datetime, now: datetime) -> FeedWarning | None:
    if now - since < FAILING_FOR or state.failures < MIN_FAILURES:
        return None
    history = f"last worked on {_day(state.succeeded_at)}" if state.succeeded_at else "never worked"
    message = f"Feed fails since {_day(since)} ({state.failures} polls in a row); it {history}"
    return _warn(state, "failing", since, message)


def _find_silent(state: FeedState) -> FeedWarning | None:
    """A feed is silent only where its rhythm is known, and where it was asked long enough to say so."""
    if state.last_new_at is None or state.usual_gap is None or state.succeeded_at is None:
        return None
    if state.succeeded_at - state.last_new_at < max(SILENT_FOR, GAPS_TO_SILENCE * state.usual_gap):
        return None
    message = (
        f"Feed works but has had nothing new since {_day(state.last_new_at)}; "
        f"it used to have news about every {_span(state.usual_gap)}"
    )
    return _warn(state, "silent", state.last_new_at, message)


def _warn(state: FeedState, kind: WarningKind, since: datetime, message: str) -> FeedWarning:
    url = without_credentials(state.url)
    episode = f"{kind}\x1f{url}\x1f{since.timestamp():.6f}"
    warning_id = "feed-" + hashlib.sha256(episode.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    return FeedWarning(warning_id, url, kind, since, message)


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _span(gap: timedelta) -> str:
    """A duration in the largest unit that leaves at least two of it: `90 minutes`, `36 hours`, `9 days`."""
    minutes = max(round(gap / timedelta(minutes=1)), 1)
    for size, unit in ((1440, "days"), (60, "hours")):
        if minutes >= 2 * size:
            return f"{round(minutes / size)} {unit}"
    return "minute" if minutes == 1 else f"{minutes} minutes"
