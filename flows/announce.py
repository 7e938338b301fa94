"""Which events a run is worth: one that it completed, and a bounded number on what needs somebody. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flows.feeds.urls import without_credentials
from flows.report import RunReport
from tocsin.types import FeedWarning

RUN_COMPLETED = "tocsin.run.completed"
ALERT_PARKED = "tocsin.alert.parked"
FEED_DIED = "tocsin.feed.died"
FEED_SILENT = "tocsin.feed.silent"
MONITORING_STOPPED = "tocsin.monitoring.stopped"

# So many feeds of a run get an event of their own; a network that is down would kill them all at once.
MOST_FEEDS = 20
_MOST_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class Event:
    """Something that others may react to; `subject` is what it is about."""

    name: str
    subject: str
    payload: dict[str, Any]


def events_of(report: RunReport, warned: Sequence[FeedWarning]) -> Iterator[Event]:
    """Give the events of a run that completed: at most two, and one a feed for the first warned of."""
    if report.dry_run:
        return
    for warning in warned[:MOST_FEEDS]:
        name = FEED_SILENT if warning.kind == "silent" else FEED_DIED
        url = without_credentials(warning.feed_url)
        payload = {"feed": url, "kind": warning.kind, "since": warning.since.isoformat()}
        yield Event(name, f"feed.{url}", {**payload, "message": warning.message, "warned": len(warned)})
    yield from parked_alerts(report)
    yield Event(RUN_COMPLETED, "monitor", _counts(report))


def parked_alerts(report: RunReport) -> Iterator[Event]:
    """Give one event where a channel did not take alerts; what waits for quiet hours to end is not parked."""
    if report.delivery_errors:
        problems = report.delivery_errors[:_MOST_PROBLEMS]
        left = {"pending": report.alerts.pending, "failed": report.alerts.failed, "problems": problems}
        yield Event(ALERT_PARKED, "outbox", left)


def _counts(report: RunReport) -> dict[str, Any]:
    return {
        "feeds": report.feeds,
        "fetched": report.fetched,
        "not_modified": report.not_modified,
        "failed": report.failed,
        "new_articles": report.new_articles,
        "alerts_decided": report.alerts.decided,
        "alerts_delivered": report.alerts.delivered,
        "succeeded": report.succeeded,
    }
