"""What a robots.txt says to us, and what silence means."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.robots import Robots, read_robots, robots_url
from tocsin.types import Exchange, Fetched, FetchFailed

PAGE = "https://news.example/story/1"


@pytest.fixture(scope="module")
def read(now):
    """Read a robots.txt that was answered with this body."""

    def run(body):
        exchange = Exchange(PAGE, PAGE, fetched_at=now, seconds=0.1, status=200)
        return read_robots(Fetched(exchange, body=body, body_hash=""))

    return run


@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        (b"", True),
        (b"User-agent: *\nDisallow: /story/", False),
        (b"User-agent: *\nDisallow: /admin/", True),
        (b"User-agent: *\nDisallow: /\nAllow: /story/", True),
        (b"User-agent: tocsin\nDisallow: /", False),
        (b"User-agent: TOCSIN\r\nDisallow: /\r\nUser-agent: *\r\nAllow: /", False),
        (b"User-agent: *\nDisallow: /\n\nUser-agent: Tocsin\nAllow: /", True),
        (b"User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /", True),
        (b"User-agent: GPTBot\nUser-agent: Tocsin\nDisallow: /", False),
        (b"User-agent: GPTBot\nDisallow: /\nUser-agent: *\nDisallow: /story/", False),
        (b"\xef\xbb\xbfUser-agent: *\nDisallow: /story/", False),
        (b"User-agent: * # everybody\nDisallow: /story/ # no stories", False),
        (b"<!doctype html><title>Not found</title>", True),
        (b"\x00\xff\xfe" * 100, True),
    ],
)
def test_the_rules_for_us_are_obeyed(read, body, allowed):
    assert read(body).allows(PAGE) is allowed


def test_a_crawl_delay_for_us_is_read(read):
    assert read(b"User-agent: *\nCrawl-delay: 7").delay == 7.0
    assert read(b"User-agent: other\nCrawl-delay: 7").delay == 0.0
    assert read(b"").delay == Robots().delay == 0.0


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        (404, True),
        (403, True),
        (401, True),
        (410, True),
        (429, False),
        (500, False),
        (503, False),
        (None, False),
    ],
)
def test_a_site_without_rules_forbids_nothing_and_one_that_cannot_say_is_left_alone(now, status, allowed):
    exchange = Exchange(PAGE, PAGE, fetched_at=now, seconds=0.1, status=status)
    robots = read_robots(FetchFailed(exchange, "soft", "any", "Any."))
    assert robots.allows(PAGE) is allowed
    assert robots.is_known is allowed


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("https://News.example/a/b?c=d#e", "https://news.example/robots.txt"),
        ("http://news.example:8080/", "http://news.example:8080/robots.txt"),
        ("https://user:secret@news.example/a", "https://news.example/robots.txt"),
    ],
)
def test_rules_belong_to_scheme_host_and_port(url, where):
    assert robots_url(url) == where


@given(body=st.binary() | st.text(alphabet="User-agent: *\nDislow:/$a#").map(str.encode))
def test_any_bytes_are_read(read, body):
    assert read(body).allows(PAGE) in {True, False}


@pytest.mark.parametrize(
    "body",
    [
        b"".join(b"User-agent: a%d\n" % n for n in range(15_000))
        + b"".join(b"Disallow: /x%d\n" % n for n in range(15_000)),
        b"User-agent: *\nDisallow: /" + b"*a" * 100_000 + b"$\n",
        b"User-agent: *\n" + b"Disallow: /*s*t*o*r*y*z\n" * 20_000,
    ],
    ids=["many agents", "many stars", "many rules"],
)
def test_hostile_rules_take_no_longer_than_honest_ones(read, body):
    started = time.process_time()
    read(body).allows(PAGE + "a" * 1000)
    assert time.process_time() - started < 2.0
