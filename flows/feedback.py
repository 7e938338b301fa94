"""Reads what people said of alerts (reactions) back into the history as labels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flows.run import MonitorRun
from storage.database import Database
from storage.labels import record_ballots, voted_channels
from tocsin.errors import DeliveryError
from tocsin.types import Ballot

log = logging.getLogger(__name__)

# Channels asked in one reading, the busiest first; each costs a call or a few.
MAX_CHANNELS = 20

ReadBallots = Callable[[str, datetime], Iterable[Ballot]]


@dataclass(slots=True)
class FeedbackReport:
    """What a reading brought: alerts looked at, labels added and taken back, and channels that failed."""

    channels: int = 0
    alerts: int = 0
    added: int = 0
    removed: int = 0
    problems: list[str] = field(default_factory=list)


def read_feedback(run: MonitorRun) -> None:
    """Read reactions of the last days; a failure is logged and nothing else: the next run reads them too."""
    if run.read_ballots is None or not run.options.feedback_days:
        return
    with run.report.timing("feedback"):
        found = sync_labels(run.db, run.read_ballots, days=run.options.feedback_days, now=run.clock())
    run.report.labels = found.added + found.removed


def sync_labels(db: Database, read_ballots: ReadBallots, *, days: int, now: datetime) -> FeedbackReport:
    """Make the labels of the alerts of the last `days` what people's reactions say now.

    A channel that cannot be read to its end leaves its labels as they were.
    """
    found, since = FeedbackReport(), now - timedelta(days=days)
    with db.read() as con:
        channels = voted_channels(con, since)[:MAX_CHANNELS]
    for channel in channels:
        try:
            ballots = list(read_ballots(channel, since))
        except DeliveryError as error:
            log.warning("feedback.postponed channel=%s code=%s", channel, error.code)
            found.problems.append(str(error))
            continue
        _record(db, ballots, found, now)
    log.info("feedback.read channels=%d added=%d removed=%d", found.channels, found.added, found.removed)
    return found


def _record(db: Database, ballots: list[Ballot], found: FeedbackReport, now: datetime) -> None:
    found.channels += 1
    found.alerts += len(ballots)
    if ballots:
        added, removed = db.change(lambda con: record_ballots(con, ballots, now))
        found.added += added
        found.removed += removed
