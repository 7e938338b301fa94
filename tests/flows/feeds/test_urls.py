"""Which URLs are one article, and what of a URL may be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.urls import (
    absolute_web_url,
    canonical_url,
    host_of,
    is_home_page,
    loggable,
    without_credentials,
)

STORY = "https://news.example/2026/story"


@pytest.mark.parametrize(
    "variant",
    [
        "http://news.example/2026/story",
        "HTTPS://NEWS.Example./2026/story/",
        "https://www.news.example:443/2026/story",
        "http://m.news.example:80/2026/story",
        "https://mobile.news.example/2026/story#comments",
        "https://amp.news.example/2026/story",
        "https://news.example/2026/story/amp/",
        "https://news.example/amp/2026/story",
        "https://news.example/2026/story?amp=1",
        "https://news.example/2026/story?outputType=amp",
        "https://news.example//2026/%73tory",
        "https://news.example/2026/story?utm_source=rss&utm_medium=x&fbclid=1&gclid=2&mc_cid=3&ref=home",
        "https://news.example/2026/story?source=rss&at_medium=RSS&CMP=share&ns_campaign=x",
        "https://www.google.com/amp/s/news.example/2026/story",
        "https://news-example.cdn.ampproject.org/c/s/www.news.example/2026/story",
        "  https://news.example/2026/story ",
    ],
)
def test_variants_of_a_url_are_one(variant):
    assert canonical_url(variant) == STORY


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://news.example/Story", "https://news.example/story"),
        ("https://news.example/?id=1", "https://news.example/?id=2"),
        ("https://news.example/?id=1&amp=2", "https://news.example/?id=1"),
        ("https://news.example/a%2Fb", "https://news.example/a/b"),
        ("https://news.example:8080/story", "https://news.example/story"),
        ("https://amp.dev/story", "https://dev/story"),
        ("https://m.com/story", "https://com/story"),
        ("https://news.example/amp", "https://news.example/"),
        ("https://blog.example/story", "https://news.example/story"),
        ("https://app.example/#!/story/1", "https://app.example/#!/story/2"),
    ],
)
def test_urls_of_different_articles_stay_apart(one, other):
    assert canonical_url(one) != canonical_url(other)


def test_the_order_of_parameters_does_not_count():
    assert canonical_url("https://a.example/?b=2&a=1&a=0") == canonical_url("https://a.example/?a=0&a=1&b=2")


URLS = st.one_of(
    st.text(max_size=60),
    st.builds(
        "http{}://{}{}/{}?{}#{}".format,
        st.sampled_from(["", "s"]),
        st.sampled_from(["www.", "m.", "amp.", "www.m.", "u:p@", ""]),
        st.sampled_from(
            ["a.example", "A.example:80", "[::1]:8080", "b\u00fccher.example", "www.google.com", "m.com"]
        ),
        st.text(alphabet="ab/%25.-amp\u00e9 ", max_size=20),
        st.text(alphabet="ab=&%2amputm_\u00e9", max_size=20),
        st.text(max_size=5),
    ),
)


@given(URLS)
def test_the_canonical_form_of_a_canonical_url_is_itself(url):
    once = canonical_url(url)
    assert canonical_url(once) == once


@given(URLS)
def test_no_url_breaks_what_reads_it(url):
    for read in (loggable, host_of, is_home_page, without_credentials):
        read(url)
    resolved = absolute_web_url("https://a.example/feed", url)
    assert resolved is None or resolved.startswith(("http://", "https://"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pass@a.example/feed?token=1", "https://a.example/feed?\u2026"),
        ("https://us@er:p@ss@a.example/feed", "https://a.example/feed"),
        ("https://a.example/@user", "https://a.example/@user"),
        ("//user:pass@a.example", "//a.example"),
        ("https://a.example/a\nb", "https://a.example/ab"),
    ],
)
def test_a_url_in_a_log_holds_no_secret(url, shown):
    assert loggable(url) == shown


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("/story", "https://a.example/story"),
        ("story", "https://a.example/news/story"),
        ("//b.example/x", "https://b.example/x"),
        (" https://b.example/\nx ", "https://b.example/x"),
        ("https://user:pass@b.example/x", "https://b.example/x"),
        ("mailto:a@b.example", None),
        ("javascript:alert(1)", None),
        ("https://[::1", None),
        ("https://b.example/" + "x" * 3000, None),
        ("", None),
        (None, None),
    ],
)
def test_links_become_absolute_web_urls_or_nothing(reference, expected):
    assert absolute_web_url("https://a.example/news/feed.xml", reference) == expected


@pytest.mark.parametrize(
    ("url", "is_home"),
    [
        ("https://a.example", True),
        ("https://a.example/?utm_source=rss", True),
        ("https://a.example/?p=1", False),
        ("https://a.example/story", False),
        ("tag:a.example,2026:1", False),
        ("guid-1", False),
    ],
)
def test_a_home_page_is_told_from_an_article(url, is_home):
    assert is_home_page(url) is is_home


@pytest.mark.parametrize("text", ["http://[broken", "//a]b", "http://a]/story", "tag:[//x"])
def test_text_that_only_resembles_a_url_is_no_home_page(text):
    assert not is_home_page(text)
