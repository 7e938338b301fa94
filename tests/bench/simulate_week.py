"""Polls simulated feeds for a week of virtual time: the schedule as it is against a fixed ten minutes.

    python tests/bench/simulate_week.py [--feeds 5000] [--days 7] [--seed 2]

Feeds publish by heavy-tailed rates with day, night and weekend; some are dead, some come in batches.
A feed shows its newest 20 to 30 entries, so what was pushed out between two polls is missed. Every poll
of the adaptive side goes through `schedule_poll`; passes start once a minute. No network, no sleeping.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np

from flows.feeds.health import SILENT_FOR, find_warnings
from flows.feeds.schedule import schedule_poll
from tocsin.types import Entry, Exchange, Feed, FeedState, Fetched, NotModified, ParsedFeed, Polled

START = datetime(2026, 11, 16, tzinfo=UTC)  # a Monday
DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0
FIXED = 600.0
WEEKEND = 0.6


@dataclass(frozen=True)
class SimFeed:
    """A feed's week: seconds from the start at which entries appear; the first `past` are before it."""

    number: int
    times: np.ndarray
    past: int
    window: int
    is_dead: bool
    has_dates: bool
    answers_304: bool


@dataclass
class Tally:
    """What polling one feed, or many, came to; `delays` in seconds, from publication to fetch."""

    requests: int
    in_vain: int
    missed: int
    delays: np.ndarray
    warned_dead: int = 0
    warned_alive: int = 0


def make_feed(number: int, *, seed: int, days: float) -> SimFeed:
    """Make one feed, the same for the same number and seed whatever other feeds there are."""
    rng = np.random.default_rng([seed, number])
    window = int(rng.integers(20, 31))
    per_day = min(float(np.exp(rng.normal(np.log(6.0), 1.6))), 1000.0)
    kind = rng.random()
    batch = int(rng.integers(3, 9)) if 0.08 <= kind < 0.20 else 1
    if kind < 0.08:  # dead for a month to three years
        newest = -rng.uniform(30, 1000) * DAY
        times = np.sort(newest - rng.exponential(DAY / per_day, window).cumsum())
    else:
        times = _publish(rng, per_day / batch, days=days, before=window)
        times = np.sort(np.repeat(times, batch) + rng.uniform(0, 5 * MINUTE, len(times) * batch))
    past = int(np.searchsorted(times, 0.0))
    times, past = times[max(past - window, 0) :], min(past, window)
    return SimFeed(
        number, times, past, window, kind < 0.08, bool(rng.random() < 0.9), bool(rng.random() < 0.75)
    )


def _publish(rng: np.random.Generator, per_day: float, *, days: float, before: int) -> np.ndarray:
    """Draw a Poisson process whose rate follows the hours of a place on earth and the weekend.

    Drawn at rate one in cumulated intensity, which is then turned back into time, week by week.
    """
    swing, peak = rng.uniform(0.3, 0.95), rng.uniform(0, DAY)
    grid = np.arange(0.0, 7 * DAY + 1, HOUR / 2)
    shape = 1 + swing * np.cos(2 * np.pi * (grid - peak) / DAY)
    shape *= np.where(grid >= 5 * DAY, WEEKEND, 1.0)
    total = np.concatenate([[0.0], ((shape[1:] + shape[:-1]) / 2 * np.diff(grid)).cumsum()])
    total *= per_day * 7 / total[-1]
    count = int(per_day * days * 2 + 50)
    events = np.concatenate([-rng.exponential(1, before).cumsum()[::-1], rng.exponential(1, count).cumsum()])
    weeks, rest = np.divmod(events, total[-1])
    times = weeks * 7 * DAY + np.interp(rest, total, grid)
    return times[times < days * DAY]


# ---------------------------------------------------------------- fixed


def poll_fixed(feed: SimFeed, *, seed: int, days: float) -> Tally:
    """Poll a feed every ten minutes, from a moment of its own."""
    phase = random.Random(f"{seed}/{feed.number}").uniform(0, FIXED)
    times = feed.times[feed.past :]
    turns = np.ceil((times - phase) / FIXED).astype(int).clip(min=0)
    requests = int(np.ceil((days * DAY - phase) / FIXED))
    busy, per_turn = np.unique(turns, return_counts=True)
    return Tally(
        requests=requests,
        in_vain=0 if feed.answers_304 else requests - len(busy[busy < requests]),
        missed=int((per_turn - feed.window).clip(min=0).sum()),
        delays=_delays_seen(turns * FIXED + phase - times, turns, feed.window),
    )


def _delays_seen(delays: np.ndarray, turns: np.ndarray, window: int) -> np.ndarray:
    """Leave out what more than a window of newer entries pushed out before its turn."""
    newest = np.searchsorted(turns, turns, side="right") - 1
    return delays[newest - np.arange(len(turns)) < window]


# ---------------------------------------------------------------- adaptive


def poll_adaptive(feed: SimFeed, *, seed: int, days: float) -> Tally:
    """Poll a feed whenever `schedule_poll` says, at the next full minute."""
    end, times = days * DAY, feed.times
    delays: list[np.ndarray] = []
    tally = Tally(0, 0, 0, np.empty(0))
    seen = 0
    warned = False
    for now, seen_before, state in _polls(feed, seed=seed, end=end):
        warned = warned or _is_warned(state, now)
        seen = int(np.searchsorted(times, now, side="right"))
        new = seen - seen_before
        tally.requests += now < end
        tally.in_vain += now < end and not new and not feed.answers_304
        if seen > feed.past:
            fresh = times[max(seen_before, feed.past, seen - feed.window) : seen]
            tally.missed += max(min(new, seen - feed.past) - len(fresh), 0)
            delays.append(now - fresh)
    tally.delays = np.concatenate(delays) if delays else tally.delays
    tally.warned_dead, tally.warned_alive = warned and feed.is_dead, warned and not feed.is_dead
    return tally


def _is_warned(state: FeedState, now: float) -> bool:
    at = START + timedelta(seconds=now)
    is_quiet = state.last_new_at is not None and at - state.last_new_at >= SILENT_FOR
    return is_quiet and bool(find_warnings([state], at))


def _polls(feed: SimFeed, *, seed: int, end: float) -> Iterator[tuple[float, int, FeedState]]:
    """Give each poll's time, how many entries had appeared by the one before, and what it left.

    Polling goes on after the end until the last entries have been fetched.
    """
    jitter = random.Random(f"{seed}/{feed.number}").random
    known = Feed(f"https://{feed.number}.example/feed")
    state, now, seen = FeedState(known.url), 0.0, 0
    times = feed.times.tolist()
    while now < end or seen < len(times):
        before, polled_at = seen, now
        while seen < len(times) and times[seen] <= now:
            seen += 1
        at = START + timedelta(seconds=now)
        polled = _answer(feed, known, seen, seen - before, is_first=not before)
        share = 1 - min(seen - before, feed.window) / feed.window if seen > before else None
        state = schedule_poll(state, polled, now=at, seen_share=share, jitter=jitter())
        assert state.next_poll_at is not None
        now = -(-(state.next_poll_at - START).total_seconds() // MINUTE) * MINUTE
        yield polled_at, before, state


def _answer(feed: SimFeed, known: Feed, seen: int, new: int, *, is_first: bool) -> Polled:
    exchange = _EXCHANGES[feed.answers_304 and not new]
    if not new:
        return Polled(known, NotModified(exchange))
    entries: Sequence[Entry] = (_UNDATED,) * feed.window
    if is_first and feed.has_dates:
        shown = feed.times[max(seen - feed.window, 0) : seen]
        entries = [Entry("x", published_at=START + timedelta(seconds=int(at))) for at in shown]
    return Polled(known, Fetched(exchange, b"", "hash"), ParsedFeed(tuple(entries), "rss20"))


_UNDATED = Entry("x")
_EXCHANGES = {
    is_304: Exchange("", "", fetched_at=START, seconds=0.0, status=304 if is_304 else 200)
    for is_304 in (False, True)
}

# ---------------------------------------------------------------- the week


def simulate(numbers: Sequence[int], *, seed: int, days: float) -> tuple[Tally, Tally]:
    """Poll these feeds both ways; gives fixed and adaptive."""
    tallies: tuple[list[Tally], list[Tally]] = ([], [])
    for number in numbers:
        feed = make_feed(number, seed=seed, days=days)
        tallies[0].append(poll_fixed(feed, seed=seed, days=days))
        tallies[1].append(poll_adaptive(feed, seed=seed, days=days))
    return add_up(tallies[0]), add_up(tallies[1])


def add_up(tallies: Sequence[Tally]) -> Tally:
    return Tally(
        requests=sum(tally.requests for tally in tallies),
        in_vain=sum(tally.in_vain for tally in tallies),
        missed=sum(tally.missed for tally in tallies),
        delays=np.concatenate([tally.delays for tally in tallies]),
        warned_dead=sum(tally.warned_dead for tally in tallies),
        warned_alive=sum(tally.warned_alive for tally in tallies),
    )


def show(name: str, tally: Tally) -> str:
    p50, p95, p99 = np.percentile(tally.delays, [50, 95, 99]) / MINUTE
    mean = tally.delays.mean() / MINUTE
    return (
        f"| {name} | {tally.requests:,} | {tally.in_vain:,} | {len(tally.delays):,} | {tally.missed:,} "
        f"| {mean:.1f} | {p50:.1f} | {p95:.1f} | {p99:.1f} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--feeds", type=int, default=5000)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--seed", type=int, default=2, help="1 was used to choose the constants")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    began = time.monotonic()
    shares = [range(start, options.feeds, 20) for start in range(20)]
    run = partial(simulate, seed=options.seed, days=options.days)
    with ProcessPoolExecutor(options.processes) as pool:
        parts = list(pool.map(run, shares))
    fixed, adaptive = (add_up([part[side] for part in parts]) for side in (0, 1))
    print(f"{options.feeds} feeds, {options.days:g} days, seed {options.seed}; delays in minutes\n")
    print("| polling | requests | bodies in vain | entries fetched | missed | mean | median | p95 | p99 |")
    print("|---|---|---|---|---|---|---|---|---|")
    print(show("every 10 minutes", fixed))
    print(show("adaptive", adaptive))
    print(f"\nwarned as silent: {adaptive.warned_dead} dead feeds, {adaptive.warned_alive} living ones")
    print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)
    wins = adaptive.requests < fixed.requests and all(
        np.percentile(adaptive.delays, share) < np.percentile(fixed.delays, share) for share in (50, 95)
    )
    return 0 if wins else 1


if __name__ == "__main__":
    sys.exit(main())
