"""The fast path: whatever it takes comes out as feedparser gives it; the rest it leaves alone."""

import html
import importlib.util
import time
import tracemalloc
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest
from feedparser.api import StrictFeedParser
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.feeds import fastnames as names
from flows.feeds.entries import is_plain_web_url
from flows.feeds.fastentry import EntryReader
from flows.feeds.parse import parse_feed, parse_quickly, parse_with_feedparser
from flows.feeds.urls import absolute_web_url
from tocsin.errors import FeedError

ROOT = Path(__file__).parents[3]
CORPORA = ROOT.parent / "shared" / "feeds"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
URL = "https://news.example/feeds/all.xml"
SPACES = (
    "xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:media='http://search.yahoo.com/mrss/' "
    "xmlns:content='http://purl.org/rss/1.0/modules/content/' xmlns:x='urn:unknown' "
    "xmlns:itunes='http://www.itunes.com/dtds/podcast-1.0.dtd' xmlns:dcterms='http://purl.org/dc/terms/' "
    "xmlns:sy='http://purl.org/rss/1.0/modules/syndication/' "
    "xmlns:feedburner='http://rssnamespace.org/feedburner/ext/1.0' "
    "xmlns:slash='http://purl.org/rss/1.0/modules/slash/'"
)
ROOTS = {
    "rss": f"<rss version='2.0' {SPACES} xmlns:a='http://www.w3.org/2005/Atom'><channel>{{}}</channel></rss>",
    "atom": f"<feed xmlns='http://www.w3.org/2005/Atom' {SPACES}>{{}}</feed>",
    "atom03": f"<feed version='0.3' xmlns='http://purl.org/atom/ns#' {SPACES}>{{}}</feed>",
    "rdf": (
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' "
        f"xmlns='http://purl.org/rss/1.0/' {SPACES}>"
        "<channel rdf:about='c'><title>T</title></channel>{}</rdf:RDF>"
    ),
}


def quickly(body, content_type="application/xml"):
    body = body if isinstance(body, bytes) else body.encode()
    return parse_quickly(body, content_type=content_type, url=URL, now=NOW)


def by_referee(body, content_type="application/xml"):
    body = body if isinstance(body, bytes) else body.encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return parse_with_feedparser(body, content_type=content_type, url=URL, now=NOW)


def rss(items, head="<title>Policy News</title>"):
    return ROOTS["rss"].format(head + items)


# ---------------------------------------------------------------- agreement with feedparser

TEXTS = st.sampled_from(
    [
        "",
        " ",
        "Chips & rules",
        "<b>bold</b> move",
        "a &lt; b",
        "AT&amp;T &eacute; &bogus; &#8217;",
        "Use of <b> in HTML",
        "<p>One</p><p>Two</p>",
        "Z\u00fcrich \u2019s",
        "Z\u00c3\u00bcrich",
        "caf\u00c3\u00a9 \u0082",
        " padded\n\tlines ",
        "https://news.example/a?b=1&c=2",
        "https://news.example/a?b=1&amp;copy;=2",
        "/relative path",
        "urn:1",
        "http:///three",
        "http://[broken",
        "Thu, 19 Nov 2026 09:30:00 +0100",
        "19 Nov 2026 09:30 GMT",
        "Thu, 31 Feb 2026 09:30:00 EST",
        "2026-11-19T08:30:00.123Z",
        "2026-11-19T08:30:00-05:30",
        "2026-11-19",
        "2026-11-19 08:30:00",
        "2026-11-19T24:00:60Z",
        "0001-01-01T00:00:00+14:00",
        "hourly",
        "60",
    ]
)
ATTRIBUTES = st.lists(
    st.sampled_from(
        [
            *(
                "type='html'",
                "type='text'",
                "type='TEXT/HTML'",
                "type='xhtml'",
                "type='image/png'",
                "mode='escaped'",
            ),
            *(
                "href='/h'",
                "href='https://b.example/x?'",
                "rel='self'",
                "rel='alternate'",
                "url='https://c.example/'",
            ),
            *("isPermaLink='false'", "isPermaLink='true'", "xml:base='https://d.example/'", "xml:lang='en'"),
            *("x:type='html'", "src='https://e.example/'", "href=''", "lastmod='2026-11-19'"),
        ]
    ),
    max_size=2,
    unique_by=lambda text: text.split("=")[0],
).map(" ".join)
NAMES = st.sampled_from(
    [
        *("title", "link", "guid", "id", "description", "summary", "content", "content:encoded", "pubDate"),
        *(
            "published",
            "updated",
            "dc:date",
            "dc:title",
            "dc:description",
            "dcterms:issued",
            "dcterms:created",
        ),
        *(
            "media:title",
            "media:description",
            "media:group",
            "media:content",
            "media:thumbnail",
            "media:keywords",
        ),
        *("itunes:summary", "itunes:subtitle", "itunes:image", "itunes:author", "itunes:keywords", "author"),
        *(
            "category",
            "comments",
            "enclosure",
            "source",
            "image",
            "x:title",
            "x:other",
            "feedburner:origLink",
        ),
        *(
            "slash:comments",
            "name",
            "url",
            "ttl",
            "sy:updatePeriod",
            "dc:creator",
            "TITLE",
            "modified",
            "width",
        ),
        *("rights", "subtitle", "generator", "date", "Issued", "abstract", "language"),
    ]
)


def element(parts):
    name, attributes, content = parts
    return f"<{name} {attributes}>{content}</{name}>"


ESCAPED = TEXTS.map(html.escape)
LEAVES = st.tuples(NAMES, st.just("") | ATTRIBUTES, ESCAPED | TEXTS.map("<![CDATA[{}]]>".format)).map(element)
TREES = st.tuples(NAMES, st.just("") | ATTRIBUTES, st.lists(LEAVES | ESCAPED, max_size=3).map("".join)).map(
    element
)
PIECES = st.lists(LEAVES | LEAVES | TREES | st.just("<!-- c -->"), max_size=9).map("".join)
ENTRIES = st.lists(PIECES, min_size=1, max_size=3)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(ROOTS)), PIECES, ENTRIES)
def test_what_it_takes_is_what_feedparser_gives(kind, head, entries):
    name = "entry" if kind.startswith("atom") else "item"
    head = "" if kind == "rdf" else head
    body = ROOTS[kind].format(head + "".join(f"<{name}>{entry}</{name}>" for entry in entries))
    fast = quickly(body)
    if fast is not None:
        assert fast == by_referee(body)


USUAL = (
    "<item><title>Chip controls tightened</title><link>https://news.example/chips</link>"
    "<guid isPermaLink='false'>urn:1</guid><dc:creator>A. Writer</dc:creator><category>Chips</category>"
    "<description>&lt;p&gt;The ministry widened its list.&lt;/p&gt;</description>"
    "<media:content url='https://news.example/chips.jpg'><media:title>A chip</media:title></media:content>"
    "<content:encoded>&lt;div&gt;All of it&lt;/div&gt;</content:encoded>"
    "<pubDate>Thu, 19 Nov 2026 09:30:00 +0100</pubDate></item>"
)


def test_it_takes_a_usual_feed():
    (entry,) = quickly(rss(USUAL)).entries
    assert entry.title == "Chip controls tightened"
    assert entry.summary == "The ministry widened its list."
    assert entry.published_at == datetime(2026, 11, 19, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("utf-8", "application/rss+xml"),
        ("utf-8", "text/xml"),
        ("utf-8", None),
        ("utf-8-sig", None),
        ("iso-8859-1", "application/xml"),
        ("windows-1252", "text/xml; charset=windows-1252"),
        ("gb2312", "application/xml"),
    ],
)
def test_it_takes_feeds_in_the_encoding_that_they_declare(body, content_type):
    title = "\u82af\u7247" if body == "gb2312" else "Z\u00fcrich"
    declaration = f"<?xml version='1.0' encoding='{body.removesuffix('-sig')}'?>\n"
    body = (declaration + rss(USUAL.replace("Chip controls", title))).encode(body)
    assert quickly(body, content_type).entries[0].title == f"{title} tightened"
    assert quickly(body, content_type) == by_referee(body, content_type)


DOUBTFUL = {
    "ill-formed": rss(USUAL + "<item><title>One & two</title></item>"),
    "a document type": "<!DOCTYPE rss>" + rss(USUAL),
    "an entity that is not declared": rss("<item><title>a&nbsp;b</title></item>"),
    "a base for links": rss(USUAL).replace("<channel>", "<channel xml:base='https://b.example/'>"),
    "markup as elements": rss("<item><title>A <b>bold</b> move</title></item>"),
    "inline XHTML": ROOTS["atom"].format("<entry><content type='xhtml'><div>a</div></content></entry>"),
    "an undeclared prefix": rss("<item><foo:bar/></item>"),
    "an item in an item": rss("<item><title>a</title><item><title>b</title></item></item>"),
    "an unknown root": "<news><item><title>a</title></item></news>",
    "two titles of the feed": rss(USUAL, "<title>a</title><title>b</title>"),
    "a known prefix for another namespace": rss(USUAL).replace(
        "http://purl.org/dc/elements/1.1/", "urn:other"
    ),
    "bytes that are not what is declared": rss(USUAL).encode().replace(b"Chip", b"Ch\xffp"),
    "UTF-16": rss(USUAL).encode("utf-16"),
    "HTML": "<!DOCTYPE html><html><body>Consent</body></html>",
    "JSON": "{}",
    "nothing": "",
}


@pytest.mark.parametrize("body", DOUBTFUL.values(), ids=DOUBTFUL)
def test_it_leaves_what_is_doubtful(body):
    assert quickly(body) is None


@given(
    st.text(alphabet="ab/?#.:;&=-%~_1@ \u00e9", max_size=12),
    st.sampled_from(["http", "https", "HTTP", "ftp"]),
)
def test_a_plain_web_url_is_one_that_resolving_leaves_as_it_is(rest, scheme):
    url = f"{scheme}://{rest}"
    if is_plain_web_url(url):
        assert absolute_web_url("https://feeds.example/a/b?c", url) == url


# ---------------------------------------------------------------- the tables against feedparser's own


def test_every_namespace_that_feedparser_knows_has_the_same_prefix_here():
    theirs = {space.lower(): prefix.lower() for space, prefix in StrictFeedParser.namespaces.items()}
    assert theirs == names.PREFIXES


def test_every_element_that_feedparser_handles_is_read_harmless_or_left_to_it():
    handled = {name[7:].lower() for name in dir(StrictFeedParser) if name.startswith("_start_")}
    handled |= {name[5:].lower() for name in dir(StrictFeedParser) if name.startswith("_end_")}
    roots = {"rss", "feed", "channel", "item", "entry", "image", "textinput"}
    strange = {name for name in handled if name.startswith(names.STRANGE_PREFIXES)} | names.STRANGE
    assert handled <= set(EntryReader.READERS) | names.LEAVES | names.CONTAINERS | strange | roots


def test_every_prefix_of_a_handler_is_reserved():
    handled = {name[7:] for name in dir(StrictFeedParser) if name.startswith("_start_")}
    prefixes = {name.partition("_")[0].lower() for name in handled if "_" in name}
    assert prefixes <= names.RESERVED


# ---------------------------------------------------------------- the corpora beside the repository


def load_comparison():
    path = ROOT / "tests" / "bench" / "compare_parsers.py"
    spec = importlib.util.spec_from_file_location("compare_parsers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora lie beside the repository, not in it")
@pytest.mark.parametrize(
    ("archive", "every", "least"),
    [
        ("captures.tar.xz", 8, 15),
        ("feedparser-tests.tar.gz", 7, 150),
        ("gofeed-testdata.tar.gz", 4, 80),
        ("feed-rs-fixture.tar.gz", 2, 15),
        ("rust-rss-tests-data.tar.gz", 1, 15),
    ],
)
def test_on_every_feed_of_the_corpora_it_agrees_with_feedparser(archive, every, least):
    comparison = load_comparison()
    bodies = [body for _, body in comparison.read_bodies(CORPORA / archive)][::every]
    taken = 0
    for body in bodies:
        fast = parse_quickly(body, content_type="application/rss+xml", url=comparison.URL, now=comparison.NOW)
        if fast is not None:
            taken += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert fast == comparison.by_referee(body, "application/rss+xml")
    assert taken >= least


# ---------------------------------------------------------------- bounds

HOSTILE = {
    "deep elements": rss("<item><title>a</title>" + "<x:a>" * 50_000 + "</x:a>" * 50_000 + "</item>"),
    "deep but allowed": rss("<item><title>a</title>" + "<x:a>" * 200 + "</x:a>" * 200 + "</item>"),
    "a huge attribute": rss(f"<item x:a='{'b' * 2_000_000}'><title>a</title></item>"),
    "many attributes": rss(
        "<item {}><title>a</title></item>".format("".join(f"a{n}='' " for n in range(50_000)))
    ),
    "many namespaces": rss("".join(f"<x:a xmlns:n{n}='urn:{n}'/>" for n in range(20_000)) + USUAL),
    "many names": rss("<item><title>a</title>" + "".join(f"<x:a{n}/>" for n in range(50_000)) + "</item>"),
    "nested markup": rss(f"<item><description>{'&lt;b&gt;' * 30_000}</description></item>"),
    "many references": rss(f"<item><title>{'&amp;#x26;' * 100_000}</title></item>"),
    "a long date": rss(f"<item><title>a</title><pubDate>{'1' * 1_000_000}</pubDate></item>"),
    "spaces in a date": rss(f"<item><title>a</title><pubDate>Thu, 1{' ' * 500_000}x</pubDate></item>"),
    "many items": rss("<item><title>a</title></item>" * 60_000),
    "one long line": b"<?xml version='1.0'" + b" encoding='" * 200_000 + b"?><rss/>",
    "many base": rss("<item><title>a</title></item>" + "<x:a>base </x:a>" * 50_000),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bodies_cost_bounded_time_and_memory(body):
    tracemalloc.start()
    started = time.process_time()
    try:
        quickly(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 5
    assert peak < 100_000_000


TOKENS = st.lists(
    st.sampled_from(
        [
            *(
                "<rss version='2.0'>",
                "<channel>",
                "<item>",
                "</item>",
                "</channel>",
                "</rss>",
                "<title>",
                "</title>",
            ),
            *(
                "<feed xmlns='http://www.w3.org/2005/Atom'>",
                "<entry>",
                "</entry>",
                "</feed>",
                "<link/>",
                "<source>",
            ),
            *(
                "</source>",
                "<image/>",
                "<guid>",
                "</guid>",
                "<!--",
                "-->",
                "<![CDATA[",
                "]]>",
                "<?a?>",
                "&lt;",
                "&#0;",
            ),
            *(
                "\x00",
                "\u20ac",
                "text",
                "<?xml version='1.0' encoding='",
                "'?>",
                "xmlns:",
                "<!DOCTYPE a>",
                "\ufeff",
            ),
        ]
    ),
    max_size=30,
).map(lambda tokens: "".join(tokens).encode())


@settings(deadline=None)
@given(
    st.binary(max_size=300) | TOKENS | st.binary(max_size=20).map(lambda noise: rss(USUAL).encode() + noise),
    st.none()
    | st.sampled_from(["text/xml", "text/html; charset=utf-7", "a/b; charset=idna"])
    | st.text(max_size=20),
)
def test_any_bytes_give_entries_or_are_left_to_feedparser(body, content_type):
    fast = quickly(body, content_type)
    assert fast is None or all(entry.title for entry in fast.entries)


def test_what_it_refuses_is_still_read():
    for body in (DOUBTFUL["ill-formed"], DOUBTFUL["an item in an item"], DOUBTFUL["markup as elements"]):
        assert parse_feed(body.encode(), content_type=None, url=URL, now=NOW).entries
    with pytest.raises(FeedError):
        parse_feed(DOUBTFUL["HTML"].encode(), content_type=None, url=URL, now=NOW)
