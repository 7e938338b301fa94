"""The step that tells people: drains the outbox, and tells the operator what could not be delivered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from flows.alerts.deliver import DeliveryReport, deliver_alerts
from flows.alerts.hold import QuietOutbox
from flows.alerts.outlet import UpdatingOutlet
from flows.alerts.refresh import LONGEST, decide_updates, update_messages
from flows.display import current_display
from flows.run import MonitorRun
from flows.warn import compose_troubles, hold_warnings
from storage import alerts, troubles, updates
from tocsin.telling import UpdateStep
from tocsin.types import AlertState, ChannelTrouble

# What a run may spend on waiting for a slow or failing Slack; what is left stays in the outbox.
MAX_DELIVERY_WAIT = timedelta(minutes=2)
# The same for updates of messages, which nobody waits for.
MAX_UPDATE_WAIT = timedelta(seconds=30)


def deliver_outbox(run: MonitorRun) -> None:
    """Send what waits in the outbox, this run's alerts and earlier ones, and count what is left."""
    with run.report.timing("deliver"):
        waiting = _count_outbox(run)
        current_display().start_step("Sending alerts", sum(waiting.values()) - waiting["delivered"])
        reports = [_drain(run)]
        if _tell_operator(run, reports[0]):
            reports.append(_drain(run))
        left = _count_outbox(run)
        run.report.updated_messages = _update_told(run)
    run.report.alerts.delivered = sum(report.delivered for report in reports)
    run.report.alerts.pending = left["pending"] + left["sending"]
    run.report.alerts.failed = left["failed"]
    run.report.delivery_errors = list(dict.fromkeys(text for report in reports for text in report.problems))


def _drain(run: MonitorRun) -> DeliveryReport:
    display = current_display()
    return deliver_alerts(
        QuietOutbox(alerts.DuckOutbox(run.db), run.options.policy),
        run.outlet_for,
        clock=run.clock,
        wait=time.sleep,
        max_wait=MAX_DELIVERY_WAIT,
        on_delivered=lambda _: display.advance_step("Sending alerts"),
    )


def _update_told(run: MonitorRun) -> int:
    """Name the outlets that have a told story by now in its message, and return how many were updated.

    What is to be shown is recorded before it is, so a run that is killed leaves it to the next.
    """
    every, now = run.options.update_every, run.clock()
    if every is None:
        return 0
    with run.db.read() as con:
        told = updates.load_told_messages(con, now - LONGEST)
    due = [
        each
        for each in decide_updates(told, every=every, now=now)
        if isinstance(run.outlet_for(each.alert.channel), UpdatingOutlet)
    ]
    if not due:
        return 0
    _record(run, *(UpdateStep(each.alert.alert_id, now, "pending", each.outlets) for each in due))
    return update_messages(
        due,
        run.outlet_for,
        partial(_record, run),
        clock=run.clock,
        wait=time.sleep,
        max_wait=MAX_UPDATE_WAIT,
    )


def _record(run: MonitorRun, *steps: UpdateStep) -> None:
    run.db.change(lambda con: updates.record_updates(con, steps))


def _tell_operator(run: MonitorRun, report: DeliveryReport) -> Sequence[ChannelTrouble]:
    """Put what is newly wrong into the outbox, and return it; an episode is told once."""
    if not report.troubles and not report.worked:
        return ()
    now = run.clock()

    def record(con: Any) -> Sequence[ChannelTrouble]:
        fresh = troubles.record_troubles(con, run.run_id, report.troubles, report.worked, now)
        told = compose_troubles(fresh, channel=run.options.operator_channel, now=now)
        alerts.store_alerts(con, run.run_id, hold_warnings(told, run.options.policy, now))
        return fresh

    return run.db.change(record)


def _count_outbox(run: MonitorRun) -> dict[AlertState, int]:
    with run.db.read() as con:
        return alerts.outbox_counts(con)
