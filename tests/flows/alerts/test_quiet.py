"""Quiet hours by the wall clock, over midnight, weekends and both changes of daylight saving."""

from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.alerts.quiet import QuietHours, start_of_day

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
NIGHT = (time(22), time(7))


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (utc(2026, 11, 18, 20, 59), None),
        (utc(2026, 11, 18, 21, 0), utc(2026, 11, 19, 6)),
        (utc(2026, 11, 19, 3), utc(2026, 11, 19, 6)),
        (utc(2026, 11, 19, 5, 59, 59), utc(2026, 11, 19, 6)),
        (utc(2026, 11, 19, 6), None),
        (utc(2026, 7, 1, 20), utc(2026, 7, 2, 5)),
        # The night of 29 March 2026 has an hour less, that of 25 October an hour more.
        (utc(2026, 3, 28, 21), utc(2026, 3, 29, 5)),
        (utc(2026, 3, 29, 4, 59), utc(2026, 3, 29, 5)),
        (utc(2026, 10, 24, 20), utc(2026, 10, 25, 6)),
        (utc(2026, 10, 25, 5, 30), utc(2026, 10, 25, 6)),
    ],
)
def test_a_night_ends_at_seven_on_the_wall_clock_of_its_zone(now, until):
    assert QuietHours(BERLIN, NIGHT).until(now) == until


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        # 02:30 does not exist on 29 March: by the offset before the change it is 01:30 UTC.
        ((time(22), time(2, 30)), utc(2026, 3, 28, 23), utc(2026, 3, 29, 1, 30)),
        # 02:30 comes twice on 25 October: the first is meant, so the second is not quiet any more.
        ((time(22), time(2, 30)), utc(2026, 10, 24, 23), utc(2026, 10, 25, 0, 30)),
        ((time(22), time(2, 30)), utc(2026, 10, 25, 1, 15), None),
        # Quiet from a time that comes twice begins at the first.
        ((time(2, 30), time(5)), utc(2026, 10, 25, 0, 45), utc(2026, 10, 25, 4)),
        ((time(2, 30), time(5)), utc(2026, 10, 25, 0, 29), None),
        ((time(12), time(13)), utc(2026, 11, 18, 11, 30), utc(2026, 11, 18, 12)),
        ((time(12), time(13)), utc(2026, 11, 18, 12, 0), None),
    ],
)
def test_a_skipped_or_repeated_time_is_read_as_calendars_read_it(hours, now, until):
    assert QuietHours(BERLIN, hours).until(now) == until


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (utc(2026, 11, 20, 20), None),  # Friday, 21:00 in Berlin
        (
            utc(2026, 11, 20, 21),
            utc(2026, 11, 23, 6),
        ),  # the night runs into the weekend, and that into Monday
        (utc(2026, 11, 21, 12), utc(2026, 11, 23, 6)),
        (utc(2026, 11, 22, 22, 30), utc(2026, 11, 23, 6)),
        (utc(2026, 11, 23, 6), None),
    ],
)
def test_quiet_times_that_touch_are_one(now, until):
    assert QuietHours(BERLIN, NIGHT, weekends=True).until(now) == until


def test_a_weekend_without_quiet_hours_ends_with_sunday():
    quiet = QuietHours(NEW_YORK, weekends=True)
    assert quiet.until(utc(2026, 11, 21, 4, 59)) is None
    assert quiet.until(utc(2026, 11, 21, 5)) == utc(2026, 11, 23, 5)
    assert QuietHours(NEW_YORK).until(utc(2026, 11, 21, 5)) is None


@given(
    st.floats(0, 730),
    st.times(),
    st.times(),
    st.booleans(),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
)
def test_quiet_time_always_ends_within_days_and_is_over_when_it_ends(days, start, end, weekends, zone):
    if start == end:
        return
    now = utc(2026, 1, 1) + timedelta(days=days)
    quiet = QuietHours(ZoneInfo(zone), (start, end), weekends)
    until = quiet.until(now)
    if until is not None:
        assert now < until <= now + timedelta(days=6)
        assert quiet.until(until) is None
        assert quiet.until(until - timedelta(microseconds=1)) == until


def test_a_day_begins_at_its_own_midnight():
    moment = datetime(2026, 3, 29, 1, tzinfo=timezone(timedelta(hours=2)))  # 28 March, 23:00 UTC
    assert start_of_day(moment, BERLIN) == utc(2026, 3, 28, 23)
    assert start_of_day(utc(2026, 3, 29, 22), BERLIN) == utc(2026, 3, 29, 22)
    assert start_of_day(utc(2026, 3, 29, 21, 59), BERLIN) == utc(2026, 3, 28, 23)
