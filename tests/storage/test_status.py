"""The facts that tell whether all is well, from a real history."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from storage.database import Database
from storage.feeds import save_states
from storage.runs import finish_run, start_run
from storage.status import StatusFacts, load_status
from tocsin.types import FeedState

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def con():
    with Database(None).write() as con:
        yield con


def _run(con, name, state, at, **report):
    start_run(con, name, "monitor", now=at)
    finish_run(con, name, state, report=report, now=at + MINUTE)


def _alert(con, number, state, *, decided_at=NOW, retry_at=None, attempts=0, delivered_at=None):
    con.execute(
        "INSERT INTO articles (article_id, title, summary, outlet, feed_url, first_seen_at, run_id) "
        "VALUES (?, 't', '', 'o', 'f', ?, 'r')",
        [number, decided_at],
    )
    con.execute(
        "INSERT INTO alerts (alert_id, article_id, channel, topic, topics, score, title, outlet, reasons, "
        "decided_at, run_id, state, attempts, retry_at, delivered_at) "
        "VALUES (?, ?, 'c', 't', ['t'], 1, 'x', 'o', '[]', ?, 'r', ?, ?, ?, ?)",
        [str(number), number, decided_at, state, attempts, retry_at, delivered_at],
    )


def test_an_empty_history_has_nothing_to_tell(con):
    facts = load_status(con, NOW)
    assert facts == StatusFacts(latency=facts.latency)
    assert set(facts.latency.values()) == {0}


def test_the_last_success_and_the_failures_since_are_told(con):
    _run(con, "one", "completed", NOW - 30 * MINUTE, seconds={"poll": 2.0})
    _run(con, "two", "failed", NOW - 20 * MINUTE, error="disk full")
    _run(con, "three", "failed", NOW - 10 * MINUTE, error="disk still full")
    facts = load_status(con, NOW)
    assert facts.succeeded_at == NOW - 29 * MINUTE
    assert facts.failed_in_a_row == 2
    assert facts.last_run.error == "disk still full"


def test_a_run_that_is_under_way_is_no_failure(con):
    _run(con, "one", "completed", NOW - 30 * MINUTE, seconds={"poll": 2.0})
    start_run(con, "two", "monitor", now=NOW)
    facts = load_status(con, NOW)
    assert (facts.last_run.state, facts.failed_in_a_row) == ("running", 0)


def test_feeds_overdue_by_an_hour_are_counted_and_those_nobody_polls_any_more_are_not(con):
    states = [
        FeedState("http://late.example/", polled_at=NOW - 120 * MINUTE, next_poll_at=NOW - 61 * MINUTE),
        FeedState("http://due.example/", polled_at=NOW - 120 * MINUTE, next_poll_at=NOW - 5 * MINUTE),
        FeedState(
            "http://dropped.example/", polled_at=NOW - timedelta(days=9), next_poll_at=NOW - timedelta(days=8)
        ),
    ]
    save_states(con, states)
    assert load_status(con, NOW).overdue == 1


def test_the_oldest_waiting_alert_is_one_that_could_be_sent(con):
    hour = 60 * MINUTE
    _alert(con, 1, "pending", decided_at=NOW - 9 * hour, retry_at=NOW + hour)  # held for quiet hours
    _alert(con, 2, "failed", decided_at=NOW - 8 * hour)  # given up
    _alert(con, 3, "delivered", decided_at=NOW - 7 * hour, delivered_at=NOW)
    _alert(con, 4, "pending", decided_at=NOW - 2 * hour)
    facts = load_status(con, NOW)
    assert facts.oldest_waiting == NOW - 2 * hour
    assert facts.alerts == {"pending": 2, "failed": 1, "delivered": 1}


def test_latency_counts_deliveries_up_to_each_bound(con):
    for number, seconds in enumerate([2, 20, 4000], start=1):
        _alert(con, number, "delivered", decided_at=NOW - timedelta(seconds=seconds), delivered_at=NOW)
    facts = load_status(con, NOW)
    assert (facts.latency[5.0], facts.latency[60.0], facts.latency[math.inf]) == (1, 2, 3)
    assert facts.latency_sum == 4022
