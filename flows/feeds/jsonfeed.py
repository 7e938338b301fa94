"""JSON Feed 1.0 and 1.1 (jsonfeed.org/version/1.1) to our words."""

from __future__ import annotations

import json
from datetime import datetime
from typing import cast

from flows.feeds.entries import Draft, EntryList, iso_moment
from flows.feeds.text import MAX_SUMMARY, MAX_TITLE, plain_text, tidy
from tocsin.errors import FeedError
from tocsin.types import ParsedFeed

_VERSIONS = {"https://jsonfeed.org/version/1": "json10", "https://jsonfeed.org/version/1.1": "json11"}

JsonObject = dict[str, object]


def parse_json_feed(body: bytes, *, url: str, now: datetime) -> ParsedFeed:
    """Read a JSON Feed, forgiving a wrong version or single bad items.

    Raises:
        FeedError: `bad_json` if it is not JSON, `not_a_feed` if it is JSON of another kind.
    """
    document = _load(body)
    version, items = _text(document, "version"), document.get("items")
    if not isinstance(items, list) or not (version or "title" in document):
        raise FeedError(
            "not_a_feed", "JSON without the 'version' and 'items' of a JSON Feed came from this URL"
        )
    found = EntryList(now)
    for item in items:
        if isinstance(item, dict) and not found.is_full:
            found.add(_draft(cast("JsonObject", item), url))
    stem = version.strip().rstrip("/").replace("http://", "https://")
    known = _VERSIONS.get(stem)
    notes = found.notes() if known else (f"unknown JSON Feed version {version[:60]!r}", *found.notes())
    title = tidy(_text(document, "title"), limit=MAX_TITLE) or None
    return ParsedFeed(tuple(found.entries), format=known or "json", title=title, notes=notes)


def _load(body: bytes) -> JsonObject:
    try:
        document = json.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise FeedError("bad_json", f"JSON from this URL cannot be read: {str(error)[:120]}") from error
    if not isinstance(document, dict):
        raise FeedError("not_a_feed", "JSON from this URL is not an object, so no JSON Feed")
    return cast("JsonObject", document)


def _draft(item: JsonObject, base: str) -> Draft:
    return Draft(
        base=base,
        title=_text(item, "title"),
        summary=_summary(item),
        url=_text(item, "url") or _text(item, "external_url") or None,
        guid=_text(item, "id") or None,
        published_at=iso_moment(_text(item, "date_published") or _text(item, "date_modified")),
    )


def _summary(item: JsonObject) -> str:
    plain = _text(item, "summary") or _text(item, "content_text")
    return plain or plain_text(_text(item, "content_html"), limit=MAX_SUMMARY)


def _text(values: JsonObject, key: str) -> str:
    """A text, or a number as text, as older feeds have numeric ids; anything else is empty."""
    value = values.get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if isinstance(value, str) or is_number else ""
