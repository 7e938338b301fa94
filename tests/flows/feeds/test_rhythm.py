"""How often a feed speaks, and what that makes of its interval."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.rhythm import (
    LONGEST_INTERVAL,
    SHORTEST_INTERVAL,
    STEADY_INTERVAL,
    learn_rhythm,
    pace_interval,
)
from tocsin.types import Entry, Exchange, Feed, FeedState, Fetched, NotModified, ParsedFeed, Polled

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
URL = "https://a.example/feed"
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)
EXCHANGE = Exchange(URL, URL, fetched_at=NOW, seconds=0.1, status=200)


def polled(times, *, entries=None):
    claimed = [Entry(str(number), published_at=time) for number, time in enumerate(times)]
    claimed += [Entry("undated")] * ((entries or 0) - len(claimed))
    return Polled(Feed(URL), Fetched(EXCHANGE, b"", "hash"), ParsedFeed(tuple(claimed), "rss20"))


NOTHING_NEW = Polled(Feed(URL), NotModified(EXCHANGE))


def every(gap, count, *, newest=NOW):
    return [newest - number * gap for number in range(count)]


def first(times, **more):
    return learn_rhythm(FeedState(URL), polled(times, **more), now=NOW, seen_share=0.0)


def hourly(**changes):
    fields = {"last_new_at": NOW, "entry_gap": HOUR, "usual_gap": HOUR, "succeeded_at": NOW}
    return FeedState(URL, **{**fields, **changes})


def test_the_first_poll_learns_the_rhythm_from_claimed_times():
    state = first(every(2 * HOUR, 10, newest=NOW - 5 * HOUR))
    assert (state.last_new_at, state.entry_gap, state.usual_gap) == (NOW - 5 * HOUR, 2 * HOUR, 2 * HOUR)


@pytest.mark.parametrize(
    "times",
    [[], [NOW] * 20, every(HOUR, 4), every(-DAY, 20, newest=NOW + DAY), [None] * 20],
    ids=["none", "all the same", "too few", "in the future", "undated"],
)
def test_times_that_tell_nothing_leave_a_guess(times):
    state = first([time for time in times if time], entries=20)
    assert (state.last_new_at, state.entry_gap, state.usual_gap) == (NOW, HOUR, None)


def test_an_old_piece_pinned_to_a_feed_changes_little():
    state = first([*every(HOUR, 19), NOW - 900 * DAY])
    assert state.entry_gap == HOUR


def test_entries_that_come_in_batches_have_a_long_silence_and_a_short_gap_each():
    times = [day + number * MINUTE for day in every(DAY, 6) for number in range(-4, 1)]
    state = first(times)
    assert state.usual_gap == pytest.approx(DAY, rel=0.1)
    assert state.entry_gap < 6 * HOUR


def test_what_is_new_in_a_poll_shortens_the_gap_and_silence_lengthens_it():
    hour_later = NOW + HOUR
    busy = learn_rhythm(hourly(), polled([], entries=10), now=hour_later, seen_share=0.5)
    assert (busy.last_new_at, busy.entry_gap) == (hour_later, 9 * HOUR / 13)
    slow = learn_rhythm(hourly(), polled([], entries=10), now=NOW + 10 * HOUR, seen_share=0.9)
    assert slow.entry_gap == 2 * HOUR
    assert slow.usual_gap == HOUR + 9 * HOUR / 12


def test_one_short_silence_does_not_make_an_unknown_feed_a_busy_one():
    unknown = hourly(usual_gap=None)
    state = learn_rhythm(unknown, polled([], entries=10), now=NOW + HOUR, seen_share=0.9)
    assert state.usual_gap == DAY - 23 * HOUR / 12


@pytest.mark.parametrize(("body", "seen_share"), [(NOTHING_NEW, None), (polled([], entries=9), 1.0)])
def test_a_poll_with_nothing_new_changes_nothing(body, seen_share):
    assert learn_rhythm(hourly(), body, now=NOW + DAY, seen_share=seen_share) == hourly()


def test_a_feed_from_before_its_rhythm_was_kept_starts_anew():
    state = learn_rhythm(FeedState(URL, baseline_at=NOW - DAY), NOTHING_NEW, now=NOW, seen_share=None)
    assert (state.last_new_at, state.entry_gap) == (NOW, HOUR)


def test_the_interval_grows_with_the_root_of_the_gap_and_with_silence():
    assert pace_interval(hourly(), NOW) == STEADY_INTERVAL
    assert pace_interval(hourly(entry_gap=15 * MINUTE), NOW) == STEADY_INTERVAL / 2
    assert pace_interval(hourly(entry_gap=12 * HOUR), NOW) == 2 * STEADY_INTERVAL
    assert pace_interval(hourly(), NOW + 88 * HOUR) == 2 * STEADY_INTERVAL


def test_a_flood_in_which_nothing_was_known_calls_for_the_shortest_interval():
    assert pace_interval(hourly(), NOW, seen_share=0.0) == SHORTEST_INTERVAL


GAPS = st.none() | st.timedeltas(timedelta(0), timedelta(days=60))
MOMENTS = st.none() | st.datetimes(timezones=st.just(UTC))


@given(GAPS, MOMENTS, st.none() | st.floats(0, 1))
def test_the_interval_always_lies_within_its_bounds(gap, last_new_at, seen_share):
    state = FeedState(URL, entry_gap=gap, last_new_at=last_new_at)
    assert SHORTEST_INTERVAL <= pace_interval(state, NOW, seen_share=seen_share) <= LONGEST_INTERVAL


@given(
    st.lists(st.none() | st.datetimes(timezones=st.just(UTC)), max_size=30),
    st.lists(st.tuples(st.datetimes(timezones=st.just(UTC)), st.floats(0, 1)), max_size=5),
)
def test_no_claimed_time_and_no_clock_breaks_the_rhythm(times, polls):
    state = first([time for time in times if time], entries=len(times))
    for moment, seen_share in polls:
        state = learn_rhythm(state, polled([], entries=30), now=moment, seen_share=seen_share)
        assert timedelta(0) < state.entry_gap <= timedelta(days=60)
        assert state.usual_gap is None or state.usual_gap >= timedelta(0)
