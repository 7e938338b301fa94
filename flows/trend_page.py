"""Trends of four weeks as a page of Markdown, with a line of blocks a topic. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby

from flows.alerts.words import topic_in_words
from storage.trends import TrendDay

DAYS = 28
_BLOCKS = "▁▂▃▄▅▆▇█"
_WEEK = timedelta(days=7)


def trend_page(days: Sequence[TrendDay], *, today: date) -> str:
    """Give a table of topics, most news first, each with its line of corrected shares of coverage.

    `days` are by topic, oldest first. A gap in a line is a day that cannot be compared; lines are each to a
    scale of their own, so they show when a topic moved and not which has most.
    """
    topics = [_Row(topic, list(listed), today) for topic, listed in groupby(days, key=lambda day: day.topic)]
    if not topics:
        return "No trends yet: nothing was scored in the last four weeks."
    rows = [row.to_markdown() for row in sorted(topics, key=lambda row: -(row.now or 0.0))]
    head = ["| Topic | Four weeks | Now | A week before |", "|---|---|---|---|"]
    note = "Average of 7 days: share of scored articles that match, corrected for feeds that died or joined."
    return "\n".join([*head, *rows, "", note])


class _Row:
    """One topic's line; shares are from 0 to 1, None where they cannot be compared."""

    def __init__(self, topic: str, days: Sequence[TrendDay], today: date) -> None:
        self.topic = topic
        self._share = {day.day: day.corrected_share_7d for day in days}
        self._days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
        known = [day for day in self._days if self._share.get(day) is not None]
        self._last = known[-1] if known else None
        self.now = self._share[self._last] if self._last else None

    def to_markdown(self) -> str:
        before = self._share.get(self._last - _WEEK) if self._last else None
        cells = topic_in_words(self.topic), f"`{self._line()}`", _percent(self.now), _percent(before)
        return f"| {' | '.join(cells)} |"

    def _line(self) -> str:
        shares = [self._share.get(day) for day in self._days]
        top = max((share for share in shares if share is not None), default=0.0)
        return "".join(" " if share is None else _block(share, top) for share in shares)


def _block(share: float, top: float) -> str:
    return _BLOCKS[round((len(_BLOCKS) - 1) * share / top) if top else 0]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
