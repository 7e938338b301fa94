"""The `deliver` flow: send what waits in the outbox now, without polling a feed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow

from flows.announce import parked_alerts
from flows.drain import drain_outbox
from flows.monitor import name_run
from flows.under_prefect import announce, named, settings_of_run, writing


@flow(name="deliver", flow_run_name=named("deliver"), timeout_seconds=1800, persist_result=False)
def deliver(data: Path | None = None) -> dict[str, Any]:
    """Send the alerts that wait, as every run of `monitor` does at its end; where none waits, do nothing.

    Args:
        data: Data folder. Empty: TOCSIN_DATA, else data/.
    """
    settings = settings_of_run(data)
    with writing():
        report = drain_outbox(settings, run_id=name_run(), clock=lambda: datetime.now(UTC))
    for event in parked_alerts(report):
        announce(event.name, event.subject, event.payload)
    left = {"delivered": report.alerts.delivered, "pending": report.alerts.pending}
    return {**left, "failed": report.alerts.failed, "problems": report.delivery_errors}
