"""The outbox drained by itself, without a poll: what waits is sent, nothing is decided; no Prefect."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flows.assemble import default_channel, operator_channel, outlets_of
from flows.chosen import alert_policy
from flows.feeds.options import PollOptions
from flows.publish import publish_history
from flows.report import RunReport
from flows.run import MonitorOptions, MonitorRun
from flows.tell import deliver_outbox
from storage import alerts, runs
from storage.database import Database
from storage.folder import history_path, lock_data_folder
from tocsin.logging import logging_run
from tocsin.settings import Settings

FLOW = "deliver"


def drain_outbox(settings: Settings, *, run_id: str, clock: Callable[[], datetime]) -> RunReport:
    """Send what waits, as the end of a run of `monitor` does; where nothing waits, nothing is recorded.

    Raises:
        StorageBusy: a run works in the data folder (it drains the outbox itself).
        StorageError: the history cannot be opened.
    """
    with logging_run(run_id), lock_data_folder(settings.data):
        run = _assemble(settings, run_id, clock)
        if _is_empty(run.db):
            return run.report
        run.db.change(lambda con: runs.start_run(con, run_id, FLOW, now=clock()))
        deliver_outbox(run)
        report = run.report.to_dict()
        run.db.change(lambda con: runs.finish_run(con, run_id, "completed", report=report, now=clock()))
        publish_history(run)
        return run.report


def _assemble(settings: Settings, run_id: str, clock: Callable[[], datetime]) -> MonitorRun:
    options = MonitorOptions(
        feeds=(),
        topics=None,
        channel=default_channel(settings),
        operator_channel=operator_channel(settings),
        poll=PollOptions(allow_networks=settings.allow_networks),
        policy=alert_policy(settings),
    )
    outlet_for = outlets_of(settings, dry_run=False)
    db = Database(history_path(settings.data))
    return MonitorRun(db=db, options=options, outlet_for=outlet_for, clock=clock, run_id=run_id)


def _is_empty(db: Database) -> bool:
    """Tell whether nothing at all waits; there may be no history yet."""
    if db.path is None or not db.path.exists():
        return True
    with db.read() as con:
        counts = alerts.outbox_counts(con)
    return not any(count for state, count in counts.items() if state != "delivered")
