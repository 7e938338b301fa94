"""Which events a run is worth, and that they are bounded."""

from datetime import UTC, datetime

import pytest

from flows.announce import MOST_FEEDS, events_of
from flows.report import AlertCounts, RunReport
from tocsin.types import FeedWarning

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def warn(number, kind="gone"):
    return FeedWarning(f"w{number}", f"https://me:secret@a.example/{number}", kind, NOW, "Feed is gone")


def report_of(**fields):
    return RunReport(run_id="r", database="d", **fields)


def test_a_quiet_run_says_only_that_it_completed():
    report = report_of(feeds=3, fetched=1, not_modified=2, alerts=AlertCounts(pending=4))
    (event,) = events_of(report, [])
    assert (event.name, event.subject) == ("tocsin.run.completed", "monitor")
    assert event.payload["fetched"] == 1


def test_alerts_that_a_channel_did_not_take_are_said_with_why():
    report = report_of(
        alerts=AlertCounts(pending=2, failed=1), delivery_errors=[f"reason {n}" for n in range(9)]
    )
    parked, _ = events_of(report, [])
    assert (parked.name, parked.payload["failed"]) == ("tocsin.alert.parked", 1)
    assert len(parked.payload["problems"]) == 5


@pytest.mark.parametrize(
    ("kind", "name"),
    [("gone", "tocsin.feed.died"), ("failing", "tocsin.feed.died"), ("silent", "tocsin.feed.silent")],
)
def test_a_feed_is_named_without_its_password(kind, name):
    event, _ = events_of(report_of(), [warn(1, kind)])
    assert (event.name, event.subject) == (name, "feed.https://a.example/1")
    assert "secret" not in str(event)


def test_however_many_feeds_die_the_events_are_bounded():
    events = list(events_of(report_of(), [warn(number) for number in range(500)]))
    assert len(events) == MOST_FEEDS + 1
    assert events[0].payload["warned"] == 500


def test_a_dry_run_says_nothing():
    assert not list(events_of(report_of(dry_run=True), [warn(1)]))
