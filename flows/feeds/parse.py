"""A feed's bytes to entries; the only place that knows feedparser, and where its untyped dicts end.

feedparser gets bytes, never text that it could take for a URL or a file. Its sanitising and URI
resolution are off: we keep no markup, and they take over half of its time.
"""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import feedparser
from feedparser.datetimes import _parse_date as parse_any_date

from flows.feeds.discover import find_feed_links, looks_like_html
from flows.feeds.entries import Draft, EntryList, readable, time_to_live
from flows.feeds.fastparse import parse_fast
from flows.feeds.jsonfeed import parse_json_feed
from flows.feeds.sitemap import looks_like_sitemap, parse_sitemap
from flows.feeds.text import MAX_SUMMARY, MAX_TITLE, tidy
from tocsin.errors import FeedError
from tocsin.types import ParsedFeed

_DOCTYPE = re.compile(rb"<!DOCTYPE[^\[>]*\[.*?\]\s*>", re.DOTALL)
_JSON_START = (b"{", b"[")
_HARMLESS = (feedparser.CharacterEncodingOverride, feedparser.NonXMLContentType)


def parse_feed(body: bytes, *, content_type: str | None, url: str, now: datetime) -> ParsedFeed:
    """Read RSS, RDF, Atom, JSON Feed or a news sitemap; entries in the feed's own order.

    `url` is where the body came from, the base of relative links. Ill-formed feeds give what can
    be read of them, and a note.

    Raises:
        FeedError: `empty`, `html`, `bad_json`, `bad_xml` or `not_a_feed`.
    """
    start = body[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not body.strip(b"\xef\xbb\xbf \t\r\n\x00"):
        raise FeedError("empty", "Body from this URL is empty")
    if start.startswith(_JSON_START):
        return parse_json_feed(body, url=url, now=now)
    body = _prepared(body)
    parsed = _parse_fast(body, content_type, url, now)
    if parsed is not None:
        return parsed
    if looks_like_sitemap(body):
        return parse_sitemap(body, url=url, now=now)
    return parse_with_feedparser(body, content_type=content_type, url=url, now=now)


def parse_with_feedparser(body: bytes, *, content_type: str | None, url: str, now: datetime) -> ParsedFeed:
    """Read any RSS, RDF or Atom, however broken: the referee of the fast path.

    Raises:
        FeedError: `html`, `bad_xml` or `not_a_feed`.
    """
    found = _run_feedparser(body, content_type, url)
    entries = EntryList(now)
    for entry in found.entries:
        if not entries.is_full:
            entries.add(_draft(entry, url))
    problem = _problem(found)
    if not entries.entries and (problem or not found.get("version")):
        raise _refusal(found, problem, body=body, url=url)
    return ParsedFeed(
        entries=tuple(entries.entries),
        format=_string(found.get("version")) or "unknown",
        title=_markup(found.feed, "title", MAX_TITLE) or None,
        ttl=_ttl(found.feed),
        notes=(*((f"ill-formed: {problem}",) if problem else ()), *entries.notes()),
    )


def parse_quickly(body: bytes, *, content_type: str | None, url: str, now: datetime) -> ParsedFeed | None:
    """Read a well-formed feed in a millisecond or two; None means that it takes `parse_feed`."""
    return _parse_fast(_prepared(body), content_type, url, now)


def _parse_fast(body: bytes, content_type: str | None, url: str, now: datetime) -> ParsedFeed | None:
    return parse_fast(body, content_type=content_type, url=url, now=now, parse_date=_parse_date)


def _parse_date(value: str) -> datetime | None:
    return _moment(parse_any_date(value))


def _prepared(body: bytes) -> bytes:
    """Drop white space before the XML declaration, and a document type that declares entities.

    The first is the commonest way to be ill-formed. The second is how XML bombs are made, and
    feedparser's own removal expects each declaration on a line of its own.
    """
    stripped = body.lstrip()
    body = stripped if stripped.startswith(b"<?xml") else body
    doctype = _DOCTYPE.match(body, max(body.find(b"<!DOCTYPE"), 0))
    if doctype and b"<!ENTITY" in doctype.group():
        return body[: doctype.start()] + body[doctype.end() :]
    return body


def _run_feedparser(body: bytes, content_type: str | None, url: str) -> Any:
    headers = {"content-location": url} | ({"content-type": content_type} if content_type else {})
    try:
        return feedparser.parse(
            io.BytesIO(body), response_headers=headers, sanitize_html=False, resolve_relative_uris=False
        )
    except Exception as error:
        raise FeedError(
            "not_a_feed", f"Body from this URL defeats the parser ({type(error).__name__})"
        ) from error


def _refusal(found: Any, problem: str, *, body: bytes, url: str) -> FeedError:
    """Name what came instead of a feed with entries."""
    if found.get("version"):
        return FeedError("bad_xml", f"XML of this feed is broken before its first entry: {problem}")
    if looks_like_html(body):
        links = find_feed_links(body, url)[:3]
        advice = f"; it names these feeds: {' '.join(links)}" if links else " that names no feed"
        return FeedError("html", f"URL leads to an HTML page{advice}")
    return FeedError("not_a_feed", f"Body begins with {_shown(body)} and is no feed that we know")


def _shown(body: bytes) -> str:
    return repr(tidy(body[:200].decode("utf-8", "replace"), limit=40))


def _draft(entry: Any, url: str) -> Draft:
    return Draft(
        base=url,
        title=_markup(entry, "title", MAX_TITLE),
        summary=_summary(entry),
        url=_string(entry.get("feedburner_origlink")) or _string(entry.get("link")),
        guid=_string(entry.get("id")),
        published_at=_published_at(entry),
        outlet=_outlet(entry),
    )


def _summary(entry: Any) -> str:
    text = _markup(entry, "summary", MAX_SUMMARY)
    for content in () if text else entry.get("content", ()):
        text = text or readable(_string(content.get("value")), content.get("type"), limit=MAX_SUMMARY)
    return text


def _markup(values: Any, key: str, limit: int) -> str:
    detail = values.get(f"{key}_detail") or {}
    return readable(_string(values.get(key)), detail.get("type"), limit=limit)


def _outlet(entry: Any) -> str | None:
    source = entry.get("source")
    return _markup(source, "title", 200) or None if isinstance(source, dict) else None


def _published_at(entry: Any) -> datetime | None:
    # `in` first: asking for an absent update date warns and gives the publication date.
    for key in ("published_parsed", "updated_parsed", "created_parsed"):
        moment = _moment(entry.get(key)) if key in entry else None
        if moment is not None:
            return moment
    return None


def _moment(parsed: Any) -> datetime | None:
    try:
        year, month, day, hour, minute, second = parsed[:6]
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _ttl(feed: Any) -> timedelta | None:
    return time_to_live(*(_string(feed.get(key)) for key in ("ttl", "sy_updateperiod", "sy_updatefrequency")))


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _problem(found: Any) -> str:
    """What is wrong with the XML, empty if nothing is; a corrected encoding is no harm."""
    problem = found.get("bozo_exception")
    return "" if problem is None or isinstance(problem, _HARMLESS) else tidy(str(problem), limit=100)
