"""When a feed is polled next, whatever happened."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.rhythm import LONGEST_INTERVAL, SHORTEST_INTERVAL, STEADY_INTERVAL
from flows.feeds.schedule import LATEST, SOONEST, due_feeds, hold_back, schedule_poll
from tocsin.types import (
    Exchange,
    Feed,
    FeedState,
    Fetched,
    FetchFailed,
    NotModified,
    PaceHints,
    ParsedFeed,
    Polled,
    Validators,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
URL = "https://a.example/feed"
EARLIER = NOW - timedelta(hours=1)
OLD = Validators(URL, etag='"old"')
NEW = Validators(URL, etag='"new"')
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


# Between its polls an hourly feed stands still for an eighth of its gap at the most.
RHYTHM = {"last_new_at": NOW, "entry_gap": timedelta(hours=1), "usual_gap": timedelta(hours=1)}


def exchange(status=200, **facts):
    return Exchange(URL, URL, fetched_at=NOW, seconds=0.1, status=status, **facts)


def fetched(ttl=None, **hints):
    outcome = Fetched(exchange(), body=b"", body_hash="new", validators=NEW, hints=PaceHints(**hints))
    return Polled(Feed(URL), outcome, ParsedFeed((), format="rss20", ttl=ttl))


def unchanged(status=304, **hints):
    return Polled(Feed(URL), NotModified(exchange(status), validators=OLD, hints=PaceHints(**hints)))


def failed(severity="temporary", *, reason="x", at_moved=False, **hints):
    facts = exchange(None, at_moved=at_moved)
    return Polled(Feed(URL), FetchFailed(facts, severity, reason, "x", PaceHints(**hints)))


def known(**changes):
    """A feed that has been polled with success, and has one new entry an hour."""
    fields = {
        "validators": OLD,
        "body_hash": "old",
        "polled_at": EARLIER,
        "succeeded_at": EARLIER,
        "full_fetch_at": EARLIER,
        "interval": HOUR,
        "baseline_at": EARLIER,
        **RHYTHM,
    }
    return FeedState(URL, **{**fields, **changes})


def test_a_first_success_is_the_baseline_and_starts_the_rhythm():
    state = schedule_poll(FeedState(URL), fetched(), now=NOW, seen_share=0.0)
    assert (state.validators, state.body_hash) == (NEW, "new")
    assert state.polled_at == state.succeeded_at == state.full_fetch_at == state.baseline_at == NOW
    assert (state.interval, state.next_poll_at) == (STEADY_INTERVAL, NOW + STEADY_INTERVAL)
    assert state.failures == 0


def test_the_next_poll_follows_the_rhythm():
    state = schedule_poll(known(), unchanged(), now=NOW)
    assert (state.interval, state.next_poll_at) == (STEADY_INTERVAL, NOW + STEADY_INTERVAL)


def test_a_body_in_which_nothing_was_known_calls_for_the_next_poll_at_once():
    state = schedule_poll(known(), fetched(), now=NOW, seen_share=0.0)
    assert state.next_poll_at == NOW + SHORTEST_INTERVAL


def test_a_failure_keeps_the_interval():
    before = known(interval=HOUR, failures=2)
    assert schedule_poll(before, failed(), now=NOW).interval == HOUR


@pytest.mark.parametrize(
    ("polled", "delay"),
    [
        (unchanged(retry_after=5 * HOUR), 5 * HOUR),
        (unchanged(retry_after=90 * HOUR), LATEST),
        (unchanged(max_age=MINUTE), STEADY_INTERVAL),
        (unchanged(retry_after=MINUTE), STEADY_INTERVAL),
        (unchanged(max_age=30 * MINUTE), 30 * MINUTE),
        (failed(retry_after=5 * HOUR), 5 * HOUR),
        (failed(retry_after=MINUTE), 5 * MINUTE),
        (failed(retry_after=90 * HOUR), LATEST),
    ],
)
def test_hints_only_delay_and_never_beyond_a_day(polled, delay):
    assert schedule_poll(known(), polled, now=NOW).next_poll_at == NOW + delay


@pytest.mark.parametrize("polled", [fetched(ttl=30 * MINUTE), fetched(max_age=30 * MINUTE)])
def test_a_feed_that_says_how_long_it_stays_is_not_polled_sooner(polled):
    state = schedule_poll(known(), polled, now=NOW, seen_share=0.9)
    assert state.next_poll_at == NOW + 30 * MINUTE
    assert state.interval == STEADY_INTERVAL


@pytest.mark.parametrize("polled", [fetched(ttl=24 * HOUR), fetched(max_age=24 * HOUR)])
def test_a_careless_time_to_live_delays_an_hour_at_most(polled):
    state = schedule_poll(known(), polled, now=NOW, seen_share=0.9)
    assert state.next_poll_at == NOW + HOUR


@pytest.mark.parametrize(
    ("severity", "delays"),
    [
        ("temporary", [5, 10, 20, 40, 80, 160, 240, 240]),
        ("soft", [30, 60, 120, 240, 480, 960, 1440, 1440]),
        ("hard", [360, 720, 1440, 1440]),
    ],
)
def test_failures_back_off_by_their_severity(severity, delays):
    state, planned = known(), []
    for _ in delays:
        state = schedule_poll(state, failed(severity), now=NOW)
        planned.append((state.next_poll_at - NOW) / MINUTE)
    assert planned == delays


def test_a_success_after_failures_returns_to_the_rhythm():
    state = schedule_poll(known(), failed("hard"), now=NOW)
    assert schedule_poll(state, unchanged(), now=NOW).next_poll_at == NOW + STEADY_INTERVAL


def test_a_feed_that_is_gone_is_asked_once_a_day_whatever_it_says_next():
    state = schedule_poll(known(), failed("hard", reason="http_410"), now=NOW)
    assert state.next_poll_at == NOW + LATEST
    assert schedule_poll(state, failed("temporary"), now=NOW, jitter=1.0).next_poll_at == NOW + LATEST
    assert schedule_poll(state, unchanged(), now=NOW).next_poll_at == NOW + STEADY_INTERVAL


def test_after_a_target_failed_the_own_url_of_a_feed_is_asked_soon():
    before = known(moved_to="https://new.example/", moved_at=EARLIER)
    state = schedule_poll(before, failed("hard", reason="http_410", at_moved=True), now=NOW)
    assert (state.moved_to, state.gone_at, state.next_poll_at) == (None, None, NOW + 5 * MINUTE)


def test_jitter_spreads_polls_by_up_to_a_tenth():
    plain, late = (schedule_poll(known(), unchanged(), now=NOW, jitter=jitter) for jitter in (0.0, 1.0))
    assert late.next_poll_at - NOW == 1.1 * (plain.next_poll_at - NOW)
    assert late.interval == plain.interval


def test_feeds_are_due_never_polled_first_then_longest_overdue():
    states = [
        FeedState("soon", next_poll_at=NOW + MINUTE),
        FeedState("now", next_poll_at=NOW),
        FeedState("overdue", next_poll_at=NOW - HOUR),
        FeedState("new"),
    ]
    assert [state.url for state in due_feeds(states, NOW)] == ["new", "overdue", "now"]


def test_a_poll_planned_by_a_clock_that_was_wrong_is_due():
    states = [
        FeedState("far", next_poll_at=NOW + LATEST + MINUTE),
        FeedState("day", next_poll_at=NOW + LATEST),
    ]
    assert [state.url for state in due_feeds(states, NOW)] == ["far"]


def answered(status, url=URL, **hints):
    facts = Exchange(url, url, fetched_at=NOW, seconds=0.1, status=status)
    return Polled(Feed(url), FetchFailed(facts, "temporary", f"http_{status}", "x", PaceHints(**hints)))


@pytest.mark.parametrize(
    ("polled", "pause"),
    [
        (answered(429), 5 * MINUTE),
        (answered(429, retry_after=HOUR), HOUR),
        (answered(503, retry_after=90 * HOUR), LATEST),
        (answered(503), None),
        (answered(404, retry_after=HOUR), None),
        (unchanged(retry_after=HOUR), None),
    ],
)
def test_the_waiting_feeds_of_a_host_that_asks_to_stop_wait_as_long(polled, pause):
    neighbours = [
        FeedState("https://a.example/other", next_poll_at=NOW + MINUTE),
        FeedState("https://elsewhere.example/", moved_to="https://A.example/moved", next_poll_at=NOW),
        FeedState("https://user:pass@a.example/new"),
    ]
    others = [
        FeedState("https://a.example/later", next_poll_at=NOW + LATEST),
        FeedState("https://b.example/", next_poll_at=NOW),
        FeedState("https://a.example/gone-away", moved_to="https://b.example/", next_poll_at=NOW),
    ]
    held = hold_back([*neighbours, *others], [polled], NOW)
    expected = [replace(state, next_poll_at=NOW + pause) for state in neighbours] if pause else []
    assert held == expected


def test_of_two_answers_the_longer_pause_counts():
    polled = [answered(429, retry_after=HOUR), answered(429, URL + "2")]
    (held,) = hold_back([FeedState("https://a.example/other")], polled, NOW)
    assert held.next_poll_at == NOW + HOUR


SPANS = st.none() | st.timedeltas(timedelta(0), timedelta(days=999_999))
HINTS = st.fixed_dictionaries({"retry_after": SPANS, "max_age": SPANS})
POLLED = st.one_of(
    st.builds(lambda ttl, hints: fetched(ttl, **hints), SPANS, HINTS),
    st.builds(lambda status, hints: unchanged(status, **hints), st.sampled_from([200, 304]), HINTS),
    st.builds(
        lambda severity, hints: failed(severity, **hints),
        st.sampled_from(["temporary", "soft", "hard"]),
        HINTS,
    ),
)


@given(
    st.lists(st.tuples(POLLED, st.none() | st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8),
    st.integers(0, 10**9),
)
def test_the_next_poll_always_lies_within_its_bounds(history, failures):
    state = FeedState(URL, failures=failures)
    for polled, seen_share, jitter in history:
        state = schedule_poll(state, polled, now=NOW, seen_share=seen_share, jitter=jitter)
        assert SOONEST <= state.next_poll_at - NOW <= LATEST
        assert state.interval is None or SHORTEST_INTERVAL <= state.interval <= LONGEST_INTERVAL
        assert due_feeds([state], NOW) == []
        assert due_feeds([state], NOW + LATEST) == [state]
