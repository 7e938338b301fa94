"""Drains the outbox so that every alert arrives exactly once; knows neither Slack nor the database.

An alert is recorded as `sending` before it is sent. While that is all we know of it (a crash, or no answer),
it may have arrived: it leaves `sending` only when its channel says whether it holds it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from flows.alerts.decide import alert_order
from flows.alerts.lanes import Lane, make_lanes
from flows.alerts.outlet import MESSAGE_FAULTS, OUTLET_FAULTS, RATE_LIMITED, THREAD_FAULTS, Outlet
from tocsin.errors import DeliveryDelayed, DeliveryError, DeliveryRefused, DeliveryUncertain
from tocsin.types import Alert, AlertState, ChannelTrouble, Delivery

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
        """Return alerts that are pending, sending or failed and whose `retry_at`, if any, has come.

        None of a channel that another of its alerts holds (`Delivery.holds_channel`) until later.
        """

    def record(self, *deliveries: Delivery) -> None:
        """Store attempts, all or none; give each alert its state, error and `retry_at` (None clears them).

        An alert's `attempts` grow by one whenever it becomes `sending` from another state.
        """


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a run of delivery came to, in alerts.

    `pending` stay in the outbox for a later run; `uncertain` of these may have arrived already. `failed` were
    refused and stay too. `problems` say why, each once. `troubles` are for the operator; what `worked` holds
    are subjects whose trouble, if they were in one, is over.
    """

    delivered: int = 0
    pending: int = 0
    failed: int = 0
    uncertain: int = 0
    problems: tuple[str, ...] = ()
    troubles: tuple[ChannelTrouble, ...] = ()
    worked: frozenset[str] = frozenset()


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
    run.drain(make_lanes(outbox.load_due(clock()), outlet_for, clock()))
    return run.report()


@dataclass
class _Run:
    """The state of one run of delivery."""

    outbox: Outbox
    clock: Callable[[], datetime]
    wait: Callable[[float], None]
    budget: timedelta
    on_delivered: Callable[[Alert], None] | None
    lanes: list[Lane] = field(default_factory=list)
    delivered: int = 0
    left: dict[str, AlertState] = field(default_factory=dict)
    problems: dict[str, None] = field(default_factory=dict)
    troubles: dict[str, ChannelTrouble] = field(default_factory=dict)
    worked: set[str] = field(default_factory=set)

    def report(self) -> DeliveryReport:
        states = list(self.left.values())
        return DeliveryReport(
            delivered=self.delivered,
            pending=len(states) - states.count("failed"),
            failed=states.count("failed"),
            uncertain=states.count("sending"),
            problems=tuple(self.problems),
            troubles=tuple(self.troubles.values()),
            worked=frozenset(self.worked),
        )

    def drain(self, lanes: list[Lane]) -> None:
        self.lanes = lanes
        while lanes := [lane for lane in lanes if lane.queue]:
            now = self.clock()
            lane = min(lanes, key=lambda lane: (max(lane.ready_at, now), alert_order(lane.queue[0])))
            self._wait_for(lane, now)
            if any(alert.state == "sending" for alert in lane.queue):
                self._reconcile(lane)
            else:
                self._send(lane)

    def _wait_for(self, lane: Lane, now: datetime) -> None:
        pause = lane.ready_at - now
        if pause <= timedelta(0):
            return
        if lane.troubles:
            self.budget -= pause
        self.wait(pause.total_seconds())

    # -- sending

    def _send(self, lane: Lane) -> None:
        batch = lane.next_batch()
        message = lane.compose(batch, now=self.clock())
        self._record(batch, "sending")
        try:
            message_ts = lane.outlet.send(lane.channel, message)
        except DeliveryDelayed as error:
            self._delay(lane, batch, error)
        except DeliveryUncertain as error:
            self._doubt(lane, batch, error)
        except DeliveryRefused as error:
            self._refuse(lane, batch, error)
        else:
            self._finish(lane, batch, message_ts)
            self._note_outlet(lane)
            lane.ready_at = self.clock() + lane.outlet.pace

    def _finish(self, lane: Lane, alerts: Sequence[Alert], message_ts: str) -> None:
        self._record(alerts, "delivered", message_ts=message_ts)
        lane.remove_alerts(alerts)
        if len(alerts) == 1:
            lane.tie_thread(alerts[0], message_ts)
        lane.troubles = 0
        self.delivered += len(alerts)
        self.worked |= {f"channel:{lane.channel}", *(f"alert:{alert.alert_id}" for alert in alerts)}
        for alert in alerts:
            log.info("alert.delivered alert=%s channel=%s", alert.alert_id, alert.channel)
            if self.on_delivered:
                self.on_delivered(alert)

    def _note_outlet(self, lane: Lane) -> None:
        """Note that the outlet takes messages, and the promise that it cannot keep, if any."""
        name, weakness = lane.outlet.name, lane.outlet.weakness
        self.worked.add(f"outlet:{name}")
        promise = f"promise:{name}"
        if weakness is None:
            self.worked.add(promise)
        elif promise not in self.troubles:
            self.troubles[promise] = ChannelTrouble(promise, lane.channel, "promise", weakness)

    def _delay(self, lane: Lane, batch: Sequence[Alert], error: DeliveryDelayed) -> None:
        """Keep the batch as pending: it was certainly not accepted."""
        self._record(batch, "pending", error=error)
        self._postpone(lane, error, error.retry_after)

    def _doubt(self, lane: Lane, batch: Sequence[Alert], error: DeliveryUncertain) -> None:
        """Keep the batch as sending, to be looked for once it can no longer be on its way."""
        log.warning("alert.doubted alert=%s alerts=%d code=%s", batch[0].alert_id, len(batch), error.code)
        doubtful = [replace(alert, state="sending") for alert in batch]
        lane.replace_alerts(doubtful)
        self._record(doubtful, "sending", error=error)
        lane.troubles += 1
        if lane.troubles > MAX_TROUBLES:
            self._give_up(lane, error, self._pause_after(lane))
        else:
            pause = _FIRST_PAUSE * (1 << lane.troubles - 1)
            lane.ready_at = self.clock() + max(lane.outlet.settle, lane.outlet.pace, pause)

    def _refuse(self, lane: Lane, batch: Sequence[Alert], error: DeliveryRefused) -> None:
        """Fail the message, the channel or the whole outlet, until a person acts.

        A channel is tried again soon, with one post, so that it recovers in order once it is mended. A list
        that is refused for what is in it is sent as one message each instead, and a message whose thread is
        gone outside of it.
        """
        head = batch[0]
        log.warning("alert.refused alert=%s channel=%s code=%s", head.alert_id, head.channel, error.code)
        if head.thread_ts is not None and error.code in THREAD_FAULTS:
            self._record(batch, "pending", error=error)
            lane.replace_alerts([replace(head, thread_ts=None)])
        elif error.code not in MESSAGE_FAULTS:
            self._park(lane, error)
        elif len(batch) > 1:
            self._record(batch, "pending", error=error)
            lane.is_listed = False
        else:
            pause = min(REFUSED_PAUSE * (1 << min(head.attempts, 8)), LONGEST_REFUSED_PAUSE)
            self._blame(f"alert:{head.alert_id}", lane, error)
            self._leave(lane, [head], "failed", error, self.clock() + pause)
        lane.ready_at = self.clock() + lane.outlet.pace

    def _park(self, lane: Lane, error: DeliveryRefused) -> None:
        """Leave the channel until later, and all of its outlet's if they would be refused the same way."""
        is_outlets = error.code in OUTLET_FAULTS
        self._blame(f"outlet:{lane.outlet.name}" if is_outlets else f"channel:{lane.channel}", lane, error)
        retry_at = self.clock() + REFUSED_PAUSE
        for other in self.lanes:
            if other is lane or (is_outlets and other.outlet is lane.outlet):
                self._leave(other, list(other.queue), "failed", error, retry_at, holds_channel=True)

    def _blame(self, subject: str, lane: Lane, error: DeliveryError) -> None:
        self.troubles.setdefault(subject, ChannelTrouble(subject, lane.channel, error.code, str(error)))

    # -- reconciling

    def _reconcile(self, lane: Lane) -> None:
        doubtful = [alert for alert in lane.queue if alert.state == "sending"]
        oldest = min(alert.decided_at for alert in doubtful) - CLOCK_SKEW
        ids = {alert.alert_id for alert in doubtful}
        threads = {alert.thread_ts for alert in doubtful if alert.thread_ts is not None}
        try:
            found = lane.outlet.find_delivered(lane.channel, ids, oldest, threads=threads)
        except DeliveryDelayed as error:
            self._postpone(lane, error, error.retry_after)
        except DeliveryUncertain as error:
            self._postpone(lane, error, self._pause_after(lane))
        except DeliveryRefused as error:
            self._set_aside(lane, doubtful, error)
        else:
            self._clear_doubt(lane, doubtful, found)

    def _clear_doubt(self, lane: Lane, doubtful: list[Alert], found: dict[str, str]) -> None:
        self.worked.add(f"history:{lane.channel}")
        for alert in doubtful:
            log.info("alert.reconciled alert=%s found=%s", alert.alert_id, alert.alert_id in found)
        absent = [alert for alert in doubtful if alert.alert_id not in found]
        lane.replace_alerts(replace(alert, state="pending") for alert in absent)
        for message_ts in dict.fromkeys(found.values()):
            held = [alert for alert in doubtful if found.get(alert.alert_id) == message_ts]
            self._finish(lane, held, message_ts)

    def _set_aside(self, lane: Lane, doubtful: list[Alert], error: DeliveryRefused) -> None:
        """Leave doubtful alerts in `sending`, neither doubled nor lost: the channel may not be asked."""
        text = (
            f"{error}; until then, {len(doubtful)} alerts that may have arrived are kept and not sent again"
        )
        log.warning("alert.history_refused channel=%s alerts=%d %s", lane.channel, len(doubtful), text)
        told = DeliveryRefused(error.code, text)
        self._blame(f"history:{lane.channel}", lane, told)
        self._leave(lane, doubtful, "sending", told, self.clock() + REFUSED_PAUSE)

    # -- waiting and giving up

    def _pause_after(self, lane: Lane) -> timedelta:
        return _FIRST_PAUSE * (1 << min(lane.troubles, MAX_TROUBLES))

    def _postpone(self, lane: Lane, error: DeliveryError, pause: timedelta) -> None:
        lane.troubles += 1
        if lane.troubles > MAX_TROUBLES or pause > self.budget:
            self._give_up(lane, error, pause)
        else:
            lane.ready_at = self.clock() + max(pause, lane.outlet.pace)

    def _give_up(self, lane: Lane, error: DeliveryError, pause: timedelta) -> None:
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
                self._leave(other, list(other.queue), "pending", error, retry_at, holds_channel=True)

    def _leave(
        self,
        lane: Lane,
        alerts: list[Alert],
        state: AlertState,
        error: DeliveryError,
        retry_at: datetime,
        *,
        holds_channel: bool = False,
    ) -> None:
        """Record why alerts stay in the outbox and take them off the lane; doubt is never recorded away."""
        if not alerts:
            return
        self.problems[str(error)] = None
        kept: list[tuple[Alert, AlertState]] = [
            (alert, "sending" if alert.state == "sending" else state) for alert in alerts
        ]
        self.left |= {alert.alert_id: kept_state for alert, kept_state in kept}
        self.outbox.record(
            *(
                Delivery(alert.alert_id, self.clock(), kept_state, None, str(error), retry_at, holds_channel)
                for alert, kept_state in kept
            )
        )
        lane.remove_alerts(alerts)

    def _record(
        self,
        alerts: Sequence[Alert],
        state: AlertState,
        *,
        message_ts: str | None = None,
        error: DeliveryError | None = None,
    ) -> None:
        told, now = None if error is None else str(error), self.clock()
        self.outbox.record(
            *(
                Delivery(alert.alert_id, now, state, message_ts, told, outlets=1 + len(alert.also_in))
                if state == "sending" and error is None
                else Delivery(alert.alert_id, now, state, message_ts, told)
                for alert in alerts
            )
        )
