"""The `digest` flow: one message per channel about the last day or week."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Literal

from prefect import flow
from prefect.context import FlowRunContext

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
        run_id=_run_id(),
    )


def _run_id() -> str:
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        return str(context.flow_run.id)
    return str(uuid.uuid4())
