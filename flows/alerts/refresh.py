"""Brings delivered messages up to date when more outlets have their story: which ones (pure), and doing it.

Unlike a post, a change may be repeated without harm, so one that got no answer is simply made again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flows.alerts.lanes import Lane, make_lanes
from flows.alerts.outlet import UPDATE_FAULTS, Outlet, UpdatingOutlet
from tocsin.errors import DeliveryDelayed, DeliveryError, DeliveryRefused, DeliveryUncertain
from tocsin.telling import ToldMessage, UpdateStep

log = logging.getLogger(__name__)

# A story takes no new articles after so long, and nobody reads a message of last week again.
LONGEST = timedelta(days=7)
# In one channel and run: at one call a second, alerts of the next run should not wait for more.
MOST_AT_ONCE = 5
# After a refusal that a person can mend (a token, a scope), or while the outlet fails.
REFUSED_PAUSE = timedelta(hours=1)
FAILING_PAUSE = timedelta(minutes=5)
MAX_TROUBLES = 3
_FIRST_PAUSE = timedelta(seconds=2)

Record = Callable[[UpdateStep], None]


def decide_updates(told: Iterable[ToldMessage], *, every: timedelta, now: datetime) -> list[ToldMessage]:
    """Choose the messages to bring up to date now, those that waited longest first.

    One whose story has more outlets than it names, unless it was sent or updated less than `every` ago, is to
    be tried again later, is too old, or may not be changed any more. At most `MOST_AT_ONCE` for a channel.
    """
    due = [each for each in told if _is_due(each, every, now)]
    chosen, taken = list[ToldMessage](), Counter[str]()
    for each in sorted(due, key=lambda each: (each.shown_at, each.alert.alert_id)):
        taken[each.alert.channel] += 1
        if taken[each.alert.channel] <= MOST_AT_ONCE:
            chosen.append(each)
    return chosen


def _is_due(told: ToldMessage, every: timedelta, now: datetime) -> bool:
    return (
        told.state != "ended"
        and told.outlets > told.shown
        and now - told.told_at < LONGEST
        and now - told.shown_at >= every
        and (told.retry_at is None or told.retry_at <= now)
    )


def update_messages(
    due: Sequence[ToldMessage],
    outlet_for: Callable[[str], Outlet],
    record: Record,
    *,
    clock: Callable[[], datetime],
    wait: Callable[[float], None],
    max_wait: timedelta,
) -> int:
    """Show what is due, at the pace of each channel, and return how many messages were updated.

    `record` stores a step durably before it returns. `max_wait` is what may be spent on waiting for a slow or
    failing outlet. Outlets' errors become records, never exceptions.
    """
    told = {each.alert.alert_id: each for each in due}
    lanes = make_lanes((each.alert for each in due), outlet_for, clock())
    for lane in lanes:  # the channel may have got a post a moment ago
        lane.ready_at += lane.outlet.pace
    run = _Run(told, record, clock, wait, max_wait)
    run.drain(lanes)
    return run.updated


@dataclass
class _Run:
    """The state of one round of updates."""

    told: dict[str, ToldMessage]
    record: Record
    clock: Callable[[], datetime]
    wait: Callable[[float], None]
    budget: timedelta
    updated: int = field(default=0)

    def drain(self, lanes: list[Lane]) -> None:
        while lanes := [lane for lane in lanes if lane.queue]:
            now = self.clock()
            lane = min(lanes, key=lambda lane: max(lane.ready_at, now))
            if lane.ready_at > now:
                if lane.troubles:
                    self.budget -= lane.ready_at - now
                self.wait((lane.ready_at - now).total_seconds())
            self._update(lane)

    def _update(self, lane: Lane) -> None:
        (alert, *_), outlet = lane.queue, lane.outlet
        each = self.told[alert.alert_id]
        message = lane.compose((alert,), now=each.told_at)  # as it was sent, but for the outlets
        try:
            assert isinstance(outlet, UpdatingOutlet)  # noqa: S101  the caller chose such channels
            outlet.update(lane.channel, each.message_ts, message)
        except DeliveryRefused as error:
            self._refuse(lane, each, error)
        except DeliveryDelayed as error:
            self._postpone(lane, error, error.retry_after)
        except DeliveryUncertain as error:
            self._postpone(lane, error, _FIRST_PAUSE * (1 << lane.troubles))
        else:
            self.record(UpdateStep(alert.alert_id, self.clock(), "shown", each.outlets))
            log.info("message.updated alert=%s outlets=%d", alert.alert_id, each.outlets)
            self.updated += 1
            lane.troubles = 0
            lane.remove_alerts([alert])
            lane.ready_at = self.clock() + outlet.pace

    def _refuse(self, lane: Lane, each: ToldMessage, error: DeliveryRefused) -> None:
        """End the updates of a message that cannot be changed; else leave the channel until it is mended."""
        if error.code not in UPDATE_FAULTS:
            self._leave(lane, error, REFUSED_PAUSE)
            return
        alert = each.alert
        log.info("message.update_ended alert=%s code=%s", alert.alert_id, error.code)
        self.record(UpdateStep(alert.alert_id, self.clock(), "ended", each.outlets, str(error)))
        lane.remove_alerts([alert])
        lane.ready_at = self.clock() + lane.outlet.pace

    def _postpone(self, lane: Lane, error: DeliveryError, pause: timedelta) -> None:
        lane.troubles += 1
        if lane.troubles > MAX_TROUBLES or pause > self.budget:
            self._leave(lane, error, max(pause, FAILING_PAUSE))
        else:
            lane.ready_at = self.clock() + max(pause, lane.outlet.pace)

    def _leave(self, lane: Lane, error: DeliveryError, pause: timedelta) -> None:
        """Leave a channel's messages to a later run."""
        log.warning(
            "message.update_postponed channel=%s messages=%d code=%s",
            lane.channel,
            len(lane.queue),
            error.code,
        )
        now = self.clock()
        for alert in lane.queue:
            outlets = self.told[alert.alert_id].outlets
            self.record(UpdateStep(alert.alert_id, now, "pending", outlets, str(error), now + pause))
        lane.queue = []
