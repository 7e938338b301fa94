"""One entry of a well-formed feed, element by element in the feed's order, by feedparser's rules.

The order matters: the first title stands, the last date does, and a second summary becomes content.
"""

from __future__ import annotations

import contextlib
import html.entities
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urljoin

from flows.feeds import fastnames as names
from flows.feeds.entries import Draft, is_plain_web_url, readable
from flows.feeds.fastnames import word_of
from flows.feeds.text import MAX_SUMMARY, MAX_TITLE

PLAIN, HTML = "text/plain", "text/html"
_KINDS = {"text": PLAIN, "plain": PLAIN, PLAIN: PLAIN, "html": HTML, HTML: HTML}
_C1 = re.compile("[\x80-\x9f]")
_ENTITY = re.compile(r"&#?\w+;")
_NAMED_ENTITY = re.compile(r"&(\w+);")
_TAG = re.compile(r"</?\w")
_BROKEN_REFERENCE = re.compile(r"&([A-Za-z0-9_]+);")
_IN_SOURCE = names.IDS | {
    *("title", "link", "updated", "published", "subtitle", "icon", "logo", "rights", "category", "generator"),
    *("author", "contributor", "name", "uri", "email"),
}

_DAYS = r"(?:(?:mon|tue|wed|thu|fri|sat|sun),\s+)?"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_RFC_822 = re.compile(
    rf"{_DAYS}(\d{{1,2}})\s+({'|'.join(_MONTHS)})\s+(\d{{4}})\s+(\d\d):(\d\d)(?::(\d\d))?"
    r"\s+(?:(gmt|utc?|z)|([+-])(\d\d)(\d\d))",
    re.ASCII | re.IGNORECASE,
)
_RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?:(Z?)|([+-])(\d\d):(\d\d))",
    re.ASCII | re.IGNORECASE,
)


_REFUSED = frozenset({names.DOUBTFUL, "textinput", "item", "entry", "channel", "feed", "rss"})


# Markup nested deeper costs its cleaner too much for the event loop.
_MAX_TAGS, _MAX_MARKUP = 1_000, 24_000
# More on one element cost lxml quadratic time.
_MAX_ATTRIBUTES = 500


class Doubt(Exception):
    """Something that feedparser has to decide."""


@dataclass(frozen=True, slots=True)
class FeedContext:
    """What an entry needs to know of its feed. `url` is the base of its links."""

    url: str
    version: str
    parse_date: Callable[[str], datetime | None]

    def settle(self, text: str, kind: str) -> tuple[str, str]:
        """Give text and kind as feedparser stores them; outside Atom it guesses at HTML."""
        if text.count("<", 0, _MAX_MARKUP) > _MAX_TAGS:
            raise Doubt
        if kind == PLAIN and not self.version.startswith("atom") and ("<" in text or "&" in text):
            kind = _guess_kind(text)
        return mended(text), kind

    def moment(self, text: str) -> datetime | None:
        """Read a date as feedparser does: to the second, as UTC."""
        return _usual_moment(text) or (self.parse_date(text) if text else None)


def leaf_text(element: Any) -> str:
    """The text of an element that holds nothing else, stripped."""
    if len(element):
        raise Doubt
    return (element.text or "").strip()


def attributes_of(element: Any) -> dict[str, str]:
    """Attributes by name in small letters, without regard to namespaces that mean nothing."""
    spaced: dict[str, str] = {}
    plain: dict[str, str] = {}
    if len(element.keys()) > _MAX_ATTRIBUTES:
        raise Doubt
    for tag, value in element.items():
        space, _, local = tag.rpartition("}")
        prefix = names.PREFIXES.get(space[1:].lower(), "")
        name = f"{prefix}:{local}".lower() if prefix else local.lower()
        (spaced if space else plain)[name] = value.lower() if name in {"rel", "type"} else value
    return spaced | plain


def plain_kind(element: Any, default: str = PLAIN) -> str:
    """Whether an element holds plain text or HTML by its attributes."""
    if not element.keys():
        return default
    attributes = attributes_of(element)
    kind = _KINDS.get(attributes.get("type", default))
    if kind is None or attributes.get("mode") == "base64":
        raise Doubt
    return kind


def mended(text: str) -> str:
    """Undo UTF-8 that was read as Latin-1, as feedparser does."""
    if text.isascii():
        return text
    with contextlib.suppress(UnicodeError):
        text = text.encode("iso-8859-1").decode("utf-8")
    if _C1.search(text):
        raise Doubt
    return text


def _guess_kind(text: str) -> str:
    """Tell HTML in what is nominally plain, where it makes a difference."""
    if not _ENTITY.search(text):
        # Without a reference only a closing tag would make it HTML, and those are read as such anyway.
        if "</" in text and re.search(r"</\w+>", text):
            raise Doubt
        return PLAIN
    if _TAG.search(text):
        raise Doubt
    known = all(name in html.entities.entitydefs for name in _NAMED_ENTITY.findall(text))
    return HTML if known else PLAIN


def _usual_moment(text: str) -> datetime | None:
    """Read the two forms that nearly all feeds use; None for any other and for impossible dates."""
    match = _RFC_822.fullmatch(text)
    if match:
        day, month, year, hour, minute, second, _, sign, hours, minutes = match.groups()
        month = _MONTHS.index(month.lower()) + 1
    else:
        match = _RFC_3339.fullmatch(text)
        if match is None:
            return None
        year, month, day, hour, minute, second, _, sign, hours, minutes = match.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC
        )
        if sign is None:
            return moment
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        return moment + offset if sign == "-" else moment - offset
    except (ValueError, OverflowError):
        return None


class EntryReader:
    """Collects the pieces of one entry."""

    def __init__(self, context: FeedContext, *, has_content: bool) -> None:
        self._context = context
        self._has_content = has_content
        self._title: tuple[str, str] | None = None
        self._title_level: int | None = None
        self._title_closed = -1
        self._summary: tuple[str, str | None] | None = None
        self._summary_level: int | None = None
        self._contents: list[tuple[str, str]] = []
        self._link: str | None = None
        self._origin = ""
        self._origin_level: int | None = None
        self._guid: str | None = None
        self._guid_level: int | None = None
        self._dates: dict[str, datetime | None] = {}
        self._outlet: tuple[str, str | None] = ("", None)

    def read(self, element: Any, depth: int) -> Draft:
        """Read the element of an entry that stands `depth` levels down."""
        if element.keys():
            attributes = attributes_of(element)
            if "lastmod" in attributes or "href" in attributes:
                raise Doubt
            self._guid = attributes.get("rdf:about") or None
        self._walk(element, depth + 1)
        return self._draft()

    def _draft(self) -> Draft:
        title, kind = self._title or ("", PLAIN)
        moments = (self._dates.get(name) for name in ("published", "updated", "created"))
        return Draft(
            base=self._context.url,
            title=readable(title, kind, limit=MAX_TITLE) if title else "",
            summary=self._readable_summary(),
            url=self._origin or self._link,
            guid=self._guid,
            published_at=next((moment for moment in moments if moment is not None), None),
            outlet=readable(*self._outlet, limit=200) or None if self._outlet[0] else None,
        )

    def _readable_summary(self) -> str:
        text = readable(*self._summary, limit=MAX_SUMMARY) if self._summary else ""
        for content in () if text else self._contents:
            text = text or readable(*self._context.settle(*content), limit=MAX_SUMMARY)
        return text

    def _walk(self, parent: Any, depth: int) -> None:
        for element in parent:
            word = word_of(element)
            if word in names.LEAVES:
                leaf_text(element)
            elif word in self.READERS:
                self.READERS[word](self, element, depth)
            elif word in _REFUSED:
                raise Doubt
            elif len(element):
                self._walk(element, depth + 1)

    # ------------------------------------------------------------ one method for each kind of element

    def _read_title(self, element: Any, depth: int) -> None:
        value, kind = self._context.settle(leaf_text(element), plain_kind(element))
        if not -1 < self._title_closed <= depth:
            if self._title_level is None or depth <= self._title_level:
                self._title_level = depth
                self._title = value, kind
            elif self._title is not None:
                self._title = self._title[0], kind  # feedparser keeps the text, yet takes the new type
        if value and word_of(element) != "media_title":
            self._title_closed = depth

    def _read_description(self, element: Any, depth: int) -> None:
        self._read_text(element, depth, HTML)

    def _read_summary(self, element: Any, depth: int) -> None:
        self._read_text(element, depth, PLAIN)

    def _read_text(self, element: Any, depth: int, default: str) -> None:
        if self._summary is not None and not self._has_content:
            self._read_content(element, depth)
            return
        value, kind = self._context.settle(leaf_text(element), plain_kind(element, default))
        if self._summary is None or self._summary_level is None or depth <= self._summary_level:
            self._summary_level = depth
            self._summary = value, kind
        else:
            self._summary = self._summary[0], kind

    def _read_content(self, element: Any, _depth: int) -> None:
        self._keep_content(element, PLAIN)

    def _read_encoded(self, element: Any, _depth: int) -> None:
        self._keep_content(element, HTML)

    def _keep_content(self, element: Any, default: str) -> None:
        self._has_content = True
        text, kind = leaf_text(element), plain_kind(element, default)
        self._contents.append((text, kind))
        if self._summary is None:
            self._summary = self._context.settle(text, kind)[0], None

    def _read_link(self, element: Any, _depth: int) -> None:
        attributes = attributes_of(element) if element.keys() else {}
        href = attributes.get("url", attributes.get("uri", attributes.get("href"))) or attributes.get("href")
        text = leaf_text(element)
        if href is None:
            value = mended(self._resolved(text) if text else "")
            self._link = _BROKEN_REFERENCE.sub(r"&\1", value.replace("&amp;", "&"))
            return
        kind = attributes.get("type", HTML)
        is_page = kind in {HTML, "html", "xhtml", "application/xhtml+xml"}
        if is_page and attributes.get("rel", "alternate") == "alternate":
            self._link = self._resolved(href)

    def _resolved(self, reference: str) -> str:
        if is_plain_web_url(reference):
            return reference
        if ":///" in reference:
            raise Doubt
        try:
            return urljoin(self._context.url, reference)
        except ValueError:
            return ""

    def _read_id(self, element: Any, depth: int) -> None:
        value = leaf_text(element)
        is_link = not element.keys() or attributes_of(element).get("ispermalink", "true") == "true"
        value = mended(self._resolved(value) if value and is_link else value)
        if self._guid_level is None or depth <= self._guid_level:
            self._guid_level = depth
            self._guid = value
        if is_link and self._link is None:
            self._link = value

    def _read_date(self, element: Any, _depth: int) -> None:
        name = names.DATES[word_of(element)]
        self._dates[name] = self._context.moment(mended(leaf_text(element)))

    def _read_origin(self, element: Any, depth: int) -> None:
        if element.keys():
            raise Doubt
        if self._origin_level is None or depth <= self._origin_level:
            self._origin_level = depth
            self._origin = mended(leaf_text(element))

    def _read_image(self, element: Any, _depth: int) -> None:
        leaf_text(element)
        self._title_closed = -1

    def _read_source(self, element: Any, depth: int) -> None:
        """Read the outlet: the text of an RSS source, the title of an Atom one."""
        self._title_closed = -1
        self._outlet = "", None
        if not len(element):
            self._outlet = mended(leaf_text(element)), None
            return
        if (element.text or "").strip() or any(
            (child.tail or "").strip() for child in element.iterdescendants()
        ):
            raise Doubt
        for child in element.iterdescendants():
            self._read_in_source(child, depth)

    def _read_in_source(self, child: Any, depth: int) -> None:
        word = word_of(child)
        if word not in _IN_SOURCE or (len(child) and word not in names.CONTAINERS):
            raise Doubt
        if word == "link" and (child.text or "").strip():
            raise Doubt
        if word == "title":
            if self._outlet[0]:
                raise Doubt
            value, kind = self._context.settle(leaf_text(child), plain_kind(child))
            self._outlet = value, kind
            self._title_closed = depth + 1 if value else self._title_closed

    READERS: ClassVar[dict[str, Callable[[EntryReader, Any, int], None]]] = {
        **dict.fromkeys(names.TITLES, _read_title),
        **dict.fromkeys(names.DESCRIPTIONS, _read_description),
        **dict.fromkeys(names.SUMMARIES, _read_summary),
        **dict.fromkeys(names.IDS, _read_id),
        **dict.fromkeys(names.DATES, _read_date),
        "content": _read_content,
        "content_encoded": _read_encoded,
        "link": _read_link,
        "feedburner_origlink": _read_origin,
        "image": _read_image,
        "source": _read_source,
    }
