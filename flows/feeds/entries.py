"""From the pieces that a format's parser found to entries: the same rules for every format."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from flows.feeds.text import MAX_SUMMARY, MAX_TITLE, tidy
from flows.feeds.urls import absolute_web_url
from tocsin.types import Entry

MAX_ENTRIES = 2_000
_MAX_GUID = 1_000
_MAX_OUTLET = 200
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=2)
_TITLE_FROM_SUMMARY = 120


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
        summary = tidy(draft.summary, limit=MAX_SUMMARY)
        if not (title or summary):
            self.dropped += 1
            return
        self.entries.append(
            Entry(
                title=title or tidy(summary, limit=_TITLE_FROM_SUMMARY),
                summary=summary,
                url=absolute_web_url(draft.base, draft.url),
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
