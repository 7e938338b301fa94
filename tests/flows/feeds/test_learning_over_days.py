"""What is learnt takes effect: fetch, schedule and storage together, days apart on a clock of the test."""

import asyncio
from datetime import timedelta

from flows.feeds.poll import poll_feeds
from flows.feeds.schedule import schedule_poll
from flows.pipeline import begin_run, judge_batch, poll_batch, store_batch
from flows.run import MonitorOptions, MonitorRun
from storage.database import Database
from storage.feeds import load_states, save_states
from tocsin.types import Feed, FeedState

HALF_DAY = timedelta(hours=12)


def poll_over_days(feed, count, *, start, options):
    """Poll a feed every half day, each time with what was learnt before; gives the last state."""
    state = FeedState(feed.url)
    for number in range(count):
        now = start + number * HALF_DAY
        (polled,) = asyncio.run(poll_feeds([(feed, state)], clock=lambda now=now: now, options=options))
        seen_share = 0.5 if polled.parsed else None
        state = schedule_poll(state, polled, now=now, seen_share=seen_share)
    return state


def test_a_feed_that_moved_is_asked_at_its_new_place_from_the_fourth_poll(server, make_options, now, rss):
    new = server.reply("/new", rss(("One", "/1")), etag='"1"')
    feed = Feed(server.reply("/old", status=301, location="/new"))
    state = poll_over_days(feed, 4, start=now, options=make_options())
    assert [seen.path for seen in server.requests] == ["/old", "/new"] * 3 + ["/new"]
    assert (state.url, state.moved_to) == (feed.url, new)


def test_a_new_place_that_dies_gives_way_to_the_old(server, make_options, now, rss):
    server.reply("/new", rss(("One", "/1")))
    feed = Feed(server.reply("/old", status=301, location="/new"))
    options = make_options()
    state = poll_over_days(feed, 3, start=now, options=options)
    server.reply("/new", status=404)
    server.reply("/old", rss(("Two", "/2")))
    later = now + 4 * HALF_DAY
    for _ in range(2):
        (polled,) = asyncio.run(poll_feeds([(feed, state)], clock=lambda: later, options=options))
        state = schedule_poll(state, polled, now=later, seen_share=0.0)
    assert [seen.path for seen in server.requests][-2:] == ["/new", "/old"]
    assert (state.moved_to, state.failures, len(polled.parsed.entries)) == (None, 0, 1)


def test_a_server_whose_304s_lie_is_found_out_within_days_and_asked_in_full_since(
    server, make_options, now, rss
):
    bodies = [rss((str(number), f"/{number}")) for number in range(20)]

    def lie(connection):
        if "if-none-match" in connection.seen.headers:
            connection.send(b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n")
            return
        body = bodies.pop(0)
        head = f'HTTP/1.1 200 OK\r\nETag: "x"\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n'
        connection.send(head.encode() + body)

    feed = Feed(server.script("/feed", lie))
    state = poll_over_days(feed, 18, start=now, options=make_options())
    conditional = ["if-none-match" in seen.headers for seen in server.requests]
    # In full; 304 for a week; in full again, tested at once, and believed no more.
    assert conditional == [False] + [True] * 13 + [False, True] + [False] * 3
    assert state.distrust_304_at == now + 14 * HALF_DAY


def test_a_run_puts_off_the_feeds_of_a_host_that_asked_to_stop(server, make_options, now):
    url = server.reply("/limited", status=429, retry_after="7200")
    waiting = FeedState(server.url("/waiting"), next_poll_at=now + timedelta(minutes=1))
    database = Database(None)
    with database.write() as con:
        save_states(con, [waiting])
    options = MonitorOptions(
        feeds=(Feed(url), Feed(waiting.url)),
        topics=None,
        channel="#c",
        operator_channel="#c",
        poll=make_options(),
    )
    run = MonitorRun(db=database, options=options, outlet_for=None, clock=lambda: now, run_id="r")
    for batch in begin_run(run):
        poll_batch(run, batch)
        judge_batch(run, batch)
        store_batch(run, batch)
    with database.read() as con:
        states = load_states(con, [url, waiting.url])
    assert states[waiting.url].next_poll_at == now + timedelta(hours=2)
    assert states[url].next_poll_at >= now + timedelta(hours=2)
    assert [seen.path for seen in server.requests] == ["/limited"]
