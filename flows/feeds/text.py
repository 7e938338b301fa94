"""Markup from strangers to plain text: nothing in it runs, hides or reorders what people read."""

from __future__ import annotations

import html
import re

import nh3

MAX_TITLE = 500
MAX_SUMMARY = 5_000
# Deeply nested markup costs the cleaner quadratic time, so its input is bounded too.
_MAX_MARKUP = 24_000

_BLOCK_TAG = re.compile(
    r"<(?=/?(?:p|div|br|li|ul|ol|tr|td|th|h[1-6]|blockquote|figure|figcaption|section|article|hr|pre)\b)",
    re.IGNORECASE,
)
# Numeric references that one unescaping leaves were escaped twice by mistake; no headline means them.
_NUMERIC_REFERENCE = re.compile(r"&#(?:\d{1,7}|[xX][0-9a-fA-F]{1,6});")
_DROPPED_WITH_CONTENT = {"script", "style", "iframe", "object", "template", "noscript", "svg"}
# Built once: that costs four times as much as to clean a usual summary.
_CLEANER = nh3.Cleaner(tags=set(), clean_content_tags=_DROPPED_WITH_CONTENT)
# Control characters, bidirectional overrides and isolates, zero-width and invisible characters,
# tags, lone surrogates. Joiners (200C, 200D) stay: Persian, Indic scripts and emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def plain_text(value: str, *, limit: int) -> str:
    """Give the visible text of HTML on one line, at most `limit` characters."""
    if "<" in value or "&" in value:
        value = html.unescape(_strip_tags(value[:_MAX_MARKUP]))
        value = _NUMERIC_REFERENCE.sub(_unescape_match, value)
    return tidy(value, limit=limit)


def tidy(value: str, *, limit: int) -> str:
    """Collapse white space, drop what cannot be seen, and cut at a word within `limit` characters."""
    value = " ".join(value[: limit * 8].split())
    if not value.isprintable():  # which is far cheaper than the expression, and hardly ever so
        value = " ".join(_INVISIBLE.sub("", value).split())
    if len(value) <= limit:
        return value
    head = value[: limit - 1]
    at_word = head.rfind(" ")
    return (head[:at_word] if at_word > limit // 2 else head).rstrip() + "…"


def _unescape_match(match: re.Match[str]) -> str:
    return html.unescape(match.group())


def _strip_tags(value: str) -> str:
    value = _BLOCK_TAG.sub(" <", value)
    return _CLEANER.clean(value)
