"""Google News sitemaps to our words: the format in which many outlets name their articles first.

What the elements mean: developers.google.com/search/docs/crawling-indexing/sitemaps/news-sitemap
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from lxml import etree

from flows.feeds.entries import Draft, EntryList, iso_moment
from flows.feeds.text import MAX_TITLE, plain_text
from tocsin.errors import FeedError
from tocsin.types import ParsedFeed

_HEAD = 4096
_ROOT = re.compile(rb"<(?:[\w.-]+:)?(urlset|sitemapindex)[\s>/]")
_FIRST_TAG = re.compile(rb"<[A-Za-z]")


def looks_like_sitemap(body: bytes) -> bool:
    """Tell a sitemap by its first element."""
    head = body[:_HEAD]
    first = _FIRST_TAG.search(head)
    return first is not None and _ROOT.match(head, first.start()) is not None


def parse_sitemap(body: bytes, *, url: str, now: datetime) -> ParsedFeed:
    """Read the articles of a news sitemap; of an ill-formed one what can be read, and a note.

    Raises:
        FeedError: `not_a_feed` for a sitemap without news or an index of sitemaps, `bad_xml` if the
            XML breaks before the first article.
    """
    root, problem = _read(body)
    if root is None:
        raise FeedError("bad_xml", f"XML of this sitemap is broken before its first article: {problem}")
    if _name(root) == "sitemapindex":
        raise FeedError("not_a_feed", f"URL leads to an index of sitemaps{_advice(root)}")
    entries = EntryList(now)
    is_news = False
    for page, news in _articles(root):
        is_news = True
        if not entries.is_full:
            entries.add(_draft(page, news, url))
    if not is_news and len(root):
        raise FeedError("not_a_feed", "URL leads to a sitemap without news: no <news:news> in its <url>s")
    notes = (*((f"ill-formed: {problem}",) if problem else ()), *entries.notes())
    return ParsedFeed(tuple(entries.entries), format="news-sitemap", notes=notes)


def _read(body: bytes) -> tuple[etree._Element | None, str]:
    """Parse, forgiving what is ill-formed; nothing outside is loaded and no entity is replaced."""
    parser = etree.XMLParser(
        recover=True, resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.LxmlError, ValueError) as error:
        return None, str(error)[:100]
    return root, parser.error_log[0].message[:100] if len(parser.error_log) else ""


def _articles(root: etree._Element) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Each page that has news: its own texts and those of its news, by local name."""
    for page in root:
        news = next((child for child in page if _name(child) == "news"), None) if _name(page) else None
        if news is not None:
            yield _texts(page), _texts(news)


def _texts(element: etree._Element) -> dict[str, str]:
    """The texts beneath an element by local name; the first of a name counts."""
    texts: dict[str, str] = {}
    for child in element.iterdescendants():
        if _name(child):
            texts.setdefault(_name(child), child.text or "")
    return texts


def _draft(page: dict[str, str], news: dict[str, str], base: str) -> Draft:
    return Draft(
        base=base,
        title=plain_text(news.get("title", ""), limit=MAX_TITLE),
        url=page.get("loc", "").strip() or None,
        published_at=iso_moment(news.get("publication_date", "")),
        outlet=plain_text(news.get("name", ""), limit=200) or None,
    )


def _name(element: etree._Element) -> str:
    """The local name; empty for what is no element (a processing instruction, an entity)."""
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _advice(root: etree._Element) -> str:
    places = [(child.text or "").strip() for child in root.iterdescendants() if _name(child) == "loc"]
    named = [place for place in places if place.startswith(("http://", "https://")) and len(place) < 200]
    news_first = sorted(named, key=lambda place: "news" not in place.lower())[:3]
    return f"; it names these: {' '.join(news_first)}" if news_first else " that names none"
