"""What response headers say about when to come back (RFC 9110, section 10.2.3; RFC 9111, section 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from tocsin.types import PaceHints

_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,9})(?!\d)", re.IGNORECASE)
_FORBIDS_REUSE = re.compile(r"\bno-(?:cache|store)\b", re.IGNORECASE)


def read_pace_hints(headers: Mapping[str, str], now: datetime) -> PaceHints:
    """Read Retry-After, Cache-Control and Expires; what is absent, past or malformed gives None."""
    return PaceHints(retry_after=_retry_after(headers, now), max_age=_max_age(headers, now))


def _retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", value, re.ASCII):
        return timedelta(seconds=int(value))
    return _until(value, now)


def _max_age(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    cache_control = headers.get("cache-control", "")
    if _FORBIDS_REUSE.search(cache_control):
        return None
    stated = _MAX_AGE.search(cache_control)
    if stated:
        return timedelta(seconds=int(stated.group(1))) or None
    expires = headers.get("expires", "")
    # It counts from the server's own clock, which may be wrong.
    return _until(expires, _http_date(headers.get("date", "")) or now) if expires else None


def _until(value: str, start: datetime) -> timedelta | None:
    moment = _http_date(value)
    return moment - start if moment is not None and moment > start else None


def _http_date(value: str) -> datetime | None:
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
