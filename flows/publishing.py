"""The `publish` flow: publish what is stored, without a run of `monitor`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from flows.monitor import name_run
from flows.show_trends import show_trends
from flows.under_prefect import named, settings_of_run, writing
from storage.database import Database
from storage.folder import history_path, lock_data_folder
from storage.publish import publish as publish_history
from tocsin.logging import logging_run


@flow(name="publish", flow_run_name=named("publish"), timeout_seconds=4 * 3600, persist_result=False)
def publish(
    full: Annotated[bool, Field(title="Write everything anew")] = False, data: Path | None = None
) -> dict[str, Any]:
    """Publish what changed in the history; a second time writes nothing. Every run of `monitor` does it too.

    Args:
        full: Write everything anew, whatever was published before.
        data: Data folder. Empty: TOCSIN_DATA, else data/.
    """
    settings, now = settings_of_run(data), datetime.now(UTC)
    db = Database(history_path(settings.data))
    db.require_history()
    with writing(), logging_run(name_run()), lock_data_folder(settings.data):
        done = publish_history(db, now=now, full=full)
    show_trends(settings, now=now)
    return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(done).items()}
