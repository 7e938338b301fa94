"""Text and links from strangers made safe to show: what is kept, where it is cut, how it is escaped."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote, urlsplit

ELLIPSIS = "…"
URL_LIMIT = 2000

# Needed to spell Persian and Hindi and to join emoji; every other format character is dropped.
_JOINERS = frozenset("\u200c\u200d")
# RFC 3986 reserved and unreserved characters, less the ones that Slack's own markup gives a meaning.
_URL_SAFE = "!#$%&'()*+,-./:;=?@[]_~"
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def clean_text(text: str) -> str:
    """Return one line without control, direction-changing or invisible characters, spaces collapsed.

    Lone surrogates become U+FFFD, so that the result can always be encoded.
    """
    return " ".join("".join(map(_clean_character, text)).split())


def _clean_character(character: str) -> str:
    if character in _JOINERS:
        return character
    category = unicodedata.category(character)
    if category in {"Cc", "Zl", "Zp", "Zs"}:
        return " "
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    return "" if category in {"Cf", "Cn"} else character


def cut_text(text: str, limit: int) -> str:
    """Shorten to `limit` UTF-16 units (as Slack counts), an ellipsis included; never splits a character."""
    return _cut(text, limit, {})


def escape_text(text: str, limit: int) -> str:
    """Escape for a Slack `text` field and shorten to `limit` units without cutting an escape in two."""
    return _cut(text, limit, _ESCAPES)


def _cut(text: str, limit: int, escapes: dict[str, str]) -> str:
    pieces = [escapes.get(character, character) for character in text]
    if sum(map(_units, pieces)) <= limit:
        return "".join(pieces)
    kept, room = [], limit - _units(ELLIPSIS)
    for piece in pieces:
        room -= _units(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept).rstrip() + ELLIPSIS


def _units(piece: str) -> int:
    return sum(2 if ord(character) > 0xFFFF else 1 for character in piece)


def read_link(url: str | None) -> tuple[str, str] | None:
    """Return `(url, host)` in plain ASCII, or None for what should not be a link.

    Only http and https, with a host and without credentials: `https://bank.example@evil.example/` reads as
    one site and opens another. The host comes back as it is looked up (punycode), so look-alikes show.
    """
    if not url or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        host, port = _ascii_host(parts.hostname), parts.port
    except ValueError:  # a malformed port or IPv6 address, or a host that IDNA refuses
        return None
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        return None
    tail = (
        parts.path
        + (f"?{parts.query}" if parts.query else "")
        + (f"#{parts.fragment}" if parts.fragment else "")
    )
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    link = f"{parts.scheme}://{netloc}{quote(tail, safe=_URL_SAFE)}"
    return (link, host) if len(link) <= URL_LIMIT else None


def _ascii_host(host: str | None) -> str | None:
    if not host:
        return None
    name = host if host.isascii() else host.encode("idna").decode("ascii")
    return name if quote(name, safe=".-_:") == name else None
