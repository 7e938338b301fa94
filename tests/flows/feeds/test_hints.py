"""What headers say about when to come back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.hints import read_pace_hints

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Fri, 20 Nov 2026 12:05:00 GMT", 300),
        ("Fri, 20 Nov 2026 11:55:00 GMT", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("9" * 5000, None),
        ("\u0661", None),
        ("Fri, 99 Nov 2026 12:05:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert read_pace_hints({"retry-after": value}, NOW).retry_after == expected


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"cache-control": "public, max-age=600"}, 600),
        ({"cache-control": 'Max-Age="60"'}, 60),
        ({"cache-control": "s-maxage=900"}, None),
        ({"cache-control": "max-age=600, no-cache"}, None),
        ({"cache-control": "no-store", "expires": "Fri, 20 Nov 2026 12:05:00 GMT"}, None),
        ({"cache-control": "max-age=0"}, None),
        ({"cache-control": "max-age=" + "9" * 99}, None),
        ({"cache-control": "max-age=60", "expires": "Fri, 20 Nov 2026 12:05:00 GMT"}, 60),
        ({"expires": "Fri, 20 Nov 2026 12:05:00 GMT"}, 300),
        (
            {"expires": "Fri, 20 Nov 2020 12:05:00 GMT", "date": "Fri, 20 Nov 2020 12:00:00 GMT"},
            300,
        ),
        ({"expires": "0"}, None),
        ({}, None),
    ],
)
def test_freshness_comes_from_cache_control_then_expires(headers, seconds):
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert read_pace_hints(headers, NOW).max_age == expected


@given(st.text(), st.text(), st.text())
def test_any_header_gives_hints_that_lie_ahead(retry_after, cache_control, expires):
    headers = {"retry-after": retry_after, "cache-control": cache_control, "expires": expires}
    hints = read_pace_hints(headers, NOW)
    assert all(hint is None or hint >= timedelta(0) for hint in (hints.retry_after, hints.max_age))
