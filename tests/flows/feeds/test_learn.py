"""What a poll teaches: moves, ends, and whom not to believe."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flows.feeds.learn import (
    DISTRUST_304_FOR,
    TRUST_MOVE_FOR,
    asks_moved,
    may_ask_conditionally,
)
from flows.feeds.schedule import schedule_poll
from tocsin.types import (
    Entry,
    Exchange,
    Feed,
    FeedState,
    Fetched,
    FetchFailed,
    NotModified,
    ParsedFeed,
    Polled,
    Validators,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
URL, TARGET, OTHER = "https://old.example/feed", "https://new.example/feed", "https://third.example/feed"
EARLIER = NOW - timedelta(hours=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OLD, NEW = Validators(URL, etag='"old"'), Validators(URL, etag='"new"')


def exchange(status=200, **facts):
    return Exchange(URL, URL, fetched_at=NOW, seconds=0.1, status=status, **facts)


def fetched(**facts):
    outcome = Fetched(exchange(**facts), body=b"", body_hash="new", validators=NEW)
    return Polled(Feed(URL), outcome, ParsedFeed((Entry("a"), Entry("b")), format="rss20"))


def unchanged(status=304, **facts):
    return Polled(Feed(URL), NotModified(exchange(status, **facts), validators=OLD))


def failed(reason="http_503", severity="temporary", **facts):
    return Polled(Feed(URL), FetchFailed(exchange(**facts), severity, reason, "x"))


def known(**changes):
    fields = {
        "validators": OLD,
        "body_hash": "old",
        "polled_at": EARLIER,
        "succeeded_at": EARLIER,
        "full_fetch_at": EARLIER,
        "baseline_at": EARLIER,
        "last_new_at": EARLIER,
        "entry_gap": HOUR,
    }
    return FeedState(URL, **{**fields, **changes})


def learn(state, *steps, seen_share=None):
    """Learn from polls given as (hours after NOW, polled)."""
    for hours, polled in steps:
        state = schedule_poll(state, polled, now=NOW + hours * HOUR, seen_share=seen_share)
    return state


# ---------------------------------------------------------------- what the next request needs


def test_a_new_body_replaces_what_was_remembered_but_not_the_baseline():
    state = learn(known(failures=3, failing_since=EARLIER), (0, fetched()), seen_share=1.0)
    assert (state.validators, state.body_hash, state.full_fetch_at) == (NEW, "new", NOW)
    assert (state.baseline_at, state.failures, state.failing_since) == (EARLIER, 0, None)


def test_a_304_is_a_success_but_no_full_fetch():
    state = learn(known(failures=3), (0, unchanged(304)))
    assert (state.validators, state.body_hash, state.full_fetch_at) == (OLD, "old", EARLIER)
    assert (state.succeeded_at, state.failures) == (NOW, 0)


def test_the_same_body_again_is_a_full_fetch():
    assert learn(known(), (0, unchanged(200))).full_fetch_at == NOW


def test_a_failure_keeps_what_is_remembered_and_counts():
    before = known(failures=2, failing_since=EARLIER)
    state = learn(before, (0, failed()))
    assert (state.polled_at, state.failures) == (NOW, 3)
    assert replace(state, polled_at=EARLIER, failures=2, next_poll_at=None) == before


def test_failing_since_is_the_first_failure_in_a_row():
    assert learn(known(), (0, failed()), (5, failed())).failing_since == NOW
    assert learn(known(), (0, failed()), (1, unchanged()), (5, failed())).failing_since == NOW + 5 * HOUR


# ---------------------------------------------------------------- moves


def redirected(target=TARGET, **facts):
    return unchanged(redirected_to=target, **facts)


def test_three_permanent_redirects_over_a_day_move_a_feed():
    state = learn(known(), (0, redirected()), (12, redirected()))
    assert (state.moved_to, state.redirect_to, state.redirect_count) == (None, TARGET, 2)
    state = learn(state, (24, redirected()))
    assert (state.moved_to, state.moved_at, state.redirect_to) == (TARGET, NOW + DAY, None)
    assert state.url == URL


@pytest.mark.parametrize(
    "steps",
    [
        [(0, redirected()), (1, redirected()), (2, redirected()), (23, redirected())],
        [(0, redirected()), (30, redirected())],
        [(0, redirected()), (12, unchanged()), (24, redirected()), (36, redirected())],
        [(0, redirected()), (12, redirected(OTHER)), (24, redirected()), (36, redirected())],
    ],
    ids=["within a day", "twice only", "with one temporary or none between", "to different places"],
)
def test_less_than_that_moves_nothing(steps):
    assert learn(known(), *steps).moved_to is None


def test_a_failed_poll_between_does_not_count_against_the_redirect():
    steps = [(0, redirected()), (12, redirected()), (20, failed()), (24, redirected())]
    assert learn(known(), *steps).moved_to == TARGET


def moved(**changes):
    return known(moved_to=TARGET, moved_at=NOW, **changes)


def test_a_target_that_answers_stays():
    state = learn(moved(), (0, unchanged(at_moved=True)), (30, fetched(at_moved=True)))
    assert (state.moved_to, state.moved_at) == (TARGET, NOW)


@pytest.mark.parametrize(
    ("steps", "moved_to"),
    [
        ([("http_404", "soft")], None),
        ([("http_410", "hard")], None),
        ([("timeout", "temporary")] * 2, TARGET),
        ([("timeout", "temporary")] * 3, None),
    ],
)
def test_a_target_that_fails_falls_back_to_the_own_url(steps, moved_to):
    state = moved()
    for reason, severity in steps:
        state = learn(state, (0, failed(reason, severity, at_moved=True)))
    assert (state.moved_to, state.gone_at) == (moved_to, None)
    assert asks_moved(state, NOW) == (moved_to is not None)


def test_a_target_that_moved_on_is_followed_after_as_many_sightings():
    steps = [(hours, redirected(OTHER, at_moved=True)) for hours in (0, 12, 24)]
    assert learn(moved(), *steps[:2]).moved_to == TARGET
    assert learn(moved(), *steps).moved_to == OTHER


def test_once_a_month_the_own_url_is_asked_and_confirms_or_ends_the_move():
    state = moved()
    assert asks_moved(state, NOW + TRUST_MOVE_FOR - HOUR)
    assert not asks_moved(state, NOW + TRUST_MOVE_FOR)
    later = TRUST_MOVE_FOR / HOUR
    assert learn(state, (later, redirected())).moved_at == NOW + TRUST_MOVE_FOR
    assert learn(state, (later, unchanged())).moved_to is None
    elsewhere = learn(state, (later, redirected(OTHER)))
    assert (elsewhere.moved_to, elsewhere.redirect_to, elsewhere.redirect_count) == (None, OTHER, 1)


# ---------------------------------------------------------------- ends


def test_410_marks_a_feed_as_gone_until_it_works_again():
    state = learn(known(), (0, failed("http_410", "hard")), (24, failed("http_404", "soft")))
    assert (state.gone_at, state.failures) == (NOW, 2)
    assert learn(state, (48, unchanged())).gone_at is None


# ---------------------------------------------------------------- trust


def test_a_server_whose_304_hid_new_entries_is_distrusted():
    state = learn(known(), (0, fetched(honours_validators=False)), seen_share=0.5)
    assert state.distrust_304_at == NOW
    assert not may_ask_conditionally(state, NOW + HOUR, longest=7 * DAY)


def test_a_server_whose_304_hid_nothing_new_is_not():
    assert learn(known(), (0, fetched(honours_validators=False)), seen_share=1.0).distrust_304_at is None


@pytest.mark.parametrize(("verdict", "since"), [(True, None), (None, NOW - DAY), (False, NOW)])
def test_distrust_ends_only_when_a_test_is_passed(verdict, since):
    state = learn(known(distrust_304_at=NOW - DAY), (0, fetched(honours_validators=verdict)), seen_share=0.5)
    assert state.distrust_304_at == since
    assert DISTRUST_304_FOR == 30 * DAY


@pytest.mark.parametrize(
    ("usual_gap", "accepted"),
    [(None, 7 * DAY), (HOUR, DAY), (12 * HOUR, 2 * DAY), (30 * DAY, 7 * DAY)],
)
def test_the_more_often_a_feed_speaks_the_sooner_its_304s_are_checked(usual_gap, accepted):
    state = known(full_fetch_at=NOW, usual_gap=usual_gap)
    assert may_ask_conditionally(state, NOW + accepted - HOUR, longest=7 * DAY)
    assert not may_ask_conditionally(state, NOW + accepted, longest=7 * DAY)
