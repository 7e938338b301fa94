"""How feeds and texts are cut for several workers."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.options import PollOptions
from flows.feeds.urls import host_key
from flows.shards import cut_shards, cut_texts, expect_seconds
from tocsin.types import Feed, FeedState

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def feeds_of(host, count, **state):
    urls = [f"https://{host}/{number}.xml" for number in range(count)]
    return [(Feed(url), replace(FeedState(url), **state)) for url in urls]


def hosts_of(shard):
    return {host_key(state.moved_to or feed.url) for feed, state in shard.requests}


some_requests = st.lists(
    st.tuples(st.integers(0, 12), st.integers(1, 9), st.integers(0, 1)), max_size=13, unique_by=lambda h: h[0]
).map(
    lambda hosts: [
        each for name, count, bad in hosts for each in feeds_of(f"h{name}.example", count, failures=bad)
    ]
)


@given(some_requests, st.integers(1, 8))
def test_every_feed_is_in_one_shard_and_every_host_in_one_lane(requests, size):
    shards = cut_shards(requests, size=size)
    assert sorted(feed.url for shard in shards for feed, _ in shard.requests) == sorted(
        feed.url for feed, _ in requests
    )
    lanes = {host: {s.lane for s in shards if host in hosts_of(s)} for s in shards for host in hosts_of(s)}
    assert all(len(found) == 1 for found in lanes.values())
    assert all(0 < len(shard.requests) <= size for shard in shards)


@given(some_requests, st.integers(1, 8))
def test_only_a_host_of_too_many_feeds_is_cut_and_its_shards_keep_the_order(requests, size):
    shards = cut_shards(requests, size=size)
    place = {feed.url: number for number, (feed, _) in enumerate(requests)}
    for lane in {shard.lane for shard in shards}:
        parts = [shard for shard in shards if shard.lane == lane]
        assert len(parts) == 1 or len(set().union(*map(hosts_of, parts))) == 1
        places = [place[feed.url] for shard in parts for feed, _ in shard.requests]
        assert places == sorted(places)


@given(some_requests, st.integers(1, 8))
def test_equal_feeds_are_cut_equally(requests, size):
    assert cut_shards(requests, size=size) == cut_shards(list(requests), size=size)


def test_shards_of_one_host_lie_as_far_apart_as_can_be():
    requests = feeds_of("big.example", 6) + [each for n in range(4) for each in feeds_of(f"h{n}.example", 2)]
    shards = cut_shards(requests, size=2)
    big = [number for number, shard in enumerate(shards) if hosts_of(shard) == {"big.example"}]
    assert len(shards) == 7
    assert big == [0, 3, 5]


def test_a_feed_that_moved_goes_with_the_host_that_is_asked():
    moved = (
        Feed("https://old.example/f"),
        FeedState("https://old.example/f", moved_to="https://a.example/f"),
    )
    shards = cut_shards([*feeds_of("a.example", 1), *feeds_of("old.example", 1), moved], size=2)
    assert sorted(len(shard.requests) for shard in shards) == [1, 2]
    assert {feed.url for shard in shards if len(shard.requests) == 2 for feed, _ in shard.requests} == {
        "https://a.example/0.xml",
        "https://old.example/f",
    }


def test_hosts_that_will_keep_us_waiting_wait_together_and_first():
    requests = [each for n in range(8) for each in feeds_of(f"h{n}.example", 5, failures=3 * (n % 2))]
    shards = cut_shards(requests, size=10)
    slow = [sum(bool(state.failures) for _, state in shard.requests) for shard in shards]
    assert slow == [10, 10, 0, 0]


def test_hosts_of_many_feeds_are_with_their_like_as_each_feed_waits_for_the_one_before():
    requests = [each for n, count in enumerate((1, 5) * 4) for each in feeds_of(f"h{n}.example", count)]
    shards = cut_shards(requests, size=10)
    assert [len(hosts_of(shard)) for shard in shards] == [2, 2, 4]


def test_durations_that_were_measured_go_before_guesses():
    requests = [each for n in range(4) for each in feeds_of(f"h{n}.example", 5, failures=n // 3)]
    measured = {state.url: 9.0 if "h1" in state.url or "h2" in state.url else 0.1 for _, state in requests}
    shards = cut_shards(requests, size=10, measured=measured)
    assert [hosts_of(shard) for shard in shards] == [
        {"h1.example", "h2.example"},
        {"h0.example", "h3.example"},
    ]


def test_a_feed_without_a_measure_is_expected_to_take_as_long_as_it_may_only_if_it_fails():
    url, options = "https://h.example/f", PollOptions(read_seconds=15)
    assert expect_seconds(FeedState(url, failures=1), options, {}) == 15
    assert expect_seconds(FeedState(url, failures=1), options, {url: 0.2}) == 0.2
    assert expect_seconds(FeedState(url), options, {}) < 1


@given(st.lists(st.text(max_size=3), max_size=20), st.integers(1, 6))
def test_texts_are_cut_in_their_order(texts, size):
    slices = cut_texts(texts, size)
    assert [text for each in slices for text in each] == texts
    assert all(0 < len(each) <= size for each in slices)
