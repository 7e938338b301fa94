"""One exchange: what is asked, what is remembered, and that no failure gets out as an exception."""

import asyncio
import gzip
import logging
import zlib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import httpx
import pytest

from flows.feeds.fetch import explain_failure, fetch_feed, open_client
from tocsin.types import Feed, FeedState, Fetched, FetchFailed, NotModified, Validators

BODY = b"<rss version='2.0'><channel><title>x</title></channel></rss>"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PACKED = gzip.compress(BODY, mtime=0)


def remembered(url, now, **changes):
    """The state of a feed that was fetched in full an hour ago."""
    fields = {"validators": Validators(url, etag='"1"'), "full_fetch_at": now - timedelta(hours=1)}
    return FeedState(url, **{**fields, **changes})


def raw(head: str, body: bytes = b"") -> bytes:
    return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body


def test_a_body_comes_with_its_hash_validators_and_facts(server, fetch, now):
    url = server.reply(
        "/feed",
        BODY,
        etag='"1"',
        last_modified="Fri, 20 Nov 2026 10:00:00 GMT",
        content_type="application/rss+xml",
    )
    outcome = fetch(url)
    assert isinstance(outcome, Fetched)
    assert outcome.body == BODY
    assert len(outcome.body_hash) == 64
    assert outcome.content_type == "application/rss+xml"
    assert outcome.validators == Validators(url, '"1"', "Fri, 20 Nov 2026 10:00:00 GMT")
    exchange = outcome.exchange
    assert (exchange.feed_url, exchange.final_url, exchange.status) == (url, url, 200)
    assert (exchange.received_bytes, exchange.fetched_at) == (len(BODY), now)
    assert exchange.seconds > 0


def test_the_request_names_us_and_what_we_read(server, fetch):
    fetch(server.reply("/feed", BODY))
    headers = server.requests[0].headers
    assert headers["user-agent"] == "Tocsin/0.1 (+feed reader)"
    assert "application/feed+json" in headers["accept"]
    assert headers["accept-encoding"] == "gzip, deflate, br, zstd"


def test_validators_are_sent_back_and_a_304_keeps_them(server, fetch, now):
    url = server.reply("/feed", status=304)
    state = remembered(url, now, validators=Validators(url, '"1"', "Fri, 20 Nov 2026 10:00:00 GMT"))
    outcome = fetch(url, state)
    assert isinstance(outcome, NotModified)
    assert outcome.validators == state.validators
    assert server.requests[0].headers["if-none-match"] == '"1"'
    assert server.requests[0].headers["if-modified-since"] == "Fri, 20 Nov 2026 10:00:00 GMT"


def test_a_304_that_names_a_new_etag_replaces_the_old(server, fetch, now):
    url = server.reply("/feed", status=304, etag='"2"')
    assert fetch(url, remembered(url, now)).validators == Validators(url, '"2"')


def test_validators_of_another_url_are_not_sent(server, fetch, now):
    url = server.reply("/feed", BODY)
    fetch(url, remembered(url, now, validators=Validators(server.url("/other"), '"1"')))
    assert "if-none-match" not in server.requests[0].headers


def test_validators_follow_a_redirect_to_the_url_that_gave_them(server, fetch, now):
    target = server.reply("/new", status=304)
    url = server.reply("/old", status=301, location="/new")
    outcome = fetch(url, remembered(url, now, validators=Validators(target, '"1"')))
    assert isinstance(outcome, NotModified)
    assert ["if-none-match" in seen.headers for seen in server.requests] == [False, True]


@pytest.mark.parametrize("last", [None, timedelta(days=7), timedelta(days=30)])
def test_a_full_fetch_is_made_when_none_was_made_for_a_week(server, fetch, now, last):
    url = server.reply("/feed", BODY)
    fetch(url, remembered(url, now, full_fetch_at=last and now - last))
    assert "if-none-match" not in server.requests[0].headers


def test_a_304_that_nobody_asked_for_is_a_failure(server, fetch):
    outcome = fetch(server.reply("/feed", status=304))
    assert (outcome.severity, outcome.reason) == ("soft", "http_304")


def test_the_same_body_again_is_not_modified_though_the_server_says_200(server, fetch, now):
    url = server.reply("/feed", BODY, etag='"new"')
    first = fetch(url)
    again = fetch(url, FeedState(url, body_hash=first.body_hash))
    assert isinstance(again, NotModified)
    assert again.exchange.status == 200
    assert again.validators == Validators(url, '"new"')


def test_validators_that_cannot_be_sent_back_are_forgotten(server, fetch):
    url = server.script(
        "/feed",
        lambda c: c.send(raw("HTTP/1.1 200 OK\nETag: caf\u00e9\nContent-Length: 0").replace(b"\xc3", b"")),
    )
    assert fetch(url).validators is None


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", PACKED),
        ("x-gzip", PACKED),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, wbits=-15)),
        ("gzip, gzip", gzip.compress(PACKED, mtime=0)),
        ("identity", BODY),
        ("", PACKED),
    ],
    ids=["gzip", "x-gzip", "deflate", "deflate without header", "gzip twice", "identity", "gzip file"],
)
def test_compressed_bodies_are_read(server, fetch, encoding, body):
    outcome = fetch(server.reply("/feed", body, content_encoding=encoding))
    assert outcome.body == BODY
    assert outcome.exchange.received_bytes == len(body)


def test_hints_come_with_every_kind_of_outcome(server, fetch, now):
    url = server.reply("/feed", BODY, cache_control="max-age=600")
    limited = server.reply("/limited", status=429, retry_after="120")
    assert fetch(url).hints.max_age == timedelta(minutes=10)
    assert fetch(limited).hints.retry_after == timedelta(minutes=2)


# ---------------------------------------------------------------- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_and_the_last_url_is_kept(server, fetch, status):
    target = server.reply("/new", BODY, etag='"1"')
    outcome = fetch(server.reply("/old", status=status, location="/new#part"))
    assert outcome.exchange.final_url == target
    assert outcome.validators.url == target


@pytest.mark.parametrize(
    ("location", "severity", "reason"),
    [
        ("/loop", "soft", "redirect_loop"),
        (None, "soft", "bad_redirect"),
        ("http://127.0.0.2:{port}/feed", "hard", "forbidden_address"),
        ("http://169.254.169.254/latest", "hard", "forbidden_address"),
        ("http://[::ffff:169.254.169.254]/", "hard", "forbidden_address"),
        ("file:///etc/passwd", "hard", "bad_url"),
        ("ftp://127.0.0.1/feed", "hard", "bad_url"),
        ("http://[::1", "hard", "bad_url"),
    ],
)
def test_a_redirect_leads_nowhere_it_may_not(server, fetch, location, severity, reason):
    headers = {"location": location.format(port=server.port)} if location else {}
    url = server.reply("/loop", status=302, **headers)
    outcome = fetch(url, allow_networks=(ip_network("127.0.0.1/32"),))
    assert (outcome.severity, outcome.reason) == (severity, reason)
    assert {seen.path for seen in server.requests} == {"/loop"}


def test_a_loop_ends_after_ten_redirects(server, fetch):
    fetch(server.reply("/loop", status=302, location="/loop"))
    assert len(server.requests) == 11


@pytest.mark.parametrize(
    ("hops", "is_permanent"),
    [((301,), True), ((308, 301), True), ((302,), False), ((301, 302), False), ((307, 308), False)],
)
def test_only_redirects_that_all_are_permanent_name_a_new_place(server, fetch, hops, is_permanent):
    server.reply(f"/{len(hops)}", BODY)
    for number, status in enumerate(hops):
        server.reply(f"/{number}", status=status, location=f"/{number + 1}")
    outcome = fetch(server.url("/0"))
    assert outcome.exchange.redirected_to == (outcome.exchange.final_url if is_permanent else None)
    assert not outcome.exchange.at_moved


def test_a_feed_that_moved_is_asked_at_its_new_place_with_the_validators_of_that(server, fetch, now):
    old, new = server.url("/old"), server.reply("/new", status=304)
    moved = {"moved_to": new, "moved_at": now - timedelta(days=1)}
    outcome = fetch(old, remembered(old, now, validators=Validators(new, '"1"'), **moved))
    fetch(old, remembered(old, now, **moved))  # these are the validators of the old place
    assert isinstance(outcome, NotModified)
    assert (outcome.exchange.feed_url, outcome.exchange.final_url) == (old, new)
    assert (outcome.exchange.at_moved, outcome.exchange.redirected_to) == (True, None)
    assert [(seen.path, "if-none-match" in seen.headers) for seen in server.requests] == [
        ("/new", True),
        ("/new", False),
    ]


def test_credentials_of_a_feed_that_moved_stay_with_its_origin(server, fetch, now):
    old = server.url("/old", userinfo="user:pass@")
    for host in ("127.0.0.1", "localhost"):
        server.reply("/new", BODY)
        fetch(old, FeedState(old, moved_to=server.url("/new", host=host), moved_at=now))
    assert ["authorization" in seen.headers for seen in server.requests] == [True, False]


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("status", "severity"),
    [
        (204, "soft"),
        (206, "soft"),
        (300, "soft"),
        (400, "soft"),
        (401, "hard"),
        (403, "soft"),
        (404, "soft"),
        (408, "temporary"),
        (410, "hard"),
        (429, "temporary"),
        (451, "soft"),
        (500, "temporary"),
        (501, "soft"),
        (502, "temporary"),
        (503, "temporary"),
        (504, "temporary"),
        (522, "temporary"),
        (599, "soft"),
    ],
)
def test_a_status_without_feed_is_a_failure_of_its_severity(server, fetch, status, severity):
    outcome = fetch(server.reply("/feed", status=status))
    assert isinstance(outcome, FetchFailed)
    assert (outcome.severity, outcome.reason) == (severity, f"http_{status}")
    assert outcome.exchange.status == status
    assert str(status) in outcome.message


GZIPPED = gzip.compress(bytes(range(256)) * 40, mtime=0)
FAULTS = {
    "truncated gzip": (
        raw("HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: 60", GZIPPED[:60]),
        "bad_encoding",
    ),
    "not gzip": (raw("HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: 5", b"hello"), "bad_encoding"),
    "unasked br": (raw("HTTP/1.1 200 OK\nContent-Encoding: br\nContent-Length: 5", b"hello"), "bad_encoding"),
    "cut body": (raw("HTTP/1.1 200 OK\nContent-Length: 500", BODY), "cut_body"),
    "cut chunk": (raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"ff\r\nabc"), "cut_body"),
    "cut headers": (b"HTTP/1.1 200 OK\r\nContent-Le", "cut_body"),
    "no answer": (b"", "cut_body"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "cut_body"),
    "two lengths": (raw("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 9", b"hello"), "cut_body"),
    "endless headers": (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 40_000, "cut_body"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_answer_is_a_failure_with_its_reason(server, fetch, fault):
    answer, reason = FAULTS[fault]
    outcome = fetch(server.script("/feed", lambda connection: connection.send(answer)))
    assert isinstance(outcome, FetchFailed)
    assert outcome.reason == reason


def test_a_body_longer_than_its_stated_length_is_cut_there(server, fetch):
    answer = raw("HTTP/1.1 200 OK\nContent-Length: 5", b"hello world")
    assert fetch(server.script("/feed", lambda connection: connection.send(answer))).body == b"hello"


def test_a_body_over_the_cap_is_given_up_while_it_comes(server, fetch):
    def endless(connection):
        connection.send(raw("HTTP/1.1 200 OK\nConnection: close"))
        for _ in range(2000):
            connection.send(b"x" * 10_000)

    outcome = fetch(server.script("/feed", endless), max_body_bytes=50_000)
    assert (outcome.reason, outcome.severity) == ("too_big", "soft")
    assert outcome.exchange.received_bytes < 1_000_000


def test_a_gzip_bomb_is_given_up_before_it_is_unpacked(server, fetch):
    bomb = gzip.compress(bytes(50_000_000))
    outcome = fetch(server.reply("/feed", bomb, content_encoding="gzip"), max_body_bytes=100_000)
    assert outcome.reason == "too_big"
    assert outcome.exchange.received_bytes <= len(bomb)


def test_the_received_bytes_have_a_cap_of_their_own(server, fetch):
    outcome = fetch(server.reply("/feed", b"x" * 3000), max_received_bytes=2000)
    assert outcome.reason == "too_big"


def test_a_drip_ends_at_the_total_time_though_every_piece_comes_in_time(server, fetch):
    def drip(connection):
        connection.send(raw("HTTP/1.1 200 OK\nContent-Length: 1000"))
        connection.drip(*[b"x"] * 100, pause=0.02)

    outcome = fetch(server.script("/feed", drip), total_seconds=0.25, read_seconds=0.2)
    assert (outcome.reason, outcome.severity) == ("too_slow", "temporary")
    assert outcome.exchange.status == 200
    assert outcome.exchange.received_bytes > 0


def test_a_server_that_says_nothing_is_a_time_out(server, fetch):
    outcome = fetch(server.script("/feed", lambda connection: connection.hang()), read_seconds=0.1)
    assert (outcome.reason, outcome.severity, outcome.exchange.status) == ("timeout", "temporary", None)


def test_a_refused_connection_is_temporary(server, fetch):
    outcome = fetch(server.url("/feed", host="127.0.0.2"))  # the server listens on 127.0.0.1 only
    assert (outcome.reason, outcome.severity) == ("connect_failed", "temporary")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "news",
        "//host/feed",
        "ftp://host/feed",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "http://xn--/",
        "http://\u2603.net\x00/",
        "http://host:99999/",
        "http://host:0/",
        "javascript:alert(1)",
    ],
)
def test_a_url_that_cannot_be_fetched_needs_a_person(fetch, url):
    outcome = fetch(url)
    assert (outcome.severity, outcome.reason) == ("hard", "bad_url")


def httpx_errors(kind=Exception):
    found = [each for each in vars(httpx).values() if isinstance(each, type) and issubclass(each, kind)]
    return sorted(set(found), key=lambda each: each.__name__)


@pytest.mark.parametrize("kind", httpx_errors(), ids=lambda kind: kind.__name__)
def test_every_error_of_httpx_becomes_a_failure(kind, make_options, now):
    """Also those that no fault server provokes: the transport raises each in turn."""
    error = kind.__new__(kind)
    Exception.__init__(error, "http://user:secret@host/?token=secret")

    class Raising(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            raise error

    async def run():
        async with httpx.AsyncClient(transport=Raising()) as client:
            feed = Feed("http://host/feed")
            return await fetch_feed(client, feed, state=FeedState(feed.url), now=now, options=make_options())

    outcome = asyncio.run(run())
    assert isinstance(outcome, FetchFailed)
    assert "secret" not in outcome.message
    assert outcome.message


def test_a_certificate_that_is_not_accepted_is_named():
    import ssl

    error = httpx.ConnectError("x")
    error.__cause__ = ssl.SSLCertVerificationError("expired")
    assert explain_failure(error)[0] == "tls"


# ---------------------------------------------------------------- secrets


def test_credentials_are_used_and_shown_nowhere(server, fetch, caplog):
    server.reply("/feed", BODY, status=200)
    server.reply("/bad", status=500)
    with caplog.at_level(logging.DEBUG):
        outcomes = [
            fetch(server.url(f"{path}?token=hidden", userinfo="us%40er:pa%3Ass@"))
            for path in ("/feed", "/bad")
        ]
    assert {seen.headers["authorization"] for seen in server.requests} == {"Basic dXNAZXI6cGE6c3M="}
    assert all("pa%3Ass" not in outcome.exchange.final_url for outcome in outcomes)
    assert "pa%3Ass" not in outcomes[1].message
    assert "pa%3Ass" not in caplog.text
    assert "hidden" not in caplog.text
    assert "feed.fetched feed=http://127.0.0.1" in caplog.text
    assert "feed.failed" in caplog.text


def test_credentials_stay_with_their_origin(server, fetch):
    server.reply("/new", BODY)
    server.reply("/same", status=302, location="/new")
    server.reply("/away", status=302, location=f"http://localhost:{server.port}/new")
    for path in ("/same", "/away"):
        fetch(server.url(path, userinfo="user:pass@"))
    sent = [("authorization" in seen.headers, seen.headers["host"].split(":")[0]) for seen in server.requests]
    assert sent == [(True, "127.0.0.1"), (True, "127.0.0.1"), (True, "127.0.0.1"), (False, "localhost")]


def test_validators_work_for_a_feed_with_credentials(server, fetch, now):
    url = server.url("/feed", userinfo="user:pass@")
    server.reply("/feed", BODY, etag='"1"')
    first = fetch(url)
    assert "pass" not in first.validators.url
    server.reply("/feed", status=304)
    assert isinstance(fetch(url, remembered(url, now, validators=first.validators)), NotModified)


def test_proxies_and_cookies_have_no_effect(server, fetch, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.2:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    server.reply("/new", BODY)
    url = server.reply("/old", status=302, location="/new", set_cookie="id=1; path=/")
    assert isinstance(fetch(url), Fetched)
    assert "cookie" not in server.requests[1].headers


def test_one_client_serves_several_feeds_over_one_connection(server, make_options):
    async def run():
        options = make_options()
        async with open_client(options) as client:
            for path in ("/a", "/b"):
                feed = Feed(server.reply(path, BODY))
                await fetch_feed(
                    client, feed, state=FeedState(feed.url), now=datetime.now(UTC), options=options
                )

    asyncio.run(run())
    assert len(server.requests) == 2
