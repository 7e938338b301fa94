"""What was got instead of a feed, and which feeds an HTML page names."""

from __future__ import annotations

from html.parser import HTMLParser

from flows.feeds.urls import absolute_web_url

_FEED_TYPES = frozenset(
    {"application/rss+xml", "application/atom+xml", "application/feed+json", "application/rdf+xml"}
)
_HEAD_BYTES = 256 * 1024


def looks_like_html(body: bytes) -> bool:
    """Tell an HTML page by its beginning, whatever the server calls it."""
    head = body[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.startswith(b"<!doctype html") or b"<html" in head


def find_feed_links(body: bytes, url: str) -> tuple[str, ...]:
    """The feeds that a page names in its head, absolute, in order, without repeats."""
    finder = _LinkFinder()
    finder.feed(body[:_HEAD_BYTES].decode("utf-8", "replace"))
    links = (absolute_web_url(url, href) for href in finder.hrefs)
    return tuple(dict.fromkeys(link for link in links if link))


class _LinkFinder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "link":
            return
        values = {name: value or "" for name, value in attrs}
        is_alternate = "alternate" in values.get("rel", "").lower().split()
        if is_alternate and values.get("type", "").lower().strip() in _FEED_TYPES:
            self.hrefs.append(values.get("href", ""))
