"""When feeds and alerts come up next."""

from datetime import UTC, datetime, timedelta

import pytest

from storage.database import Database
from storage.due import load_due
from storage.feeds import save_states
from tocsin.types import FeedState

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def con():
    with Database(None).write() as con:
        yield con


def _put_alerts(con, *rows):
    for number, (state, retry_at) in enumerate(rows):
        con.execute(
            "INSERT INTO alerts (alert_id, article_id, channel, topic, topics, score, title, outlet, "
            "reasons, decided_at, run_id, state, attempts, retry_at) "
            "VALUES (?, ?, 'c', 't', ['t'], 1, 'x', 'o', '[]', ?, 'r', ?, 0, ?)",
            [str(number), number, NOW, state, retry_at],
        )


def test_nothing_is_due_where_there_is_nothing(con):
    assert load_due(con, []) == []


def test_the_earliest_next_poll_of_the_feeds_asked_for_counts(con):
    save_states(
        con,
        [
            FeedState("http://a.example/", next_poll_at=NOW + timedelta(minutes=9)),
            FeedState("http://b.example/", next_poll_at=NOW + timedelta(minutes=5)),
            FeedState("http://other.example/", next_poll_at=NOW),
        ],
    )
    assert load_due(con, ["http://a.example/", "http://b.example/"]) == [NOW + timedelta(minutes=5)]


@pytest.mark.parametrize("known", [[], [FeedState("http://a.example/")]], ids=["unknown", "never polled"])
def test_a_feed_that_was_never_polled_is_due_now(con, known):
    save_states(con, [*known, FeedState("http://b.example/", next_poll_at=NOW)])
    assert load_due(con, ["http://a.example/", "http://b.example/"]) == [None]


def test_waiting_alerts_count_and_those_given_up_or_delivered_do_not(con):
    later = NOW + timedelta(minutes=7)
    _put_alerts(
        con, ("pending", later), ("failed", NOW + timedelta(hours=1)), ("failed", None), ("delivered", NOW)
    )
    assert load_due(con, []) == [later]


def test_an_alert_that_nobody_tried_to_send_is_due_now(con):
    _put_alerts(con, ("pending", None), ("pending", NOW))
    assert load_due(con, []) == [None]
