"""The `watch_runs` flow: tell the operator when no run of `monitor` has succeeded for too long."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from flows.announce import MONITORING_STOPPED
from flows.monitor import name_run
from flows.silence import Tools, tell_silence
from flows.under_prefect import announce, named, settings_of_run
from tocsin.logging import logging_run


@flow(name="watch_runs", flow_run_name=named("watch runs"), timeout_seconds=600, persist_result=False)
def watch_runs(
    max_age: Annotated[int, Field(title="Minutes without success", ge=1, le=10_080)] = 60,
    data: Path | None = None,
) -> dict[str, Any]:
    """Tell the operator's channel, once an episode, that no run of `monitor` succeeded for a while.

    It needs neither the history's lock nor the history, since one of them may be why.

    Args:
        max_age: A run must have succeeded within so many minutes.
        data: Data folder. Empty: TOCSIN_DATA, else data/.
    """
    settings = settings_of_run(data)
    tools = Tools(clock=lambda: datetime.now(UTC))
    with logging_run(name_run()):
        watch = tell_silence(settings, tools, max_age=timedelta(minutes=max_age))
    if watch.told:
        announce(MONITORING_STOPPED, "monitor", {"message": watch.text})
    return asdict(watch)
