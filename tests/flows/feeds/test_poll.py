"""One pass over many feeds: order, politeness, and that a failing feed harms nobody."""

import asyncio
import time

import pytest

from flows.feeds.poll import fetch_feeds, poll_feeds
from tocsin.types import Feed, FeedState, Fetched, FetchFailed, NotModified


@pytest.fixture
def poll(make_options, now):
    def run(urls, each=poll_feeds, callback="on_polled", **changes):
        done = []
        requests = [(Feed(url), FeedState(url)) for url in urls]
        results = asyncio.run(
            each(requests, clock=lambda: now, options=make_options(**changes), **{callback: done.append})
        )
        return results, done

    return run


def test_feeds_of_all_kinds_of_fortune_come_back_in_order(server, poll, rss):
    urls = [
        server.reply("/a", rss(("One", "/1"), ("Two", "/2"))),
        server.reply("/gone", status=410),
        server.reply("/page", b"<html><body>hello</body></html>", content_type="text/html"),
        server.url("/missing"),
        server.script("/slow", lambda connection: connection.hang()),
        "http://",
        server.reply("/b", rss(("Three", "/3"))),
    ]
    results, done = poll(urls, read_seconds=0.2)
    assert [polled.feed.url for polled in results] == urls
    assert [len(polled.parsed.entries) if polled.parsed else 0 for polled in results] == [2, 0, 0, 0, 0, 0, 1]
    reasons = [polled.outcome.reason for polled in results if isinstance(polled.outcome, FetchFailed)]
    assert reasons == ["http_410", "html", "http_404", "timeout", "bad_url"]
    assert sorted(polled.feed.url for polled in done) == sorted(urls)


def test_a_body_that_is_no_feed_keeps_the_facts_of_its_exchange(server, poll):
    (polled,), _ = poll([server.reply("/page", b"<html><body>hello</body></html>", retry_after="60")])
    assert polled.outcome.severity == "soft"
    assert (polled.outcome.exchange.status, polled.outcome.exchange.received_bytes) == (200, 31)
    assert polled.outcome.hints.retry_after is not None
    assert polled.parsed is None


def test_bodies_are_dropped_once_they_are_parsed(server, poll, rss):
    (polled,), _ = poll([server.reply("/a", rss(("One", "/1")))])
    assert isinstance(polled.outcome, Fetched)
    assert polled.outcome.body == b""
    assert len(polled.outcome.body_hash) == 64


def test_entries_link_to_where_the_feed_was_found(server, poll, rss):
    server.reply("/new/feed", rss(("One", "story")))
    (polled,), _ = poll([server.reply("/old", status=301, location="/new/feed")])
    assert polled.parsed.entries[0].url == server.url("/new/story")


def test_fetching_alone_keeps_bodies_and_order(server, poll, rss):
    urls = [server.reply(f"/{number}", rss((str(number), "/"))) for number in range(5)]
    results, done = poll(urls, each=fetch_feeds, callback="on_outcome")
    assert [outcome.exchange.feed_url for outcome in results] == urls
    assert all(outcome.body for outcome in results)
    assert len(done) == 5


def test_each_feed_is_asked_with_its_own_state(server, make_options, now, rss):
    url = server.reply("/a", rss(("One", "/1")))

    def run(state):
        return asyncio.run(poll_feeds([(Feed(url), state)], clock=lambda: now, options=make_options()))[0]

    first = run(FeedState(url))
    assert isinstance(run(FeedState(url, body_hash=first.outcome.body_hash)).outcome, NotModified)


def test_no_more_than_two_requests_at_a_time_go_to_one_host(server, poll, rss):
    def slow(connection):
        connection.hang(0.03)
        connection.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    poll([server.script(f"/{number}", slow) for number in range(8)])
    assert len(server.requests) == 8
    assert server.most_at_once == 2


def test_the_whole_pass_has_a_limit_too(server, poll):
    def slow(connection):
        connection.hang(0.03)
        connection.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    for number in range(4):
        server.script(f"/{number}", slow)
    hosts = ["127.0.0.1", "localhost", "127.0.0.1", "localhost"]
    poll(
        [server.url(f"/{number}", host=host) for number, host in enumerate(hosts)], concurrency=3, per_host=9
    )
    assert server.most_at_once == 3


@pytest.mark.parametrize(
    ("status", "headers", "asked"),
    [
        (429, {}, 1),
        (429, {"retry_after": "90"}, 1),
        (503, {"retry_after": "90"}, 1),
        (503, {}, 4),
        (404, {}, 4),
    ],
)
def test_a_host_that_asks_us_to_stop_is_asked_no_further(server, poll, status, headers, asked):
    urls = [server.reply(f"/{number}", status=status, **headers) for number in range(4)]
    results, _ = poll(urls, per_host=1)
    assert len(server.requests) == asked
    paused = [polled.outcome for polled in results if polled.outcome.reason == "host_paused"]
    assert len(paused) == 4 - asked
    assert all(outcome.severity == "temporary" for outcome in paused)
    assert {outcome.hints for outcome in paused} <= {results[0].outcome.hints}


def test_a_host_that_asked_to_stop_is_left_alone_by_the_next_pass_too(server, make_options, now):
    brakes, states = {}, [FeedState(server.reply(f"/{number}", status=429)) for number in range(2)]
    for state in states:
        requests = [(Feed(state.url), state)]
        poll = poll_feeds(requests, clock=lambda: now, options=make_options(), brakes=brakes)
        (polled,) = asyncio.run(poll)
    assert polled.outcome.reason == "host_paused"
    assert [seen.path for seen in server.requests] == ["/0"]


def test_a_feed_that_moved_counts_for_the_host_that_it_moved_to(server, make_options, now):
    new = server.reply("/new", status=429)
    old = server.url("/old", host="localhost")
    states = [FeedState(old + each, moved_to=new, moved_at=now) for each in "ab"]
    requests = [(Feed(state.url), state) for state in states]
    options = make_options(per_host=1)
    results = asyncio.run(poll_feeds(requests, clock=lambda: now, options=options))
    assert [polled.outcome.reason for polled in results] == ["http_429", "host_paused"]


@pytest.mark.parametrize(("host", "is_spaced"), [("news.example", True), ("127.0.0.1", False)])
def test_the_feeds_of_a_host_start_with_a_gap_but_not_those_of_this_machine(
    server, make_options, now, host, is_spaced
):
    started = []

    def answer(connection):
        started.append(time.monotonic())
        connection.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    async def resolve(host, port):
        return ["127.0.0.1"]

    for number in range(4):
        server.script(f"/{number}", answer)
    urls = [server.url(f"/{number}", host=host) for number in range(4)]
    options = make_options(host_gap_seconds=0.4)
    requests = [(Feed(url), FeedState(url)) for url in urls]
    asyncio.run(poll_feeds(requests, clock=lambda: now, options=options, resolve=resolve))
    # Started 1.2 s apart, first to last; a busy machine may eat some of that on the way to the server.
    assert (max(started) - min(started) > 0.9) == is_spaced


def test_a_feed_named_with_credentials_shows_none_when_its_host_is_paused(server, poll):
    server.reply("/a", status=429)
    urls = [server.url("/a", userinfo="user:pass@"), server.url("/a?b", userinfo="user:pass@")]
    results, _ = poll(urls, per_host=1)
    assert results[1].outcome.reason == "host_paused"
    assert "pass@" not in results[1].outcome.exchange.final_url


def test_polling_nothing_gives_nothing(poll):
    assert poll([]) == ([], [])
