"""News sitemaps: articles with their outlet; every other sitemap is refused by its name."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.parse import parse_feed
from flows.feeds.sitemap import looks_like_sitemap, parse_sitemap
from tocsin.errors import FeedError
from tocsin.types import Entry

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
URL = "https://daily.example/news.xml"
NAMES = (
    'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
    'xmlns:news="http://www.google.com/schemas/sitemap-news/0.9" '
    'xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"'
)
PAGE = """<url><loc>https://daily.example/chips</loc><lastmod>2026-11-20T01:00:00Z</lastmod>
    <image:image><image:loc>https://daily.example/chips.jpg</image:loc><image:title>A chip</image:title>
    </image:image>
    <news:news><news:publication><news:name>The Daily</news:name><news:language>en</news:language>
    </news:publication><news:publication_date>2026-11-19T09:30:00+01:00</news:publication_date>
    <news:title>Chip controls &amp; what follows</news:title></news:news></url>"""
ARTICLE = Entry(
    title="Chip controls & what follows",
    url="https://daily.example/chips",
    published_at=datetime(2026, 11, 19, 8, 30, tzinfo=UTC),
    outlet="The Daily",
)


def sitemap(pages, root="urlset"):
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- made --><{root} {NAMES}>{pages}</{root}>'.encode()


def parse(body):
    return parse_feed(body, content_type="application/xml", url=URL, now=NOW)


def refusal(body):
    with pytest.raises(FeedError) as caught:
        parse(body)
    return caught.value


def test_a_news_sitemap_gives_articles_with_their_outlet():
    parsed = parse(sitemap(PAGE + "<url><loc>https://daily.example/about</loc></url>"))
    assert (parsed.entries, parsed.format, parsed.notes) == ((ARTICLE,), "news-sitemap", ())


def test_other_prefixes_mean_the_same():
    body = sitemap(PAGE).replace(b"news:", b"n:").replace(b"xmlns:news", b"xmlns:n")
    body = body.replace(b"<url", b"<s:url").replace(b"</url", b"</s:url").replace(b" xmlns=", b" xmlns:s=")
    assert parse(body).entries == (ARTICLE,)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-11-19", datetime(2026, 11, 19, tzinfo=UTC)),
        ("2026-11-19T08:30Z", datetime(2026, 11, 19, 8, 30, tzinfo=UTC)),
        ("2026-11-19T08:30:00.25Z", datetime(2026, 11, 19, 8, 30, 0, 250_000, tzinfo=UTC)),
        ("last week", None),
        ("1970-01-01", None),
    ],
)
def test_dates_come_in_every_w3c_form(date, expected):
    (entry,) = parse(sitemap(PAGE.replace("2026-11-19T09:30:00+01:00", date))).entries
    assert entry.published_at == expected


def test_a_sitemap_without_articles_today_is_empty_but_no_failure():
    assert parse(sitemap("")).entries == ()


def test_a_sitemap_of_pages_is_refused_as_one_without_news():
    error = refusal(sitemap("<url><loc>https://daily.example/about</loc></url>"))
    assert (error.reason, "sitemap without news" in str(error)) == ("not_a_feed", True)


def test_an_index_is_refused_with_the_sitemaps_that_it_names():
    places = "".join(
        f"<sitemap><loc>https://daily.example/{name}.xml</loc></sitemap>" for name in ("a", "b", "c", "news")
    )
    error = refusal(sitemap(places, "sitemapindex"))
    assert error.reason == "not_a_feed"
    assert "these: https://daily.example/news.xml https://daily.example/a.xml" in str(error)


def test_an_ill_formed_sitemap_gives_what_can_be_read_and_a_note():
    parsed = parse(sitemap(PAGE + PAGE.replace("</news:title>", "")).replace(b"</urlset>", b""))
    assert parsed.entries[0] == ARTICLE
    assert parsed.notes[0].startswith("ill-formed: ")


def test_entities_are_neither_loaded_nor_multiplied():
    declared = b"<!DOCTYPE urlset [<!ENTITY x SYSTEM 'file:///etc/passwd'><!ENTITY y 'ha'>]><urlset"
    body = sitemap(PAGE.replace("what follows", "&x;&y;")).replace(b"<urlset", declared, 1)
    for parsed in (parse(body), parse_sitemap(body, url=URL, now=NOW)):
        assert "root:" not in parsed.entries[0].title
        assert parsed.entries[0].url == ARTICLE.url


def test_an_rss_feed_that_speaks_of_sitemaps_is_none():
    assert not looks_like_sitemap(b"<rss><channel><title>&lt;urlset</title><urlset></urlset></channel></rss>")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.integers(0, 900))
def test_any_bytes_in_a_sitemap_give_articles_or_a_refusal(data, place):
    whole = sitemap(PAGE)
    body = whole[:place] + data + whole[place:]
    try:
        parsed = parse_sitemap(body, url=URL, now=NOW)
    except FeedError:
        return
    assert all(entry.title for entry in parsed.entries)
