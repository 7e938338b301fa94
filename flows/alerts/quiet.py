"""Quiet hours on people's clocks: when nothing may ring, and when that ends; and where a day begins. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_SATURDAY = 5
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of each day (over midnight if the end is not later than the start) and weekends, in a time zone.

    Times are of the wall clock. Where daylight saving skips or repeats one, RFC 5545 (3.3.5) is followed: a
    skipped time counts by the offset before the change, and of a repeated one the first is meant.
    """

    zone: tzinfo
    hours: tuple[time, time] | None = None
    weekends: bool = False

    def until(self, now: datetime) -> datetime | None:
        """Return when the quiet time that holds `now` ends (UTC); None if it is not quiet.

        Quiet times that touch or overlap are one. Whole days are quiet only at weekends, so there is an end.
        """
        moment = now
        while (end := self._end_of(moment)) is not None:
            moment = end
        return None if moment is now else moment

    def _end_of(self, moment: datetime) -> datetime | None:
        """Return the latest end of the spans that hold a moment; they began at most two days ago."""
        today = moment.astimezone(self.zone).date()
        spans = [span for back in range(3) for span in self._spans_from(today - back * _DAY)]
        return max((end for start, end in spans if start <= moment < end), default=None)

    def _spans_from(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        if self.weekends and day.weekday() == _SATURDAY:
            yield start_of_day(day, self.zone), start_of_day(day + 2 * _DAY, self.zone)
        if self.hours is not None:
            start, end = self.hours
            yield _at(day, start, self.zone), _at(day if end > start else day + _DAY, end, self.zone)


def start_of_day(day: date | datetime, zone: tzinfo) -> datetime:
    """Return when a day begins in a time zone (UTC); of a moment, the day that holds it there."""
    if isinstance(day, datetime):
        day = day.astimezone(zone).date()
    return _at(day, time(0), zone)


def _at(day: date, wall: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, wall, tzinfo=zone).astimezone(UTC)
