"""How often a feed speaks: learnt from its polls, and how often that makes it worth polling.

Pure. The interval grows with the square root of the time per new entry, which for a given number of
requests makes the mean delay from publication to fetch the smallest. Between, it stands still: people
count on news within ten minutes from every feed that speaks several times a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tocsin.types import Entry, FeedState, ParsedFeed, Polled

SHORTEST_INTERVAL = timedelta(minutes=3)
LONGEST_INTERVAL = timedelta(hours=6)
# The interval of feeds with a new entry every one to three hours; chosen with tests/bench/simulate_week.py.
STEADY_INTERVAL = timedelta(minutes=9)
_STEADY_GAPS = (timedelta(hours=1), timedelta(hours=3))

# So many entries' worth of past weigh as much as what was observed since.
_MEMORY = 8
_UNKNOWN_GAP = timedelta(hours=1)
# Silences vary more than counts do, and a feed that is called silent too soon costs a person's time.
_MEMORY_OF_SILENCE = 12
_UNKNOWN_SILENCE = timedelta(days=1)
_GAP_BOUNDS = (timedelta(seconds=10), timedelta(days=60))
# Claimed times tell a rhythm only where there are several different ones.
_MIN_TIMES = 5
_SAME_MOMENT = timedelta(minutes=10)
_NOTHING = timedelta(0)


def learn_rhythm(state: FeedState, polled: Polled, *, now: datetime, seen_share: float | None) -> FeedState:
    """Learn from a successful poll: from the times that its entries claim at first, then from what is new."""
    if state.entry_gap is None or state.last_new_at is None:
        return _first_rhythm(state, polled.parsed, now)
    new = _count_new(polled.parsed, seen_share)
    if not new:
        return state
    silence = max(now - state.last_new_at, _NOTHING)
    before = state.usual_gap or _UNKNOWN_SILENCE
    usual = before + (silence - before) / _MEMORY_OF_SILENCE
    entry_gap = (_MEMORY * state.entry_gap + silence) / (_MEMORY + new)
    return replace(state, last_new_at=now, usual_gap=usual, entry_gap=_bounded(entry_gap, *_GAP_BOUNDS))


def pace_interval(state: FeedState, now: datetime, *, seen_share: float | None = None) -> timedelta:
    """Give the time between polls that fits a feed's rhythm; silence stretches it, a flood shortens it.

    Where no entry was known before (`seen_share` 0), others may have come and gone unseen.
    """
    if seen_share == 0.0:
        return SHORTEST_INTERVAL
    silence = max(now - state.last_new_at, _NOTHING) if state.last_new_at else _NOTHING
    gap = (state.entry_gap or _UNKNOWN_GAP) + silence / _MEMORY
    root: float = (gap / _bounded(gap, *_STEADY_GAPS)) ** 0.5
    return _bounded(STEADY_INTERVAL * root, SHORTEST_INTERVAL, LONGEST_INTERVAL)


def _first_rhythm(state: FeedState, parsed: ParsedFeed | None, now: datetime) -> FeedState:
    times = _plausible_times(parsed.entries if parsed else (), now)
    if len(times) < _MIN_TIMES:
        return replace(state, last_new_at=now, entry_gap=_UNKNOWN_GAP, usual_gap=None)
    moments = [time for time, before in zip(times[1:], times, strict=False) if time - before > _SAME_MOMENT]
    usual = (times[-1] - times[0]) / len(moments) if len(moments) >= _MIN_TIMES - 1 else None
    entry_gap = (times[-1] - times[0]) / (len(times) - 1)
    return replace(state, last_new_at=times[-1], usual_gap=usual, entry_gap=_bounded(entry_gap, *_GAP_BOUNDS))


def _plausible_times(entries: Sequence[Entry], now: datetime) -> list[datetime]:
    """The different times that entries claim, none in the future; pinned old ones are left out."""
    claimed = {entry.published_at for entry in entries if entry.published_at}
    times = sorted(time for time in claimed if time <= now)
    return times[len(times) // 10 :]


def _count_new(parsed: ParsedFeed | None, seen_share: float | None) -> int:
    if parsed is None or seen_share is None:
        return 0
    return round((1.0 - seen_share) * len(parsed.entries))


def _bounded(value: timedelta, shortest: timedelta, longest: timedelta) -> timedelta:
    return min(max(value, shortest), longest)
