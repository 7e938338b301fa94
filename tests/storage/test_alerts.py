"""Alerts and the outbox: decided once, due until delivered, never delivered back into the queue."""

import itertools
from datetime import UTC, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.alerts import DuckOutbox, alerted_pairs, outbox_counts, store_alerts
from storage.database import Database
from tocsin.errors import StorageError
from tocsin.types import Alert, Delivery, Reason

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
times = st.datetimes(timezones=st.just(UTC))
reasons = st.builds(
    Reason,
    texts,
    st.floats(0, 1),
    texts,
    words=st.lists(texts, max_size=3).map(tuple),
    example=texts,
    likeness=st.none() | st.floats(-1, 1),
    head=texts,
    encoder_revision=texts,
    labelled=texts,
    labelled_likeness=st.none() | st.floats(-1, 1),
)
alerts = st.builds(
    Alert,
    alert_id=st.uuids().map(str),
    article_id=st.integers(0, 2**63 - 1),
    channel=texts,
    title=texts,
    url=st.none() | texts,
    outlet=texts,
    published_at=st.none() | times,
    decided_at=times,
    reasons=st.lists(reasons, max_size=3).map(tuple),
    state=st.sampled_from(["pending", "sending"]),
    attempts=st.integers(0, 9),
)
batches = st.lists(alerts, max_size=4, unique_by=lambda alert: alert.article_id)


@pytest.fixture
def outbox() -> DuckOutbox:
    return DuckOutbox(Database(None))


def put(outbox: DuckOutbox, *wanted: Alert) -> None:
    with outbox._database.write() as con:
        assert store_alerts(con, "run", wanted) == len(wanted)


def ask(outbox: DuckOutbox, sql: str) -> list:
    with outbox._database.read() as con:
        return con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def shared_database() -> Database:
    return Database(None)


@settings(max_examples=40, deadline=None)
@given(batch=batches)
def test_alerts_come_back_whole_and_oldest_first(shared_database, now, batch):
    with shared_database.write() as con:
        con.execute("DELETE FROM alerts")
        store_alerts(con, "run", batch)
    due = DuckOutbox(shared_database).load_due(now)
    assert due == sorted(batch, key=lambda alert: (alert.decided_at, alert.alert_id))


def test_the_leading_topic_and_all_topics_are_columns(outbox, make_alert):
    put(outbox, make_alert())
    rows = ask(outbox, "SELECT topic, score, topics, reasons ->> '$[0].sentence' FROM alerts")
    assert rows == [
        ("export_controls", 0.91, ["export_controls", "us_china_rivalry"], "Licences are needed from March.")
    ]


def test_an_article_is_alerted_to_a_channel_once_whatever_its_alert_id(con, make_alert):
    assert store_alerts(con, "run", [make_alert("one"), make_alert("two")]) == 1
    assert store_alerts(con, "run", [make_alert("three")]) == 0
    assert (
        store_alerts(con, "run", [make_alert("four", channel="#other"), make_alert("five", article_id=2)])
        == 2
    )
    assert alerted_pairs(con, [1, 2, 3]) == {(1, "#policy"), (1, "#other"), (2, "#policy")}
    assert alerted_pairs(con, [2]) == {(2, "#policy")}
    assert alerted_pairs(con, []) == set()


def test_an_alert_id_is_never_used_twice(con, make_alert):
    store_alerts(con, "run", [make_alert("one")])
    assert store_alerts(con, "run", [make_alert("one", article_id=2)]) == 0


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("state", "retry_in", "is_due"),
    [
        ("pending", None, True),
        ("pending", HOUR, False),
        ("pending", -HOUR, True),
        ("sending", None, True),
        ("sending", HOUR, False),
        ("failed", None, False),
        ("failed", HOUR, False),
        ("failed", timedelta(0), True),
        ("failed", -HOUR, True),
        ("delivered", None, False),
        ("delivered", -HOUR, False),
    ],
)
def test_what_is_due_follows_state_and_time_to_retry(state, retry_in, is_due, outbox, make_alert, now):
    put(outbox, make_alert())
    retry_at = None if retry_in is None else now + retry_in
    outbox.record(Delivery("alert-1", now, state, retry_at=retry_at))
    assert bool(outbox.load_due(now)) == is_due


def test_a_delivery_leaves_its_trace_in_alert_and_deliveries(outbox, make_alert, now):
    put(outbox, make_alert())
    outbox.record(Delivery("alert-1", now, "sending"))
    outbox.record(Delivery("alert-1", now, "failed", error="rate_limited", retry_at=now + HOUR))
    failed = "SELECT state, attempts, retry_at, error, message_ts, delivered_at FROM alerts"
    assert ask(outbox, failed) == [("failed", 1, now + HOUR, "rate_limited", None, None)]
    outbox.record(Delivery("alert-1", now + HOUR, "sending"))
    outbox.record(Delivery("alert-1", now + HOUR, "delivered", message_ts="1738.01"))
    assert ask(outbox, failed) == [("delivered", 2, None, None, "1738.01", now + HOUR)]
    assert ask(outbox, "SELECT state, attempted_at, message_ts, error FROM deliveries") == [
        ("sending", now, None, None),
        ("failed", now, None, "rate_limited"),
        ("sending", now + HOUR, None, None),
        ("delivered", now + HOUR, "1738.01", None),
    ]


@pytest.mark.parametrize(
    ("steps", "attempts"),
    [
        (["delivered"], 1),
        (["sending", "delivered"], 1),
        (["failed", "delivered"], 2),
        (["sending", "sending", "delivered"], 2),
        (["sending", "pending", "sending"], 2),
    ],
)
def test_attempts_are_counted_from_their_beginning(steps, attempts, outbox, make_alert, now):
    put(outbox, make_alert())
    for state in steps:
        outbox.record(Delivery("alert-1", now, state))
    assert ask(outbox, "SELECT attempts FROM alerts") == [(attempts,)]


def test_a_delivered_alert_stays_delivered(outbox, make_alert, now):
    put(outbox, make_alert())
    outbox.record(Delivery("alert-1", now, "delivered", message_ts="1738.01"))
    outbox.record(Delivery("alert-1", now + HOUR, "failed", error="late answer", retry_at=now))
    assert ask(outbox, "SELECT state, message_ts, delivered_at FROM alerts") == [
        ("delivered", "1738.01", now)
    ]
    assert len(ask(outbox, "FROM deliveries")) == 2
    assert outbox.load_due(now + 2 * HOUR) == []


def test_a_step_touches_no_other_alert(outbox, make_alert, now):
    put(outbox, make_alert("alert-1"), make_alert("alert-2", article_id=2))
    outbox.record(Delivery("alert-1", now, "delivered"))
    assert [alert.alert_id for alert in outbox.load_due(now)] == ["alert-2"]
    assert ask(outbox, "SELECT alert_id FROM outbox") == [("alert-2",)]


@pytest.mark.parametrize(("state", "is_listed"), [("sending", True), ("failed", True), ("delivered", False)])
def test_the_outbox_view_lists_what_is_not_delivered(state, is_listed, outbox, make_alert, now):
    put(outbox, make_alert())
    outbox.record(Delivery("alert-1", now, state))
    assert bool(ask(outbox, "FROM outbox")) == is_listed


def test_a_delivery_of_an_unknown_alert_is_refused_and_leaves_nothing(outbox, now):
    with pytest.raises(StorageError, match="alert-9 is not in the outbox"):
        outbox.record(Delivery("alert-9", now, "sending"))
    assert ask(outbox, "FROM deliveries") == []


def test_counts_name_every_state(con, make_alert):
    states = ["pending", "pending", "failed"]
    numbered = zip(itertools.count(), states)
    store_alerts(con, "run", [make_alert(str(n), article_id=n, state=state) for n, state in numbered])
    assert outbox_counts(con) == {"pending": 2, "sending": 0, "delivered": 0, "failed": 1}


def test_a_recorded_step_is_durable_at_once(database, make_alert, now):
    with database.write() as con:
        store_alerts(con, "run", [make_alert()])
    DuckOutbox(database).record(Delivery("alert-1", now, "delivered"))
    assert DuckOutbox(Database(database.path)).load_due(now) == []


@pytest.mark.parametrize(("channel", "due"), [("#policy", []), ("#other", ["alert-2"])])
def test_an_alert_that_holds_its_channel_keeps_later_ones_until_its_time(
    outbox, make_alert, now, channel, due
):
    put(outbox, make_alert(), make_alert("alert-2", article_id=2, channel=channel))
    outbox.record(Delivery("alert-1", now, "failed", retry_at=now + HOUR, holds_channel=True))
    assert [alert.alert_id for alert in outbox.load_due(now)] == due
    assert len(outbox.load_due(now + HOUR)) == 2


def test_a_channel_is_free_again_when_the_alert_that_held_it_is_tried(outbox, make_alert, now):
    put(outbox, make_alert(), make_alert("alert-2", article_id=2))
    outbox.record(Delivery("alert-1", now, "failed", retry_at=now + HOUR, holds_channel=True))
    outbox.record(Delivery("alert-1", now + HOUR, "sending"))
    assert len(outbox.load_due(now)) == 2


def test_several_steps_are_recorded_all_or_none(outbox, make_alert, now):
    put(outbox, make_alert())
    with pytest.raises(StorageError):
        outbox.record(Delivery("alert-1", now, "delivered"), Delivery("alert-9", now, "delivered"))
    assert ask(outbox, "SELECT state FROM alerts") == [("pending",)]
