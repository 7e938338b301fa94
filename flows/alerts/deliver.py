"""Drains the outbox so that every alert arrives exactly once; knows neither Slack nor the database.

An alert is recorded as `sending` before it is sent. While that is all we know of it (a crash, or no answer),
it may have arrived: it leaves `sending` only when its channel says whether it holds it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from flows.alerts.compose import compose_message
from flows.alerts.decide import alert_order
from flows.alerts.outlet import MESSAGE_FAULTS, RATE_LIMITED, Outlet
from tocsin.errors import DeliveryDelayed, DeliveryError, DeliveryRefused, DeliveryUncertain
from tocsin.types import Alert, AlertState, Delivery

log = logging.getLogger(__name__)

# Troubles in a row on one channel before it is left to a later run.
MAX_TROUBLES = 4
# Our clock and the outlet's may differ; history is asked a little further back.
CLOCK_SKEW = timedelta(hours=1)
REFUSED_PAUSE = timedelta(minutes=5)
LONGEST_REFUSED_PAUSE = timedelta(hours=12)
_FIRST_PAUSE = timedelta(seconds=2)


class Outbox(Protocol):
    """Alerts decided but not delivered. Each call is one transaction, durable when it returns.

    One process at a time may deliver from an outbox.
    """

    def load_due(self, now: datetime, /) -> list[Alert]:
        """Return alerts that are pending, sending or failed and whose `retry_at`, if any, has come."""

    def record(self, delivery: Delivery, /) -> None:
        """Store an attempt and give the alert its state, error and `retry_at` (None clears them).

        An alert's `attempts` grow by one whenever it becomes `sending` from another state.
        """


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a run of delivery came to, in alerts.

    `pending` stay in the outbox for a later run; `uncertain` of these may have arrived already. `failed` were
    refused and stay too. `problems` are messages for the operator, each once.
    """

    delivered: int = 0
    pending: int = 0
    failed: int = 0
    uncertain: int = 0
    problems: tuple[str, ...] = ()


def deliver_alerts(
    outbox: Outbox,
    outlet_for: Callable[[str], Outlet],
    *,
    clock: Callable[[], datetime],
    wait: Callable[[float], None],
    max_wait: timedelta,
    on_delivered: Callable[[Alert], None] | None = None,
) -> DeliveryReport:
    """Send the alerts that are due, oldest first in every channel, and record what came of each.

    `outlet_for` gives the outlet of a channel, one object for all channels behind one service. `wait` takes
    seconds; `max_wait` is what a run may spend on waiting for a slow or failing outlet (its usual pace is not
    counted). Outlets' errors become records, never exceptions; if anything else is raised, the outbox is as
    after a crash and the next run carries on.
    """
    run = _Run(outbox, clock, wait, max_wait, on_delivered)
    run.drain(_make_lanes(outbox.load_due(clock()), outlet_for, clock()))
    return run.report()


@dataclass
class _Lane:
    """One channel's alerts in order, and when the next step may be taken."""

    channel: str
    outlet: Outlet
    queue: list[Alert]
    ready_at: datetime
    troubles: int = 0


def _make_lanes(alerts: Iterable[Alert], outlet_for: Callable[[str], Outlet], now: datetime) -> list[_Lane]:
    lanes: dict[str, _Lane] = {}
    for alert in sorted(alerts, key=alert_order):
        if alert.channel not in lanes:
            lanes[alert.channel] = _Lane(alert.channel, outlet_for(alert.channel), [], now)
        lane = lanes[alert.channel]
        lane.queue.append(alert)
        if alert.state == "sending":  # the crash may have been a moment ago
            lane.ready_at = now + lane.outlet.settle
    return list(lanes.values())


@dataclass
class _Run:
    """The state of one run of delivery."""

    outbox: Outbox
    clock: Callable[[], datetime]
    wait: Callable[[float], None]
    budget: timedelta
    on_delivered: Callable[[Alert], None] | None
    lanes: list[_Lane] = field(default_factory=list)
    delivered: int = 0
    left: dict[str, AlertState] = field(default_factory=dict)
    problems: dict[str, None] = field(default_factory=dict)

    def report(self) -> DeliveryReport:
        states = list(self.left.values())
        return DeliveryReport(
            delivered=self.delivered,
            pending=len(states) - states.count("failed"),
            failed=states.count("failed"),
            uncertain=states.count("sending"),
            problems=tuple(self.problems),
        )

    def drain(self, lanes: list[_Lane]) -> None:
        self.lanes = lanes
        while lanes := [lane for lane in lanes if lane.queue]:
            now = self.clock()
            lane = min(lanes, key=lambda lane: (max(lane.ready_at, now), alert_order(lane.queue[0])))
            self._wait_for(lane, now)
            if any(alert.state == "sending" for alert in lane.queue):
                self._reconcile(lane)
            else:
                self._send(lane)

    def _wait_for(self, lane: _Lane, now: datetime) -> None:
        pause = lane.ready_at - now
        if pause <= timedelta(0):
            return
        if lane.troubles:
            self.budget -= pause
        self.wait(pause.total_seconds())

    # -- sending

    def _send(self, lane: _Lane) -> None:
        alert = lane.queue[0]
        message = compose_message(alert, now=self.clock())
        self._record(alert, "sending")
        try:
            message_ts = lane.outlet.send(lane.channel, message)
        except DeliveryDelayed as error:
            self._delay(lane, error)
        except DeliveryUncertain as error:
            self._doubt(lane, error)
        except DeliveryRefused as error:
            self._refuse(lane, error)
        else:
            self._finish(lane, alert, message_ts)
            lane.ready_at = self.clock() + lane.outlet.pace

    def _finish(self, lane: _Lane, alert: Alert, message_ts: str) -> None:
        self._record(alert, "delivered", message_ts=message_ts)
        lane.queue.remove(alert)
        lane.troubles = 0
        self.delivered += 1
        log.info("alert.delivered alert=%s channel=%s", alert.alert_id, alert.channel)
        if self.on_delivered:
            self.on_delivered(alert)

    def _delay(self, lane: _Lane, error: DeliveryDelayed) -> None:
        """Keep the head as pending: it was certainly not accepted."""
        self._record(lane.queue[0], "pending", error=error)
        self._postpone(lane, error, error.retry_after)

    def _doubt(self, lane: _Lane, error: DeliveryUncertain) -> None:
        """Keep the head as sending, to be looked for once it can no longer be on its way."""
        log.warning("alert.doubted alert=%s code=%s", lane.queue[0].alert_id, error.code)
        lane.queue[0] = replace(lane.queue[0], state="sending")
        self._record(lane.queue[0], "sending", error=error)
        lane.troubles += 1
        if lane.troubles > MAX_TROUBLES:
            self._give_up(lane, error, self._pause_after(lane))
        else:
            lane.ready_at = self.clock() + max(lane.outlet.settle, lane.outlet.pace)

    def _refuse(self, lane: _Lane, error: DeliveryRefused) -> None:
        """Fail the head, or the whole channel, until a person acts.

        A channel is tried again soon, with one post, so that it recovers in order once it is mended.
        """
        head = lane.queue[0]
        log.warning("alert.refused alert=%s channel=%s code=%s", head.alert_id, head.channel, error.code)
        if error.code in MESSAGE_FAULTS:
            pause = min(REFUSED_PAUSE * (1 << min(head.attempts, 8)), LONGEST_REFUSED_PAUSE)
            self._leave(lane, [head], "failed", error, self.clock() + pause)
        else:
            self._leave(lane, list(lane.queue), "failed", error, self.clock() + REFUSED_PAUSE)
        lane.ready_at = self.clock() + lane.outlet.pace

    # -- reconciling

    def _reconcile(self, lane: _Lane) -> None:
        doubtful = [alert for alert in lane.queue if alert.state == "sending"]
        oldest = min(alert.decided_at for alert in doubtful) - CLOCK_SKEW
        try:
            found = lane.outlet.find_delivered(lane.channel, {alert.alert_id for alert in doubtful}, oldest)
        except DeliveryDelayed as error:
            self._postpone(lane, error, error.retry_after)
        except DeliveryUncertain as error:
            self._postpone(lane, error, self._pause_after(lane))
        except DeliveryRefused as error:
            self._set_aside(lane, doubtful, error)
        else:
            self._clear_doubt(lane, doubtful, found)

    def _clear_doubt(self, lane: _Lane, doubtful: list[Alert], found: dict[str, str]) -> None:
        for alert in doubtful:
            log.info("alert.reconciled alert=%s found=%s", alert.alert_id, alert.alert_id in found)
            if alert.alert_id in found:
                self._finish(lane, alert, found[alert.alert_id])
            else:
                lane.queue[lane.queue.index(alert)] = replace(alert, state="pending")

    def _set_aside(self, lane: _Lane, doubtful: list[Alert], error: DeliveryRefused) -> None:
        """Leave doubtful alerts in `sending`, neither doubled nor lost: the channel may not be asked."""
        text = (
            f"{error}; until then, {len(doubtful)} alerts that may have arrived are kept and not sent again"
        )
        log.warning("alert.history_refused channel=%s alerts=%d %s", lane.channel, len(doubtful), text)
        told = DeliveryRefused(error.code, text)
        self._leave(lane, doubtful, "sending", told, self.clock() + REFUSED_PAUSE)

    # -- waiting and giving up

    def _pause_after(self, lane: _Lane) -> timedelta:
        return _FIRST_PAUSE * (1 << min(lane.troubles, MAX_TROUBLES))

    def _postpone(self, lane: _Lane, error: DeliveryError, pause: timedelta) -> None:
        lane.troubles += 1
        if lane.troubles > MAX_TROUBLES or pause > self.budget:
            self._give_up(lane, error, pause)
        else:
            lane.ready_at = self.clock() + max(pause, lane.outlet.pace)

    def _give_up(self, lane: _Lane, error: DeliveryError, pause: timedelta) -> None:
        """Leave a channel to a later run, and all of its outlet's unless the trouble is the channel's own."""
        retry_at = self.clock() + pause
        for other in self.lanes:
            if other is lane or (other.outlet is lane.outlet and error.code != RATE_LIMITED):
                log.warning(
                    "channel.postponed channel=%s alerts=%d code=%s",
                    other.channel,
                    len(other.queue),
                    error.code,
                )
                self._leave(other, list(other.queue), "pending", error, retry_at)

    def _leave(
        self, lane: _Lane, alerts: list[Alert], state: AlertState, error: DeliveryError, retry_at: datetime
    ) -> None:
        """Record why alerts stay in the outbox and take them off the lane; doubt is never recorded away.

        Latest first: after a crash half-way, the next run begins with the oldest.
        """
        self.problems[str(error)] = None
        for alert in reversed(alerts):
            kept = "sending" if alert.state == "sending" else state
            self._record(alert, kept, error=error, retry_at=retry_at)
            self.left[alert.alert_id] = kept
        lane.queue = [alert for alert in lane.queue if alert not in alerts]

    def _record(
        self,
        alert: Alert,
        state: AlertState,
        *,
        message_ts: str | None = None,
        error: DeliveryError | None = None,
        retry_at: datetime | None = None,
    ) -> None:
        self.outbox.record(
            Delivery(
                alert_id=alert.alert_id,
                attempted_at=self.clock(),
                state=state,
                message_ts=message_ts,
                error=None if error is None else str(error),
                retry_at=retry_at,
            )
        )
