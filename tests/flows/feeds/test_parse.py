"""Bytes to entries, in every format, and a clear refusal of everything else."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.entries import MAX_ENTRIES
from flows.feeds.parse import parse_feed
from tocsin.errors import FeedError
from tocsin.types import Entry

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
URL = "https://news.example/feeds/all.xml"


def parse(body, content_type=None, url=URL):
    return parse_feed(
        body if isinstance(body, bytes) else body.encode(), content_type=content_type, url=url, now=NOW
    )


def refusal(body, content_type=None):
    with pytest.raises(FeedError) as caught:
        parse(body, content_type)
    return caught.value


def channel(items, head="<title>Policy News</title>"):
    return f"<rss version='2.0'><channel>{head}{items}</channel></rss>"


def only(parsed):
    (entry,) = parsed.entries
    return entry


EXPECTED = Entry(
    title="Chip controls tightened",
    summary="The ministry widened its list.",
    url="https://news.example/chips",
    guid="urn:1",
    published_at=datetime(2026, 11, 19, 8, 30, tzinfo=UTC),
)

FORMATS = {
    "rss20": """<?xml version="1.0"?><rss version="2.0"><channel><title>Policy News</title><item>
        <title>Chip controls tightened</title><link>https://news.example/chips</link>
        <guid isPermaLink="false">urn:1</guid>
        <description>&lt;p&gt;The ministry widened its list.&lt;/p&gt;</description>
        <pubDate>Thu, 19 Nov 2026 09:30:00 +0100</pubDate></item></channel></rss>""",
    "rss10": """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
        xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="x"><title>Policy News</title>
        </channel>
        <item rdf:about="urn:1"><title>Chip controls tightened</title><link>https://news.example/chips</link>
        <description>The ministry widened its list.</description><dc:date>2026-11-19T08:30:00Z</dc:date>
        </item></rdf:RDF>""",
    "atom10": """<feed xmlns="http://www.w3.org/2005/Atom"><title>Policy News</title><entry><id>urn:1</id>
        <title>Chip controls tightened</title><link href="https://news.example/chips"/>
        <updated>2026-11-20T00:00:00Z</updated><published>2026-11-19T08:30:00Z</published>
        <summary type="html">&lt;p&gt;The ministry widened its list.&lt;/p&gt;</summary></entry></feed>""",
    "atom03": """<feed version="0.3" xmlns="http://purl.org/atom/ns#"><title>Policy News</title>
        <entry><id>urn:1</id><title>Chip controls tightened</title><link rel="alternate" href="https://news.example/chips"/>
        <issued>2026-11-19T08:30:00Z</issued><summary>The ministry widened its list.</summary></entry>
        </feed>""",
    "json11": """{"version": "https://jsonfeed.org/version/1.1", "title": "Policy News",
        "items": [{"id": "urn:1",
        "title": "Chip controls tightened", "url": "https://news.example/chips",
        "content_html": "<p>The ministry widened its list.</p>",
        "date_published": "2026-11-19T09:30:00+01:00"}]}""",
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_entry(kind):
    parsed = parse(FORMATS[kind])
    assert only(parsed) == EXPECTED
    assert (parsed.format, parsed.title, parsed.notes) == (kind, "Policy News", ())


@pytest.mark.parametrize(
    ("version", "kind"),
    [("0.91", "rss091u"), ("0.92", "rss092"), ("0.93", "rss093"), ("0.94", "rss094"), ("2.0.1", "rss20")],
)
def test_older_rss_is_read_the_same(version, kind):
    body = FORMATS["rss20"].replace('rss version="2.0"', f'rss version="{version}"')
    parsed = parse(body)
    assert (only(parsed), parsed.format) == (EXPECTED, kind)


def test_rss_090_is_told_by_its_namespace():
    body = FORMATS["rss10"].replace("http://purl.org/rss/1.0/", "http://my.netscape.com/rdf/simple/0.9/")
    parsed = parse(body)
    assert (only(parsed).title, parsed.format) == (EXPECTED.title, "rss090")


@pytest.mark.parametrize(
    ("encoding", "declared", "content_type"),
    [
        ("utf-8", None, "text/xml"),
        ("utf-8-sig", None, None),
        ("iso-8859-1", "iso-8859-1", "application/xml"),
        ("iso-8859-1", None, "application/rss+xml; charset=iso-8859-1"),
        ("windows-1251", "windows-1251", "text/xml"),
        ("utf-16", "utf-16", "application/xml"),
        ("gb2312", "gb2312", None),
    ],
)
def test_the_encoding_is_found(encoding, declared, content_type):
    title = {"windows-1251": "\u0427\u0438\u043f\u044b", "gb2312": "\u82af\u7247"}.get(
        encoding, "Z\u00fcrich"
    )
    declaration = f"<?xml version='1.0' encoding='{declared}'?>" if declared else ""
    body = (declaration + channel(f"<item><title>{title}</title></item>")).encode(encoding)
    parsed = parse(body, content_type)
    assert only(parsed).title == title
    assert parsed.notes == ()


def test_a_plain_text_title_may_speak_of_tags():
    atom = """<feed xmlns="http://www.w3.org/2005/Atom"><entry>
        <title type="text">Use of &lt;b&gt; in HTML</title>
        <id>1</id></entry></feed>"""
    assert only(parse(atom)).title == "Use of <b> in HTML"


def test_content_stands_in_for_a_missing_summary():
    item = "<item><title>t</title><content:encoded>&lt;p&gt;Long text&lt;/p&gt;</content:encoded></item>"
    body = channel(item).replace("<rss ", "<rss xmlns:content='http://purl.org/rss/1.0/modules/content/' ")
    assert only(parse(body)).summary == "Long text"


def test_a_hostile_title_is_only_text():
    title = "&lt;script&gt;alert(1)&lt;/script&gt;Chips &lt;img src=x onerror=y&gt;\u202ebanned"
    assert only(parse(channel(f"<item><title>{title}</title></item>"))).title == "Chips banned"


def test_the_outlet_is_the_items_source():
    item = "<item><title>t</title><source url='https://daily.example/'>The Daily</source></item>"
    assert only(parse(channel(item))).outlet == "The Daily"


def test_an_entry_without_title_is_named_by_its_text_and_one_without_either_is_left_out():
    parsed = parse(
        channel(f"<item><description>{'word ' * 60}</description></item><item><link>/x</link></item>")
    )
    assert only(parsed).title.startswith("word word")
    assert len(only(parsed).title) <= 120
    assert parsed.notes == ("1 entries without title and text were left out",)


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("/story", "https://news.example/story"),
        ("story", "https://news.example/feeds/story"),
        ("javascript:alert(1)", None),
        ("", None),
    ],
)
def test_links_are_made_absolute_and_others_than_web_links_dropped(link, url):
    assert only(parse(channel(f"<item><title>t</title><link>{link}</link></item>"))).url == url


def test_links_follow_xml_base():
    body = channel("<item><title>t</title><link>s</link></item>").replace(
        "<rss ", "<rss xml:base='https://b.example/x/' "
    )
    assert only(parse(body)).url == "https://b.example/x/s"


def test_a_feeds_credentials_do_not_get_into_links():
    body = channel("<item><title>t</title><link>/story</link></item>")
    assert only(parse(body, url="https://user:pass@news.example/feed")).url == "https://news.example/story"


def test_the_link_behind_a_feed_proxy_is_preferred():
    item = "<item><title>t</title><link>https://proxy.example/1</link><fb:origLink>https://news.example/1</fb:origLink></item>"
    body = channel(item).replace("<rss ", "<rss xmlns:fb='http://rssnamespace.org/feedburner/ext/1.0' ")
    assert only(parse(body)).url == "https://news.example/1"


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Thu, 19 Nov 2026 08:30:00 GMT", datetime(2026, 11, 19, 8, 30, tzinfo=UTC)),
        ("2026-11-19T08:30:00-05:00", datetime(2026, 11, 19, 13, 30, tzinfo=UTC)),
        ("Sat, 21 Nov 2026 12:00:00 GMT", datetime(2026, 11, 21, 12, 0, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_are_aware_utc_or_nothing(date, expected):
    parsed = parse(channel(f"<item><title>t</title><pubDate>{date}</pubDate></item>"))
    assert only(parsed).published_at == expected
    assert parsed.notes == ()


@pytest.mark.parametrize(
    "date", ["Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 23 Nov 2026 12:00:00 GMT", "9999-12-31T23:59:59Z"]
)
def test_absurd_dates_are_ignored_with_a_note(date):
    parsed = parse(channel(f"<item><title>t</title><pubDate>{date}</pubDate></item>"))
    assert only(parsed).published_at is None
    assert parsed.notes == ("1 dates before 1990 or in the future were ignored",)


@pytest.mark.parametrize(
    ("head", "ttl"),
    [
        ("<ttl>60</ttl>", timedelta(hours=1)),
        ("<ttl>soon</ttl>", None),
        ("<ttl>0</ttl>", None),
        ("<ttl>99999999999999</ttl>", None),
        (
            "<sy:updatePeriod>hourly</sy:updatePeriod><sy:updateFrequency>2</sy:updateFrequency>",
            timedelta(minutes=30),
        ),
        ("<sy:updatePeriod>daily</sy:updatePeriod>", timedelta(days=1)),
        ("<sy:updatePeriod>often</sy:updatePeriod>", None),
        ("", None),
    ],
)
def test_the_time_to_live_comes_from_ttl_or_the_syndication_module(head, ttl):
    body = channel("", head).replace("<rss ", "<rss xmlns:sy='http://purl.org/rss/1.0/modules/syndication/' ")
    assert parse(body).ttl == ttl


def test_a_feed_without_entries_is_a_feed():
    assert parse(channel("")).entries == ()


def test_an_ill_formed_feed_gives_what_can_be_read_and_a_note():
    parsed = parse("<rss version='2.0'><channel><item><title>One & only</title></item><item><title>Two</ti")
    assert [entry.title for entry in parsed.entries] == ["One & only"]
    assert parsed.notes[0].startswith("ill-formed: ")


def test_white_space_before_the_declaration_does_no_harm():
    assert parse("\n\n " + FORMATS["rss20"]).notes == ()


def test_entries_have_a_highest_number():
    parsed = parse(channel("<item><title>t</title></item>" * (MAX_ENTRIES + 5)))
    assert len(parsed.entries) == MAX_ENTRIES
    assert f"after the first {MAX_ENTRIES}" in parsed.notes[0]


# ---------------------------------------------------------------- what is no feed

PAGE = """<!DOCTYPE html><html><head><title>News</title>
    <link rel="alternate" type="application/rss+xml" href="/rss"><link rel=stylesheet href=x.css>
    <link rel="Alternate feed" type="application/atom+xml" href="https://b.example/atom">
    <link rel="alternate" type="text/html" href="/other"></head><body>{}</body></html>"""


def test_an_html_page_is_refused_with_the_feeds_that_it_names():
    error = refusal(PAGE.format("<p>hi"), "text/html")
    assert error.reason == "html"
    assert str(error).endswith("it names these feeds: https://news.example/rss https://b.example/atom")


def test_an_html_page_without_feeds_says_so():
    error = refusal("<html><body><h1>Consent</h1></body></html>", "application/rss+xml")
    assert (error.reason, "names no feed" in str(error)) == ("html", True)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "empty"),
        ("\ufeff \n", "empty"),
        ("\x00\x00", "empty"),
        ("Too many requests", "not_a_feed"),
        ("<?xml version='1.0'?><urlset><url/></urlset>", "not_a_feed"),
        ("<rss version='2.0'><channel><title>x</ti", "bad_xml"),
        ("{", "bad_json"),
        ('{"error": "no"}', "not_a_feed"),
        ('{"version": "https://jsonfeed.org/version/1.1", "items": {}}', "not_a_feed"),
        ("[]", "not_a_feed"),
        ("[" * 100_000, "bad_json"),
        ('{"a": ' + "9" * 10_000 + "}", "bad_json"),
        (b"{\xff}", "bad_json"),
        (b"\x89PNG\r\n\x1a\n", "not_a_feed"),
    ],
)
def test_what_is_no_feed_is_refused_by_its_kind(body, reason):
    error = refusal(body)
    assert error.reason == reason
    assert len(str(error)) < 300


@pytest.mark.parametrize("body", ["/etc/passwd", "http://127.0.0.1/feed", "file:///etc/passwd"])
def test_a_body_is_never_taken_for_a_place_to_read_from(body):
    error = refusal(body)
    assert error.reason == "not_a_feed"
    assert body[:20] in str(error)


BILLION_LAUGHS = (
    "<?xml version='1.0'?><!DOCTYPE rss [<!ENTITY a0 'ha'>"
    + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12))
    + "]>"
    + channel("<item><title>x &a11;</title></item>")
)
EXTERNAL = "<?xml version='1.0'?><!DOCTYPE rss [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + channel(
    "<item><title>x &x;</title></item>"
)


@pytest.mark.parametrize("body", [BILLION_LAUGHS, EXTERNAL])
def test_xml_entities_neither_grow_nor_reach_out(body):
    started = time.process_time()
    title = only(parse(body)).title
    assert time.process_time() - started < 1.0
    assert len(title) < 50
    assert "root:" not in title


# ---------------------------------------------------------------- JSON Feed


def json_feed(items, version="https://jsonfeed.org/version/1"):
    return f'{{"version": "{version}", "title": "t", "items": [{items}]}}'


def test_json_items_of_any_quality_give_what_they_can():
    parsed = parse(
        json_feed('{"id": 7, "title": null, "content_text": "text", "date_published": "soon"}, 3, null, {}')
    )
    assert only(parsed) == Entry(title="text", summary="text", guid="7")
    assert parsed.format == "json10"


def test_an_unknown_json_feed_version_is_read_with_a_note():
    parsed = parse(json_feed('{"id": "1", "title": "a"}', version="https://jsonfeed.org/version/9"))
    assert (parsed.format, len(parsed.entries)) == ("json", 1)
    assert "version/9" in parsed.notes[0]


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-11-19T08:30:00", datetime(2026, 11, 19, 8, 30, tzinfo=UTC)),
        ("2026-11-19T08:30:00.5Z", datetime(2026, 11, 19, 8, 30, 0, 500_000, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_json_dates_are_aware_utc(date, expected):
    item = f'{{"id": "1", "title": "a", "date_published": "{date}"}}'
    assert only(parse(json_feed(item))).published_at == expected


# ---------------------------------------------------------------- anything at all

TOKENS = st.lists(
    st.sampled_from(
        [
            *(
                "<rss version='2.0'>",
                "<channel>",
                "<item>",
                "</item>",
                "<title>",
                "</title>",
                "<link>",
                "&lt;b&gt;",
            ),
            *(
                "<feed xmlns='http://www.w3.org/2005/Atom'>",
                "<entry>",
                "<pubDate>",
                "2026-11-19",
                "<![CDATA[",
                "]]>",
            ),
            *(
                "&#0;",
                "&bogus;",
                "<!DOCTYPE x [",
                "<!--",
                "\x00",
                "\u20ac",
                "<content type='xhtml'>",
                "<source>",
                "/>",
            ),
            *(
                "<guid isPermaLink='true'>",
                "<ttl>",
                "xml:base='http://[::1'",
                "<image>",
                "<",
                ">",
                "{",
                '"items": [',
                "text",
            ),
        ]
    ),
    max_size=40,
).map(lambda tokens: "".join(tokens).encode())
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["items", "title", "id", "url", "version", "date_published", "content_html"]),
            inner,
        )
    ),
    max_leaves=15,
)


def entries_or_refusal(body, content_type=None):
    try:
        parsed = parse(body, content_type)
    except FeedError:
        return
    for entry in parsed.entries:
        assert entry.title
        assert (len(entry.title), len(entry.summary)) <= (500, 5000)
        assert entry.published_at is None or entry.published_at.tzinfo is UTC
        entry.title.encode()


@given(
    st.binary(max_size=300) | TOKENS,
    st.none() | st.sampled_from(["text/xml", "text/html; charset=utf-7", "x"]) | st.text(max_size=20),
)
def test_any_bytes_give_entries_or_a_refusal(body, content_type):
    entries_or_refusal(body, content_type)


@given(JSON)
def test_any_json_gives_entries_or_a_refusal(document):
    import json

    entries_or_refusal(json.dumps({"version": "1", "items": document}).encode())
    entries_or_refusal(json.dumps({"version": "1", "items": [document]}).encode())
