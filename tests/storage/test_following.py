"""Followed feeds: a list that a person edits, beside a memory that never shrinks."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.feeds import load_states, save_feeds, save_states
from storage.following import (
    follow_feeds,
    load_followed,
    load_health,
    load_unfollowed,
    move_followed,
    unfollow_feeds,
)
from tocsin.types import Feed, FeedState, Validators

A, B, C = (Feed(f"https://{name}.example/feed") for name in "abc")


def followed_urls(con) -> list[str]:
    return [each.feed.url for each in load_followed(con)]


def test_feeds_are_listed_in_the_order_in_which_they_were_added(con, now):
    assert follow_feeds(con, [C, A], now) == (C.url, A.url)
    assert follow_feeds(con, [B], now) == (B.url,)
    assert followed_urls(con) == [C.url, A.url, B.url]


def test_following_again_changes_only_the_names(con, now):
    follow_feeds(con, [A, B], now)
    assert follow_feeds(con, [Feed(A.url, "Title", folder="Law")], now + timedelta(days=1)) == ()
    assert [each.feed for each in load_followed(con)] == [Feed(A.url, "Title", folder="Law"), B]
    assert {each.followed_at for each in load_followed(con)} == {now}


def test_a_feed_polled_without_being_followed_is_not_followed(con, now):
    save_feeds(con, [A], now)
    assert load_followed(con) == ()
    assert [each.is_followed for each in load_health(con)] == [False]


def test_removing_a_feed_keeps_what_is_remembered_of_it(con, now):
    follow_feeds(con, [A, B], now)
    state = FeedState(A.url, Validators(A.url, '"x"'), body_hash="h", polled_at=now, baseline_at=now)
    save_states(con, [state])
    assert unfollow_feeds(con, [A.url, C.url, A.url], now) == 1
    assert unfollow_feeds(con, [A.url], now) == 0
    assert followed_urls(con) == [B.url]
    assert load_unfollowed(con) == (A.url,)
    assert load_states(con, [A.url]) == {A.url: state}


def test_a_feed_that_comes_back_goes_to_the_end_with_its_names(con, now):
    follow_feeds(con, [Feed(A.url, "Title"), B], now)
    unfollow_feeds(con, [A.url], now)
    later = now + timedelta(days=1)
    assert follow_feeds(con, [A], later) == (A.url,)
    assert [each.feed for each in load_followed(con)] == [B, Feed(A.url, "Title")]
    assert load_followed(con)[1].followed_at == later
    assert load_unfollowed(con) == ()


def test_a_feed_that_moves_keeps_its_place_names_and_state(con, now):
    follow_feeds(con, [Feed(A.url, "Title", folder="Law"), B], now)
    state = FeedState(A.url, polled_at=now, failures=2, interval=timedelta(minutes=9), baseline_at=now)
    save_states(con, [state])
    move_followed(con, Feed(A.url, "Title", folder="Law"), Feed(C.url, outlet="C"), now)
    assert [each.feed for each in load_followed(con)] == [Feed(C.url, "Title", "C", "Law"), B]
    moved = load_states(con, [C.url])[C.url]
    assert (moved.failures, moved.interval, moved.baseline_at) == (2, timedelta(minutes=9), now)
    assert load_unfollowed(con) == ()


def test_a_feed_can_move_back_to_a_url_that_it_had(con, now):
    follow_feeds(con, [A], now)
    unfollow_feeds(con, [A.url], now)
    follow_feeds(con, [B], now)
    move_followed(con, B, A, now)
    assert followed_urls(con) == [A.url]
    assert con.execute("SELECT count(*) FROM following").fetchall() == [(1,)]


def test_health_tells_followed_feeds_from_others(con, now):
    follow_feeds(con, [A], now)
    save_states(con, [FeedState(A.url, polled_at=now, failures=3), FeedState(B.url)])
    rows = [(each.url, each.health, each.failures, each.is_followed) for each in load_health(con)]
    assert rows == [(A.url, "never worked", 3, True), (B.url, "new", 0, False)]
    assert load_health(con)[0].polled_at == now


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from([A, B, C]), max_size=4)), max_size=6))
def test_after_any_edits_exactly_what_was_added_last_is_followed_once(undone, edits):
    from datetime import UTC, datetime

    moment = datetime(2025, 1, 27, tzinfo=UTC)
    expected: dict[str, None] = {}
    with undone() as con:
        for is_added, feeds in edits:
            if is_added:
                follow_feeds(con, feeds, moment)
                expected |= {feed.url: None for feed in feeds if feed.url not in expected}
            else:
                unfollow_feeds(con, [feed.url for feed in feeds], moment)
                for feed in feeds:
                    expected.pop(feed.url, None)
        assert followed_urls(con) == list(expected)
        assert not set(load_unfollowed(con)) & set(expected)
        assert con.execute("SELECT count(*) = count(DISTINCT url) FROM following").fetchall() == [(True,)]
