"""Lanes: one channel's waiting alerts in order, and which of them go into the next message. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from flows.alerts.compose import Message, compose_message
from flows.alerts.compose_list import compose_list, take_listed
from flows.alerts.decide import alert_order
from flows.alerts.outlet import Outlet
from tocsin.types import Alert


@dataclass
class Lane:
    """One channel's alerts in order, and when the next step may be taken.

    `is_listed`: so many waited that they go out as lists, or several for the end of quiet hours.
    """

    channel: str
    outlet: Outlet
    queue: list[Alert]
    ready_at: datetime
    troubles: int = 0
    is_listed: bool = False

    def next_batch(self) -> tuple[Alert, ...]:
        """Return the alerts of the next message: the oldest, or as many as one list holds."""
        return take_listed(self.queue) if self.is_listed else tuple(self.queue[:1])

    def compose(self, batch: tuple[Alert, ...], *, now: datetime) -> Message:
        """Compose the message of a batch as this lane's outlet shows it."""
        return compose_batch(
            batch,
            now=now,
            tune_url=getattr(self.outlet, "tune_url", None),
            has_buttons=getattr(self.outlet, "has_buttons", False),
        )

    def tie_thread(self, first: Alert, message_ts: str) -> None:
        """Put the waiting developments of a story that was told just now into the thread of that message."""
        if first.story_id is not None and first.cause == "story":
            self.queue = [
                replace(alert, thread_ts=message_ts)
                if alert.story_id == first.story_id and alert.cause != "story"
                else alert
                for alert in self.queue
            ]

    def replace_alerts(self, changed: Iterable[Alert]) -> None:
        """Put changed alerts where they stood."""
        by_id = {alert.alert_id: alert for alert in changed}
        self.queue = [by_id.get(alert.alert_id, alert) for alert in self.queue]

    def remove_alerts(self, alerts: Iterable[Alert]) -> None:
        """Take alerts off the lane."""
        gone = {alert.alert_id for alert in alerts}
        self.queue = [alert for alert in self.queue if alert.alert_id not in gone]


def make_lanes(alerts: Iterable[Alert], outlet_for: Callable[[str], Outlet], now: datetime) -> list[Lane]:
    """Sort alerts into lanes by channel, each in the order in which people should hear of them."""
    lanes: dict[str, Lane] = {}
    for alert in sorted(alerts, key=alert_order):
        if alert.channel not in lanes:
            lanes[alert.channel] = Lane(alert.channel, outlet_for(alert.channel), [], now)
        lane = lanes[alert.channel]
        lane.queue.append(alert)
        if alert.state == "sending":  # the crash may have been a moment ago
            lane.ready_at = now + lane.outlet.settle
    for lane in lanes.values():
        above = lane.outlet.list_above
        held = sum(alert.hold_until is not None for alert in lane.queue)
        lane.is_listed = above is not None and (len(lane.queue) > above or held > 1)
    return list(lanes.values())


def compose_batch(
    batch: tuple[Alert, ...], *, now: datetime, tune_url: str | None = None, has_buttons: bool = False
) -> Message:
    """Compose the message of a batch; a list shows neither links to tune nor buttons."""
    if len(batch) > 1:
        return compose_list(batch, now=now)
    return compose_message(batch[0], now=now, tune_url=tune_url, has_buttons=has_buttons)
