"""From the pieces that a format's parser found to entries: the same rules for every format."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from flows.feeds.boilerplate import cut_boilerplate
from flows.feeds.text import MAX_SUMMARY, MAX_TITLE, plain_text, tidy
from flows.feeds.urls import MAX_URL_LENGTH, absolute_web_url
from tocsin.types import Entry

MAX_ENTRIES = 2_000
_MAX_GUID = 1_000
_MAX_OUTLET = 200
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=2)
_TITLE_FROM_SUMMARY = 120
# A closing tag, or an opening one that text about HTML seldom holds alone.
_MARKUP = re.compile(r"</[a-z][a-z0-9]*\s*>|<(?:script|style|img|iframe|svg|br|p|div)\b", re.IGNORECASE)
_PERIODS = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(weeks=1),
    "monthly": timedelta(days=30),
    "yearly": timedelta(days=365),
}


# A URL that resolving against any base leaves as it is.
_PLAIN_URL = re.compile(
    r"https?://[\w.-]+(?::\d{1,4})?(?:/[\w.~%+,:&=!$-]+)*/?(?:\?[\w.~%+,:&=!$/?-]+)?(?:#[\w.~%+,:&=!$/?-]+)?",
    re.ASCII,
)


def is_plain_web_url(value: str) -> bool:
    """Tell a URL so usual that `absolute_web_url` gives it back as it is."""
    return len(value) <= MAX_URL_LENGTH and _PLAIN_URL.fullmatch(value) is not None


def readable(value: str, kind: object, *, limit: int) -> str:
    """Plain text stays as it is (it may speak of tags) unless it was HTML under a wrong name."""
    is_plain = kind == "text/plain" and not _MARKUP.search(value)
    return tidy(value, limit=limit) if is_plain else plain_text(value, limit=limit)


def time_to_live(minutes: str, period: str, frequency: str) -> timedelta | None:
    """How long a feed says it stays as it is: RSS `ttl` in minutes, else the syndication module."""
    number = _number(minutes)
    if number:
        return timedelta(minutes=number)
    each = _PERIODS.get(period.strip().lower())
    return each / (_number(frequency) or 1) if each else None


def _number(value: str) -> int | None:
    text = value.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def iso_moment(value: str) -> datetime | None:
    """Read an ISO 8601 date as aware UTC, None if it is none; without a zone it is UTC already."""
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Draft:
    """The pieces of one entry; text is plain already, the URL may be relative to `base`."""

    base: str
    title: str = ""
    summary: str = ""
    url: str | None = None
    guid: str | None = None
    published_at: datetime | None = None
    outlet: str | None = None


def _web_url(draft: Draft) -> str | None:
    is_plain = draft.url is not None and is_plain_web_url(draft.url)
    return draft.url if is_plain else absolute_web_url(draft.base, draft.url)


@dataclass(slots=True)
class EntryList:
    """Collects a feed's entries in order, and what was odd about them."""

    now: datetime
    entries: list[Entry] = field(default_factory=list)
    dropped: int = 0
    dates_ignored: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.entries) >= MAX_ENTRIES

    def add(self, draft: Draft) -> None:
        """Keep the entry if it says anything; without a title its summary's beginning is one."""
        title = tidy(draft.title, limit=MAX_TITLE)
        summary = cut_boilerplate(tidy(draft.summary, limit=MAX_SUMMARY))
        if not (title or summary):
            self.dropped += 1
            return
        self.entries.append(
            Entry(
                title=title or tidy(summary, limit=_TITLE_FROM_SUMMARY),
                summary=summary,
                url=_web_url(draft),
                guid=tidy(draft.guid or "", limit=_MAX_GUID) or None,
                published_at=self._plausible(draft.published_at),
                outlet=tidy(draft.outlet or "", limit=_MAX_OUTLET) or None,
            )
        )

    def notes(self) -> tuple[str, ...]:
        """What an operator may want to know, one sentence each."""
        notes = []
        if self.dropped:
            notes.append(f"{self.dropped} entries without title and text were left out")
        if self.dates_ignored:
            notes.append(f"{self.dates_ignored} dates before 1990 or in the future were ignored")
        if self.is_full:
            notes.append(f"entries after the first {MAX_ENTRIES} were left out")
        return tuple(notes)

    def _plausible(self, moment: datetime | None) -> datetime | None:
        if moment is None or _EARLIEST <= moment <= self.now + _AHEAD:
            return moment
        self.dates_ignored += 1
        return None
