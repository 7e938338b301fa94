"""The `digest` flow: one message per channel about the last day or week."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from prefect import flow

from flows.monitor import name_run
from flows.send_digest import DigestReport, DigestRequest, send_digests
from flows.show_trends import show_trends
from flows.under_prefect import named, settings_of_run, writing


@flow(name="digest", flow_run_name=named("digest"), timeout_seconds=1800, persist_result=False)
def digest(
    kind: Literal["daily", "weekly"] = "weekly",
    channel: str | None = None,
    dry_run: bool = False,
    data: Path | None = None,
) -> DigestReport:
    """Send each channel one message about the last whole day or week: top stories per topic, counts, a chart.

    Args:
        kind: About the last whole day, or the last whole week (Monday to Sunday), UTC.
        channel: Only this channel. Empty: every channel that a topic alerts.
        dry_run: Print the digests instead of sending them, and keep nothing.
        data: Data folder. Empty: TOCSIN_DATA, else data/.
    """
    settings, request = settings_of_run(data), DigestRequest(kind=kind, channel=channel, dry_run=dry_run)
    with writing():
        report = send_digests(settings, request, run_id=name_run())
    show_trends(settings, now=datetime.now(UTC))
    return report
