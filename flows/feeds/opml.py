"""Lists of feeds: OPML read and written, text lists, single addresses.

Knows how lists misbehave; fetches nothing.
"""

from __future__ import annotations

import logging
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit
from xml.parsers import expat

from tocsin.errors import OpmlError
from tocsin.types import Feed

log = logging.getLogger(__name__)

# A list of 50,000 feeds has about this size; more is a mistake or an attack.
MAX_LIST_BYTES = 10_000_000
MAX_OUTLINE_DEPTH = 50
FOLDER_SEPARATOR = " / "

# OPML allows further attributes only in a namespace. The prefix is fixed when we read, because
# real lists use prefixes that they never declare and a namespace-aware parser refuses them.
_NAMESPACE = "urn:tocsin:opml"
_OUTLET = "tocsin:outlet"

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BARE_AMPERSAND = re.compile(rb"&(?!#?\w+;)")
_NOT_IN_URL = re.compile(r"[\s\x00-\x20\x7f]")
_FEED_ROOTS = frozenset({"rss", "feed", "rdf:rdf"})


def read_feed_list(source: str) -> tuple[Feed, ...]:
    """Read what a person gave as `--feeds`: an address, or a path to .opml, .xml or .txt.

    An address becomes one feed without a title; it is not fetched here. Order is kept and
    duplicates are dropped, the first one stays; at least one feed is returned.

    Raises:
        OpmlError: it is missing, unreadable or lists no feed.
    """
    given = source.strip()
    if re.match(r"feed:|[a-z][a-z0-9+.-]*://", given, re.IGNORECASE):
        return (_feed_at(given),)
    path = Path(given)
    kind = path.suffix.lower()
    if kind in {".opml", ".xml"}:
        return read_opml(_read_file(path), source=given)
    if kind == ".txt":
        return _read_lines(_read_file(path), source=given)
    raise OpmlError(
        f"{given or 'empty name'}: not a list of feeds; give a file that ends in .opml, .xml or .txt, "
        "or an address that begins with https://"
    )


def read_opml(data: bytes, *, source: str) -> tuple[Feed, ...]:
    """Return the feeds of an OPML document in its order, the first of each URL.

    `source` names the document in messages. A folder is the titles of the enclosing outlines,
    joined with " / ". An outline whose address cannot be polled is skipped with a warning. No
    document type declaration is accepted, so no entity is ever expanded or fetched. Ampersands that
    should have been escaped are forgiven.

    Raises:
        OpmlError: it is not OPML, or has no feed.
    """
    _refuse_large(data, source=source)
    if not data.strip():
        raise OpmlError(f"{source}: the file is empty; export the list of feeds again")
    reader = _read_document(data, source)
    if not reader.has_body:
        raise OpmlError(f"{source}: the OPML has no <body>; export the list of feeds again")
    if not reader.feeds:
        raise OpmlError(f"{source}: lists no feeds; an <outline> needs an xmlUrl that begins with https://")
    return unique_feeds(reader.feeds)


def write_opml(feeds: Iterable[Feed], *, title: str) -> bytes:
    """Return the feeds as OPML 2.0, UTF-8, which `read_opml` reads back equal.

    Feeds stand under their folders, in order within each. Runs of white space in names become one
    space, and characters that XML cannot hold are dropped.
    """
    root = ET.Element("opml", {"version": "2.0", "xmlns:tocsin": _NAMESPACE})
    ET.SubElement(ET.SubElement(root, "head"), "title").text = _plain(title) or ""
    folders: dict[tuple[str, ...], ET.Element] = {(): ET.SubElement(root, "body")}
    for feed in feeds:
        parent = _folder_element(folders, _folder_path(feed.folder))
        ET.SubElement(parent, "outline", _outline_attributes(feed))
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def unique_feeds(feeds: Iterable[Feed]) -> tuple[Feed, ...]:
    """Return the feeds in order, the first of each URL."""
    first: dict[str, Feed] = {}
    for feed in feeds:
        first.setdefault(feed.url, feed)
    return tuple(first.values())


def normalise_feed_url(text: str) -> str | None:
    """Return an http(s) URL ready to be polled, or None where the text is none.

    `feed://host` means http, `feed:https://host` what follows. The scheme is lower-cased; the rest
    stays as given, because some servers tell apart what the standard calls equal.
    """
    url = text.strip()
    if url[:5].lower() == "feed:":
        url = url[5:]
        url = f"http:{url}" if url.startswith("//") else url
    scheme = _scheme(url)
    if scheme not in {"http", "https"} or _NOT_IN_URL.search(url) or not _has_host(url):
        return None
    return scheme + url[len(scheme) :]


class _OpmlReader:
    """Collects feeds while expat walks one document; used once."""

    def __init__(self, source: str) -> None:
        self.feeds: list[Feed] = []
        self.has_body = False
        self._source = source
        self._root: str | None = None
        # One item per open outline: its title if it is a folder, None if it adds nothing to the path.
        self._path: list[str | None] = []
        self._parser = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def read(self, data: bytes) -> None:
        try:
            self._parser.Parse(data, True)
        except (LookupError, ValueError) as error:  # what expat raises for encodings it does not know
            raise self._error("its encoding is not known; save it as UTF-8") from error

    def _error(self, message: str) -> OpmlError:
        return OpmlError(f"{self._source}, line {self._parser.CurrentLineNumber}: {message}")

    def _refuse_doctype(self, name: str, *_: object) -> None:
        if name.lower() == "html":
            raise self._error("this is a web page, not a list of feeds; download the OPML file itself")
        raise self._error("document type declarations (DTD, entities) are refused; remove the <!DOCTYPE …>")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.lower()
        if self._root is None:
            self._root = tag
            self._check_root(tag)
        elif tag == "body":
            self.has_body = True
        elif tag == "outline" and self.has_body:
            self._open_outline({key.lower(): value for key, value in attributes.items()})

    def _end(self, name: str) -> None:
        if name.lower() == "outline" and self._path:
            self._path.pop()

    def _check_root(self, tag: str) -> None:
        if tag in _FEED_ROOTS:
            raise self._error("this is a feed, not a list of feeds; give its address instead of the file")
        if tag != "opml":
            raise self._error(f"the document is <{tag[:40]}>, not <opml>; export the list of feeds as OPML")

    def _open_outline(self, attributes: dict[str, str]) -> None:
        if len(self._path) >= MAX_OUTLINE_DEPTH:
            raise self._error(f"outlines are nested more than {MAX_OUTLINE_DEPTH} deep; flatten the folders")
        title = _plain(attributes.get("title", "")) or _plain(attributes.get("text", ""))
        address = attributes.get("xmlurl", "").strip()
        if address:
            self._add_feed(address, title, _plain(attributes.get(_OUTLET, "")))
        self._path.append(None if address else title)

    def _add_feed(self, address: str, title: str | None, outlet: str | None) -> None:
        url = normalise_feed_url(address)
        if url is None:  # The address itself may hold a password: name the line instead.
            log.warning(
                "outline.skipped source=%s line=%d title=%r reason=not_an_http_address",
                self._source,
                self._parser.CurrentLineNumber,
                title,
            )
            return
        folder = FOLDER_SEPARATOR.join(name for name in self._path if name) or None
        self.feeds.append(Feed(url=url, title=title, outlet=outlet, folder=folder))


def _read_document(data: bytes, source: str) -> _OpmlReader:
    reader = _OpmlReader(source)
    try:
        reader.read(data)
    except expat.ExpatError as error:
        # About half of the lists in a well-known public collection have such ampersands.
        mended = _BARE_AMPERSAND.sub(b"&amp;", data)
        if mended != data:
            log.warning("opml.mended source=%s line=%d reason=bare_ampersand", source, error.lineno)
            return _read_document(mended, source)
        reason = expat.ErrorString(error.code)
        raise OpmlError(
            f"{source}, line {error.lineno}: not XML ({reason}); export the list as OPML again"
        ) from error
    return reader


def _feed_at(address: str) -> Feed:
    url = normalise_feed_url(address)
    if url is None:
        scheme = _scheme(address)
        raise OpmlError(
            f"the address given ({scheme}:…) cannot be polled; it must be http:// or https:// with a host "
            "and no spaces"
        )
    return Feed(url=url)


def _read_file(path: Path) -> bytes:
    try:
        with path.expanduser().open("rb") as file:
            return file.read(MAX_LIST_BYTES + 1)
    except FileNotFoundError as error:
        raise OpmlError(
            f"{path}: no such file (looked for {path.expanduser().absolute()}); give the path of a list "
            "of feeds or an address that begins with https://"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:  # a path with a null byte, a home of nobody
        reason = getattr(error, "strerror", None) or str(error)
        raise OpmlError(f"{path}: cannot be read ({reason}); check the path and its permissions") from error


def _refuse_large(data: bytes, *, source: str) -> None:
    if len(data) > MAX_LIST_BYTES:
        raise OpmlError(f"{source}: larger than {MAX_LIST_BYTES // 1_000_000} MB; split the list")


def _read_lines(data: bytes, *, source: str) -> tuple[Feed, ...]:
    _refuse_large(data, source=source)
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        bad_line = data.count(b"\n", 0, error.start) + 1
        raise OpmlError(f"{source}, line {bad_line}: not UTF-8 text; save the list as UTF-8") from error
    feeds: list[Feed] = []
    for number, line in enumerate(lines, start=1):
        # "#" also begins a fragment inside an address; a comment stands alone or after a space.
        address = re.sub(r"(^|\s)#.*", "", line).strip()
        if not address:
            continue
        url = normalise_feed_url(address)
        if url is None:
            raise OpmlError(f"{source}, line {number}: no feed address; write one https:// address per line")
        feeds.append(Feed(url=url))
    if not feeds:
        raise OpmlError(f"{source}: lists no feeds; write one https:// address per line")
    return unique_feeds(feeds)


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, or half an IPv6 address
        return False


def _plain(text: str) -> str | None:
    return " ".join(_NOT_IN_XML.sub("", text).split()) or None


def _folder_path(folder: str | None) -> tuple[str, ...]:
    names = (_plain(name) for name in (folder or "").split(FOLDER_SEPARATOR))
    return tuple(name for name in names if name)


def _folder_element(folders: dict[tuple[str, ...], ET.Element], path: tuple[str, ...]) -> ET.Element:
    if path not in folders:
        parent = _folder_element(folders, path[:-1])
        folders[path] = ET.SubElement(parent, "outline", {"text": path[-1], "title": path[-1]})
    return folders[path]


def _outline_attributes(feed: Feed) -> dict[str, str]:
    title, outlet = _plain(feed.title or ""), _plain(feed.outlet or "")
    # The standard demands a text; a feed without a title gets an empty one, which reads back as None.
    attributes = {"type": "rss", "text": title or "", "xmlUrl": feed.url}
    if title:
        attributes["title"] = title
    if outlet:
        attributes[_OUTLET] = outlet
    return attributes
