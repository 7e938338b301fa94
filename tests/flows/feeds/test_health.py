"""Which feeds an operator hears of, and that each episode is one warning."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.health import find_warnings
from tocsin.types import FeedState

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
URL = "https://a.example/feed"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def working(**changes):
    fields = {"succeeded_at": NOW, "polled_at": NOW, "last_new_at": NOW - HOUR, "usual_gap": 2 * HOUR}
    return FeedState(URL, **{**fields, **changes})


def failing(days, **changes):
    since = NOW - days * DAY
    fields = {"failing_since": since, "failures": 9, "succeeded_at": since - HOUR}
    return working(**{**fields, **changes})


def only(state, now=NOW):
    (warning,) = find_warnings([state], now)
    return warning


def test_a_feed_that_works_gives_no_warning():
    assert find_warnings([working(), FeedState("new")], NOW) == []


def test_a_feed_that_fails_for_three_days_is_failing():
    warning = only(failing(3))
    assert (warning.kind, warning.feed_url, warning.since) == ("failing", URL, NOW - 3 * DAY)
    assert warning.message == (
        "Feed fails since 2026-11-17 12:00 UTC (9 polls in a row); it last worked on 2026-11-17 11:00 UTC"
    )
    assert "never worked" in only(failing(3, succeeded_at=None)).message


@pytest.mark.parametrize("state", [failing(2.9), failing(30, failures=2)])
def test_less_than_that_is_no_warning(state):
    assert find_warnings([state], NOW) == []


def test_a_feed_that_is_gone_is_told_at_once_and_not_as_failing_too():
    warning = only(failing(9, gone_at=NOW))
    assert (warning.kind, warning.since) == ("gone", NOW)
    assert "2026-11-20 12:00 UTC" in warning.message


@pytest.mark.parametrize(
    ("usual_gap", "silence", "warns"),
    [
        (HOUR, 3 * DAY, True),
        (HOUR, 3 * DAY - HOUR, False),
        (DAY, 8 * DAY, True),
        (DAY, 8 * DAY - HOUR, False),
        (None, 900 * DAY, False),
    ],
)
def test_a_feed_is_silent_against_its_own_rhythm(usual_gap, silence, warns):
    state = working(usual_gap=usual_gap, last_new_at=NOW - silence)
    assert [warning.kind for warning in find_warnings([state], NOW)] == ["silent"] * warns


def test_a_silence_says_what_was_usual():
    message = only(working(last_new_at=NOW - 9 * DAY)).message
    assert message == (
        "Feed works but has had nothing new since 2026-11-11 12:00 UTC; "
        "it used to have news about every 2 hours"
    )


def test_a_feed_that_nobody_polled_is_not_silent():
    assert find_warnings([working(succeeded_at=NOW - 9 * DAY, last_new_at=NOW - 9 * DAY)], NOW) == []


def test_an_episode_keeps_its_id_and_the_next_has_another():
    first, later = only(failing(3)), only(failing(3, failures=99), NOW + DAY)
    assert first.warning_id == later.warning_id
    assert only(failing(4)).warning_id != first.warning_id
    assert only(failing(0, gone_at=NOW - 3 * DAY)).warning_id != first.warning_id


def test_no_credentials_are_shown():
    (warning,) = find_warnings([FeedState("https://user:pass@a.example/", gone_at=NOW)], NOW)
    assert warning.feed_url == "https://a.example/"


TIMES = st.none() | st.datetimes(timezones=st.just(UTC))
STATES = st.builds(
    FeedState,
    url=st.text(max_size=5),
    failures=st.integers(0, 9),
    succeeded_at=TIMES,
    last_new_at=TIMES,
    gone_at=TIMES,
    failing_since=TIMES,
    usual_gap=st.none() | st.timedeltas(timedelta(0), timedelta(days=9999)),
)


@given(st.lists(STATES, max_size=5, unique_by=lambda state: state.url), TIMES)
def test_whatever_a_state_holds_it_gives_one_warning_at_most_in_any_order(states, now):
    warnings = find_warnings(states, now or NOW)
    assert len({warning.feed_url for warning in warnings}) == len(warnings)
    assert find_warnings(states[::-1], now or NOW) == warnings
