"""Feeds: states survive the way there and back, outcomes are recorded as they were."""

from datetime import UTC, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.feeds import (
    last_seconds,
    load_states,
    record_fetches,
    record_warnings,
    save_feeds,
    save_states,
)
from tocsin.types import (
    Entry,
    Exchange,
    Feed,
    FeedState,
    FeedWarning,
    Fetched,
    FetchFailed,
    NotModified,
    ParsedFeed,
    Polled,
    Validators,
)

URL = "https://feeds.example/a"

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
times = st.none() | st.datetimes(timezones=st.just(UTC))
states = st.builds(
    FeedState,
    url=texts,
    validators=st.none() | st.builds(Validators, texts, st.none() | texts, st.none() | texts),
    body_hash=st.none() | texts,
    polled_at=times,
    succeeded_at=times,
    full_fetch_at=times,
    next_poll_at=times,
    interval=st.none() | st.timedeltas(timedelta(0), timedelta(days=4000)),
    failures=st.integers(0, 2**31 - 1),
    baseline_at=times,
    moved_to=st.none() | texts,
    moved_at=times,
    redirect_to=st.none() | texts,
    redirect_count=st.integers(0, 2**31 - 1),
    redirect_since=times,
    gone_at=times,
    failing_since=times,
    distrust_304_at=times,
    last_new_at=times,
    entry_gap=st.none() | st.timedeltas(timedelta(0), timedelta(days=4000)),
    usual_gap=st.none() | st.timedeltas(timedelta(0), timedelta(days=4000)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(states, max_size=4, unique_by=lambda state: state.url), st.data())
def test_a_state_comes_back_as_it_was_saved_and_saved_again(undone, saved, data):
    with undone() as con:
        save_states(con, [FeedState(state.url, failures=3) for state in data.draw(st.permutations(saved))])
        save_states(con, saved)
        loaded = load_states(con, [state.url for state in saved])
    assert list(loaded.values()) == saved


@pytest.mark.duckdb_file("no text with a NUL is looked up there; parsing lets none through")
def test_a_nul_is_a_character_like_any_other(con):
    state = FeedState("a\0b", moved_to="\0")
    save_states(con, [state])
    save_states(con, [state])
    assert load_states(con, ["a\0b"]) == {"a\0b": state}


def test_a_feed_never_met_has_a_fresh_state(con):
    assert load_states(con, [URL]) == {URL: FeedState(URL)}


def test_only_the_asked_feeds_are_loaded_in_the_order_asked(con):
    save_states(con, [FeedState("a", failures=1), FeedState("b", failures=2), FeedState("c", failures=3)])
    assert list(load_states(con, ["c", "new", "a", "c"])) == ["c", "new", "a"]


def test_saving_states_adds_no_second_row(con):
    save_feeds(con, [Feed(URL)], now=None)
    for failures in range(3):
        save_states(con, [FeedState(URL, failures=failures)])
    assert con.execute("SELECT url, failures FROM feeds").fetchall() == [(URL, 2)]


def test_a_feed_keeps_its_names_and_first_day_unless_told_otherwise(con, now):
    save_feeds(con, [Feed(URL, "Old title", "Outlet", "Folder")], now)
    save_states(con, [FeedState(URL, failures=4)])
    save_feeds(con, [Feed(URL, "New title")], now + timedelta(days=1))
    rows = con.execute("SELECT title, outlet, folder, added_at, failures FROM feeds").fetchall()
    assert rows == [("New title", "Outlet", "Folder", now, 4)]


def test_a_feed_listed_twice_is_one_feed(con, now):
    save_feeds(con, [Feed(URL), Feed(URL, "Title")], now)
    assert con.execute("SELECT title FROM feeds").fetchall() == [("Title",)]


def test_a_feed_from_before_redirects_were_counted_has_none(con):
    con.execute("INSERT INTO feeds (url, failures) VALUES (?, 0)", [URL])
    assert load_states(con, [URL]) == {URL: FeedState(URL)}


def _exchange(url: str, now, status: int | None) -> Exchange:
    return Exchange(url, url + "?final", now, 0.5, status, 1234)


@pytest.fixture
def polled(now) -> list[Polled]:
    entries = (Entry("One"), Entry("Two"))
    return [
        Polled(Feed("new"), Fetched(_exchange("new", now, 200), b"", "hash"), ParsedFeed(entries, "rss20")),
        Polled(Feed("same"), NotModified(_exchange("same", now, 304))),
        Polled(
            Feed("bad"), FetchFailed(_exchange("bad", now, None), "temporary", "timeout", "No answer in 20 s")
        ),
    ]


def test_each_outcome_is_recorded_with_its_facts(con, now, polled):
    record_fetches(con, "run", polled, {"new": 2})
    rows = con.execute(
        "SELECT feed_url, outcome, status, severity, reason, message, entries, new_articles FROM fetches"
    ).fetchall()
    assert sorted(rows) == [
        ("bad", "failed", None, "temporary", "timeout", "No answer in 20 s", 0, 0),
        ("new", "new", 200, None, None, None, 2, 2),
        ("same", "not_modified", 304, None, None, None, 0, 0),
    ]
    facts = con.execute(
        "SELECT run_id, fetched_at, final_url, received_bytes, seconds FROM fetches WHERE feed_url = 'new'"
    ).fetchall()
    assert facts == [("run", now, "new?final", 1234, 0.5)]


def test_the_last_exchange_with_a_feed_says_how_long_it_takes(con, now):
    def record(url, hours, seconds):
        exchange = Exchange(url, url, now + timedelta(hours=hours), seconds, 304, 0)
        record_fetches(con, f"run {hours}", [Polled(Feed(url), NotModified(exchange))], {})

    for url, hours, seconds in [
        ("a", 0, 9.0),
        ("a", 1, 2.0),
        ("b", 0, 3.0),
        ("b", 1, 0.0),
        ("old", -30, 4.0),
    ]:
        record(url, hours, seconds)
    found = last_seconds(con, ["a", "b", "old", "new", "a"], since=now - timedelta(hours=1))
    assert found == {"a": 2.0, "b": 3.0}
    assert last_seconds(con, ["b"], since=now - timedelta(hours=1)) == {"b": 3.0}


def test_recording_a_run_again_adds_nothing(con, polled):
    record_fetches(con, "run", polled, {})
    record_fetches(con, "run", polled, {})
    record_fetches(con, "next run", polled[:1], {})
    assert con.execute("SELECT count(*) FROM fetches").fetchall() == [(4,)]


def test_feed_health_shows_the_last_outcome(con, now, polled):
    save_states(
        con,
        [
            FeedState("new", polled_at=now, succeeded_at=now),
            FeedState("same", polled_at=now, succeeded_at=now, failures=1),
            FeedState("bad", polled_at=now, failures=2),
            FeedState("unpolled"),
        ],
    )
    record_fetches(con, "run", polled, {})
    rows = con.execute(
        "SELECT url, health, last_outcome, last_reason FROM feed_health ORDER BY url"
    ).fetchall()
    assert rows == [
        ("bad", "never worked", "failed", "timeout"),
        ("new", "ok", "new", None),
        ("same", "failing", "not_modified", None),
        ("unpolled", "new", None, None),
    ]


def test_feed_health_shows_what_was_learnt(con, now):
    state = FeedState(
        URL,
        polled_at=now,
        failures=2,
        gone_at=now,
        moved_to="https://new.example/",
        distrust_304_at=now,
        usual_gap=timedelta(hours=3),
    )
    save_states(con, [state])
    rows = con.execute("SELECT health, gone_at, moved_to, distrust_304_at, usual_gap FROM feed_health")
    assert rows.fetchall() == [("gone", now, "https://new.example/", now, timedelta(hours=3))]


def test_a_warning_is_new_once_and_kept(con, now):
    old = FeedWarning("1", URL, "failing", now, "It fails")
    new = FeedWarning("2", URL, "silent", now, "It is silent")
    assert record_warnings(con, "run", [old, old], now) == [old]
    assert record_warnings(con, "next", [old, new], now + timedelta(days=1)) == [new]
    assert record_warnings(con, "last", [], now) == []
    rows = con.execute("SELECT warning_id, kind, warned_at, run_id FROM feed_warnings ORDER BY ALL")
    assert rows.fetchall() == [
        ("1", "failing", now, "run"),
        ("2", "silent", now + timedelta(days=1), "next"),
    ]


def test_a_recovered_feed_shows_no_old_reason(con, now, polled):
    save_states(con, [FeedState("bad", polled_at=now)])
    record_fetches(con, "run", polled, {})
    record_fetches(con, "next", [Polled(Feed("bad"), NotModified(_exchange("bad", now, 304)))], {})
    rows = con.execute(
        "SELECT last_outcome, last_severity, last_status, last_reason, last_message FROM feed_health"
    )
    assert rows.fetchall() == [("not_modified", None, 304, None, None)]
