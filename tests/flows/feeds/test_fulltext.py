"""Article pages over a loopback server: politely, within bounds, and a failure is a value."""

import asyncio
import logging
import time
from datetime import timedelta

import pytest

from flows.feeds import fulltext
from flows.feeds.extract import extract_text
from flows.feeds.fulltext import FullText, FullTextOptions, fetch_full_texts
from tocsin.types import Article, FetchFailed

SENTENCES = [
    "The ministry widened its list of controlled chips on Thursday, naming twelve firms.",
    "Two laboratories are named as well, according to the text of the rule.",
    "Exporters will need a licence for each shipment from March onwards, officials said.",
]
PAGE = (
    "<!doctype html><html><head><title>Chips</title></head><body><article><h1>Chip list grows</h1>"
    + "".join(f"<p>{sentence}</p>" for sentence in SENTENCES)
    + "</article></body></html>"
).encode()


@pytest.fixture
def html(server):
    """Serve an article at a path and give its URL."""
    return lambda path, body=PAGE, **headers: server.reply(path, body, content_type="text/html", **headers)


class InThread:
    """Extracts in this process: starting workers takes a second, and other tests do."""

    def __init__(self, **_):
        pass

    async def extract(self, page):
        return await asyncio.to_thread(extract_text, page)

    def close(self):
        pass


@pytest.fixture
def read(make_options, now, monkeypatch):
    """Fetch the pages of URLs as one pass and give the outcomes in the order of the URLs.

    The first is the newest. `workers` extracts in processes, as everywhere but in tests.
    """

    def run(*urls, poll=None, resolve=None, workers=False, paused=(), **changes):
        if not workers:
            monkeypatch.setattr(fulltext, "Extractor", InThread)
        articles = [
            Article(number, url, "Chips", "", "Outlet", "http://f.example/", now - timedelta(number), now)
            for number, url in enumerate(urls)
        ]
        options = FullTextOptions(
            **{"poll": make_options(**(poll or {})), "spacing_seconds": 0.0, "extract_workers": 1, **changes}
        )
        extra = {"resolve": resolve} if resolve else {}
        found = asyncio.run(
            fetch_full_texts(articles, clock=lambda: now, options=options, paused=paused, **extra)
        )
        return [found.get(number) for number in range(len(urls))]

    return run


async def to_loopback(host, port):
    return ["10.0.0.1" if host.startswith("private") else "127.0.0.1"]


def reasons(outcomes):
    return [outcome.reason if isinstance(outcome, FetchFailed) else "text" for outcome in outcomes]


def paths(server):
    return [seen.path for seen in server.requests]


def test_the_text_of_a_page_is_fetched_under_our_name_and_as_html(server, html, read):
    (found,) = read(html("/1"), workers=True)
    assert isinstance(found, FullText)
    assert all(sentence in found.text for sentence in SENTENCES)
    request = server.requests[-1]
    assert request.path == "/1"
    assert request.headers["user-agent"].startswith("Tocsin/")
    assert request.headers["accept"].startswith("text/html")


def test_a_robots_txt_is_fetched_once_and_obeyed(server, html, read):
    server.reply("/robots.txt", b"User-agent: *\nDisallow: /private/")
    found = read(html("/1"), html("/private/2"), html("/3"), html("/private/4"))
    assert reasons(found) == ["text", "robots_forbidden", "text", "robots_forbidden"]
    assert sorted(paths(server)) == ["/1", "/3", "/robots.txt"]


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "text"), (403, "text"), (500, "robots_unknown"), (429, "robots_unknown")]
)
def test_no_robots_txt_allows_everything_and_a_broken_one_nothing(server, html, read, status, reason):
    server.reply("/robots.txt", b"", status=status)
    assert reasons(read(html("/1"))) == [reason]


def test_a_redirect_obeys_the_robots_txt_of_where_it_leads(server, html, read):
    server.reply("/robots.txt", b"User-agent: *\nDisallow: /secret")
    html("/secret")
    html("/open")
    to_secret = server.reply("/a", status=302, location="/secret")
    to_open = server.reply("/b", status=301, location="/open")
    assert reasons(read(to_secret, to_open)) == ["robots_forbidden", "text"]
    assert "/secret" not in paths(server)


def test_a_redirect_to_another_site_asks_that_sites_robots_txt(server, html, read):
    html("/1")
    moved = server.reply("/moved", status=302, location=server.url("/1", host="other.example"))
    assert reasons(read(moved, resolve=to_loopback)) == ["text"]
    hosts = {seen.headers["host"].partition(":")[0] for seen in server.requests if seen.path == "/robots.txt"}
    assert hosts == {"127.0.0.1", "other.example"}


def test_private_addresses_are_refused_directly_and_after_a_redirect(server, html, read):
    html("/1")
    moved = server.reply("/moved", status=302, location=server.url("/1", host="private.example"))
    direct = server.url("/1", host="private.example")
    found = read(moved, direct, resolve=to_loopback)
    assert all(isinstance(outcome, FetchFailed) for outcome in found)
    assert "/1" not in paths(server)
    (closed,) = read(server.url("/1"), poll={"allow_networks": ()})
    assert isinstance(closed, FetchFailed)


def test_what_is_no_article_is_a_failure_with_its_reason(server, html, read):
    urls = {
        "http_404": server.url("/absent"),
        "not_html": server.reply("/pdf", b"%PDF-1.7", content_type="application/pdf"),
        "too_big": html("/big", b"<html>" + b"x" * 300_000),
        "no_text": html("/empty", b"<html><body>Accept cookies</body></html>"),
        "redirect_loop": server.reply("/loop", status=302, location="/loop"),
        "bad_encoding": html("/gzip", b"not gzip", content_encoding="gzip"),
    }
    disguised = server.reply("/disguised", b"%PDF-1.7")
    found = read(*urls.values(), disguised, html("/1"), max_page_bytes=200_000)
    assert reasons(found) == [*urls, "not_html", "text"]


def test_a_page_that_begins_with_a_long_comment_is_read_as_its_server_calls_it(html, read):
    assert reasons(read(html("/1", b"<!--" + b" ad" * 2000 + b"-->" + PAGE))) == ["text"]


def test_a_body_that_is_no_page_is_not_read(server, read):
    def endless(connection):
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\n\r\n")
        connection.drip(*[b"x" * 1000] * 1000, pause=0.01)

    (found,) = read(server.script("/video", endless))
    assert found.reason == "not_html"
    assert found.exchange.received_bytes == 0


def test_a_slow_page_is_given_up(server, read):
    def slow(connection):
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>")
        connection.drip(*[b" "] * 1000, pause=0.02)

    (found,) = read(server.script("/slow", slow), page_seconds=0.3)
    assert found.reason == "too_slow"


@pytest.mark.parametrize(("status", "headers"), [(429, {}), (503, {"retry_after": "60"})])
def test_a_host_that_asks_to_stop_is_left_alone_and_others_are_not(server, html, read, status, headers):
    html("/1")
    stop = server.reply("/stop", status=status, **headers)
    others = [server.url("/1"), server.url("/1"), server.url("/1", host="other.example")]
    found = read(stop, *others, poll={"per_host": 1}, resolve=to_loopback)
    assert reasons(found) == [f"http_{status}", "host_paused", "host_paused", "text"]
    assert str(status) in found[1].message


def test_a_host_that_asked_to_stop_when_its_feed_was_polled_is_asked_nothing(server, html, read):
    html("/1")
    found = read(
        server.url("/1"),
        server.url("/1", host="other.example"),
        paused=[f"127.0.0.1:{server.port}"],
        resolve=to_loopback,
    )
    assert reasons(found) == ["host_paused", "text"]
    assert paths(server) == ["/robots.txt", "/1"]


def test_a_host_that_keeps_failing_is_left_alone(server, html, read):
    broken = [server.reply(f"/broken{number}", status=502) for number in range(2)]
    found = read(*broken, html("/1"), poll={"per_host": 1})
    assert reasons(found) == ["http_502", "http_502", "host_paused"]


def test_one_host_sees_at_most_two_requests_at_once(server, html, read):
    def slowly(connection):
        connection.hang(0.05)
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n" + PAGE)

    found = read(*[server.script(f"/{number}", slowly) for number in range(8)])
    assert reasons(found) == ["text"] * 8
    assert server.most_at_once == 2


def test_requests_to_a_host_are_spaced(html, read):
    started = time.monotonic()
    found = read(*[html(f"/{number}") for number in range(4)], spacing_seconds=0.2)
    assert reasons(found) == ["text"] * 4
    assert time.monotonic() - started > 0.6


def test_the_newest_article_is_read_first(server, html, read):
    read(*[html(f"/{number}") for number in range(4)], poll={"per_host": 1})
    assert paths(server) == ["/robots.txt", "/0", "/1", "/2", "/3"]


def test_a_crawl_delay_beyond_the_time_of_the_pass_leaves_pages_out(server, html, read):
    server.reply("/robots.txt", b"User-agent: *\nCrawl-delay: 1000")
    assert reasons(read(html("/1"), html("/2"), html("/3"))) == ["text", "out_of_time", "out_of_time"]


def test_nothing_is_begun_after_the_time_of_the_pass(server, html, read):
    assert reasons(read(html("/1"), pass_seconds=-1.0)) == ["out_of_time"]
    assert server.requests == []


def test_a_slow_robots_txt_does_not_outlive_the_pass(server, html, read):
    html("/1")
    server.script("/robots.txt", lambda connection: connection.hang(5))
    moved = server.reply("/moved", status=302, location=server.url("/1", host="other.example"))
    assert reasons(read(moved, page_seconds=0.3, resolve=to_loopback)) == ["robots_unknown"]


def test_articles_without_a_usable_url_are_absent(html, read):
    assert read(None, "mailto:someone@news.example", html("/1"))[:2] == [None, None]


def test_no_articles_are_no_trouble(read):
    assert read(workers=True) == []


def test_the_log_names_pages_without_their_queries(html, read, caplog):
    with caplog.at_level(logging.INFO):
        read(html("/1") + "?token=secret", html("/2", b"") + "?token=secret")
    lines = [record.getMessage() for record in caplog.records if record.name == "flows.feeds.fulltext"]
    assert [line.split()[0] for line in sorted(lines)] == ["page.failed", "page.fetched"]
    assert "secret" not in caplog.text
