"""The `watch_drift` flow: tell the operator once a week whether scores, languages or outlets moved."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow

from flows.assemble import operator_channel
from flows.drift import tell_week
from flows.monitor import name_run
from flows.under_prefect import named, settings_of_run, writing
from storage.database import Database
from storage.folder import history_path, lock_data_folder
from tocsin.logging import logging_run


@flow(name="watch_drift", flow_run_name=named("watch drift"), timeout_seconds=1800, persist_result=False)
def watch_drift(data: Path | None = None) -> str:
    """Compare last week's news with the four weeks before, and tell the operator; a second time does nothing.

    Args:
        data: Data folder. Empty: TOCSIN_DATA, else data/.
    """
    settings, run_id = settings_of_run(data), name_run()
    with writing(), logging_run(run_id), lock_data_folder(settings.data):
        told = tell_week(
            Database(history_path(settings.data)),
            channel=operator_channel(settings),
            run_id=run_id,
            now=datetime.now(UTC),
        )
    return told.message
