"""The `digest` flow: one message per channel about the last day or week."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from prefect import flow

from flows.monitor import name_run
from flows.send_digest import DigestReport, DigestRequest, send_digests
from tocsin.settings import load_settings


@flow(name="digest", persist_result=False)
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
    return send_digests(
        load_settings(data=data),
        DigestRequest(kind=kind, channel=channel, dry_run=dry_run),
        run_id=name_run(),
    )
