"""The fast path: well-formed RSS, RDF and Atom read with lxml, to the same as feedparser makes of it.

It follows feedparser's rules for the fields that we read, in its order. Whatever is ill-formed or
doubtful it leaves to feedparser: it never guesses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from lxml import etree

from flows.feeds import fastnames as names
from flows.feeds.entries import EntryList, readable, time_to_live
from flows.feeds.fastentry import Doubt, EntryReader, FeedContext, attributes_of, leaf_text, plain_kind
from flows.feeds.fastnames import DOUBTFUL, word_of
from flows.feeds.text import MAX_TITLE
from tocsin.types import ParsedFeed

_BOM = b"\xef\xbb\xbf"
_FIRST_ELEMENT = re.compile(rb"<\w")
_NAMESPACE = re.compile(rb"""xmlns(?::([^\s=]+))?\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_DECLARED = re.compile(rb"""\A<\?.*encoding=['"](.*?)['"].*\?>""")
_BASE = re.compile(rb"base\s*=")
_XML_TYPES = frozenset({"application/xml", "application/xml-dtd", "application/xml-external-parsed-entity"})
_RSS_VERSIONS = {"0.91": "rss091u", "0.92": "rss092", "0.93": "rss093", "0.94": "rss094"}
_ATOM_VERSIONS = {"0.1": "atom01", "0.2": "atom02", "0.3": "atom03"}
_IN_IMAGE = frozenset({"title", "link", "description", "url", "width", "height"})
_IN_TEXTINPUT = frozenset({"title", "link", "description", "name"})
_FEED_KEYS = frozenset({"ttl", "sy_updateperiod", "sy_updatefrequency"})
_MAX_PROLOG = 4096

ParseDate = Callable[[str], "datetime | None"]


def parse_fast(
    body: bytes, *, content_type: str | None, url: str, now: datetime, parse_date: ParseDate
) -> ParsedFeed | None:
    """Read a feed, or give None where feedparser has to decide; never raises for what a body says.

    `parse_date` is feedparser's own for the dates that are in neither of the two usual forms.
    """
    try:
        data = _as_utf8(body, content_type)
        spaces = _namespaces(data)
        root = etree.fromstring(data, _parser())
        reader = _FeedReader(FeedContext(url, _version(root, spaces), parse_date), now)
        _check_base(root, data)
        reader.read(root)
    except (Doubt, etree.LxmlError, UnicodeError, ValueError, OverflowError):
        return None
    return reader.finish()


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


# ---------------------------------------------------------------- bytes


def _as_utf8(body: bytes, content_type: str | None) -> bytes:
    """The document in UTF-8, by the encoding that feedparser would settle on without guessing."""
    data = body.removeprefix(_BOM)
    start = _FIRST_ELEMENT.search(data, 0, _MAX_PROLOG)
    if start is None or b"\x00" in data[:4] or b"<!DOCTYPE" in data[: start.start()] or b"<!ENTITY" in data:
        raise Doubt
    if not data.startswith(b"<"):
        data = data.lstrip()
    if not data.startswith(b"<"):
        raise Doubt
    declared = _declared_encoding(data)
    for encoding in (_served_encoding(content_type, declared), declared, "utf-8" if data != body else ""):
        if encoding:
            try:
                text = data.decode("gb18030" if encoding.lower() == "gb2312" else encoding)
            except (UnicodeDecodeError, LookupError):
                continue
            return data if encoding.lower() == "utf-8" else text.encode()
    raise Doubt


def _declared_encoding(data: bytes) -> str:
    line = data.partition(b"\n")[0]
    head, _, rest = line.partition(b"?>")
    if data.startswith(b"<?xml") and (head == line or (b"encoding=" in rest and b"?>" in rest)):
        raise Doubt  # a declaration over several lines, or two on one
    match = _DECLARED.match(head + b"?>") if data.startswith(b"<?") else None
    return match.group(1).decode("ascii").lower() if match else ""


def _served_encoding(content_type: str | None, declared: str) -> str:
    """What the content type says of the encoding, with the defaults of RFC 3023 as feedparser has them."""
    kind, *parameters = (content_type or "").split(";")
    kind, charset = kind.strip(), ""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip("\"'")
    if not content_type:
        return declared or "iso-8859-1"
    if kind in _XML_TYPES or (kind.startswith("application/") and kind.endswith("+xml")):
        return charset or declared or "utf-8"
    if kind.startswith("text/"):
        return charset or "us-ascii"
    return declared or "utf-8"


def _namespaces(data: bytes) -> set[str]:
    """The namespaces that the document declares anywhere, if each prefix has one meaning throughout."""
    meanings: dict[str, str] = {}
    default = set()
    for prefix, double, single in set(_NAMESPACE.findall(data)):
        space = (double or single).decode("utf-8", "replace").strip().lower()
        if not prefix:
            default.add(space)
            continue
        name = prefix.decode("utf-8", "replace").lower()
        meaning = names.PREFIXES.get(space)
        if name in names.RESERVED and meaning != name:
            raise Doubt
        if meanings.setdefault(name, space) != space or (meaning is None and space in default):
            raise Doubt
    return default.union(meanings.values())


# ---------------------------------------------------------------- document


def _version(root: Any, spaces: set[str]) -> str:
    """The format's name as feedparser gives it, which depends on the namespaces in use."""
    if root.getroottree().docinfo.internalDTD is not None:
        raise Doubt
    word = word_of(root)
    said = attributes_of(root).get("version", "")
    formats = spaces & {names.ATOM, names.ATOM_03, names.RSS_10, names.RSS_090}
    if word == "rss" and not formats & {names.RSS_10, names.RSS_090}:
        return _RSS_VERSIONS.get(said) or ("rss20" if said.startswith("2.") else "rss")
    if word == "feed" and formats == {names.ATOM}:
        return "atom10"
    if word == "feed" and formats == {names.ATOM_03}:
        return _ATOM_VERSIONS.get(said, "atom")
    if word == "rdf_rdf" and formats == {names.RSS_10}:
        return "rss10"
    if word == "rdf_rdf" and formats == {names.RSS_090} and (root.nsmap.get(None) or "").lower() in formats:
        return "rss090"
    raise Doubt


def _check_base(root: Any, data: bytes) -> None:
    """A base is harmless where only text follows it; anywhere else it moves links."""
    if _BASE.search(data.lower()) is None:
        return
    for element in root.iter():
        if any(name.rpartition("}")[2].lower() == "base" for name in element.keys()):  # noqa: SIM118
            word = word_of(element)
            is_text = word in names.CONTENTS or word in names.SUMMARIES or word in names.TITLES
            if not is_text:
                raise Doubt


class _FeedReader:
    """Walks a document: what a feed says of itself, and its entries one by one."""

    def __init__(self, context: FeedContext, now: datetime) -> None:
        self._context = context
        self._entries = EntryList(now)
        self._title: tuple[str, str] | None = None
        self._keys: dict[str, str] = {}
        self._has_summary = False
        self._has_content = False

    def read(self, root: Any) -> None:
        if word_of(root) == "feed":
            self._read_feed(root, depth=1)
            return
        channels = 0
        for child in root:
            word = word_of(child)
            if word == "channel":
                channels += 1
                _refuse_attributes(child, {"lastmod", "href"})
                self._read_feed(child, depth=2)
            elif word == "item":
                self._read_entry(child, depth=2)
            else:
                self._skip(child, word)
        if channels > 1:
            raise Doubt

    def finish(self) -> ParsedFeed:
        title = readable(*self._title, limit=MAX_TITLE) if self._title else ""
        keys = (self._keys.get(key, "") for key in ("ttl", "sy_updateperiod", "sy_updatefrequency"))
        return ParsedFeed(
            entries=tuple(self._entries.entries),
            format=self._context.version,
            title=title or None,
            ttl=time_to_live(*keys),
            notes=self._entries.notes(),
        )

    def _read_feed(self, parent: Any, depth: int) -> None:
        for child in parent:
            word = word_of(child)
            if word in {"item", "entry"}:
                self._read_entry(child, depth + 1)
            elif word == "title":
                self._read_title(child)
            elif word in _FEED_KEYS:
                self._read_key(child, word)
            elif word in names.DESCRIPTIONS or word in names.SUMMARIES:
                self._note_summary(child, word)
            else:
                self._skip(child, word)

    def _read_entry(self, element: Any, depth: int) -> None:
        if self._entries.is_full:
            return
        reader = EntryReader(self._context, has_content=self._has_content)
        self._has_content = False
        self._entries.add(reader.read(element, depth))

    def _read_title(self, element: Any) -> None:
        if self._title is not None:
            raise Doubt
        text, kind = leaf_text(element), plain_kind(element)
        self._title = self._context.settle(text, kind)

    def _read_key(self, element: Any, word: str) -> None:
        if element.keys() or element.nsmap != element.getroottree().getroot().nsmap:
            raise Doubt
        self._keys[word] = leaf_text(element)

    def _note_summary(self, element: Any, word: str) -> None:
        """Follow the feed's own summaries, as a second one changes how the first entry is read."""
        leaf_text(element)
        plain_kind(element)
        if self._has_summary and not self._has_content:
            self._has_content = True
        elif word in names.SUMMARIES:
            self._has_summary = True

    def _skip(self, element: Any, word: str) -> None:
        """Pass over what holds nothing that we read, once that is certain."""
        if word in {"image", "textinput"}:
            allowed = _IN_IMAGE if word == "image" else _IN_TEXTINPUT
            for child in element:
                if word_of(child) not in allowed or len(child):
                    raise Doubt
            return
        for each in element.iter():
            _check_harmless(each)


def _check_harmless(element: Any) -> None:
    word = word_of(element)
    if word in names.LEAVES or word == "link":
        leaf_text(element)
    elif word in names.CONTAINERS or word in names.IDS or word in names.DATES:
        return
    elif word == DOUBTFUL or word in _NEVER_SKIPPED:
        raise Doubt


_NEVER_SKIPPED = (
    names.TITLES
    | names.DESCRIPTIONS
    | names.SUMMARIES
    | names.CONTENTS
    | _FEED_KEYS
    | {"item", "entry", "source", "image", "textinput", "channel", "feed", "rss", "feedburner_origlink"}
)


def _refuse_attributes(element: Any, refused: set[str]) -> None:
    if element.keys() and not refused.isdisjoint(attributes_of(element)):
        raise Doubt
