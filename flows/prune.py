"""The `prune` flow: what is older than an age goes, on a schedule."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow

from flows.monitor import name_run
from flows.retention import prune_history, read_order
from flows.under_prefect import named, settings_of_run, writing
from storage.database import Database
from storage.folder import history_path, lock_data_folder
from storage.prune import Kind
from tocsin.errors import SettingsError
from tocsin.logging import logging_run


@flow(name="prune", flow_run_name=named("prune"), timeout_seconds=4 * 3600, persist_result=False)
def prune(
    older_than: str | None = None,
    keep_matches: bool = False,
    what: list[Kind] | None = None,
    data: Path | None = None,
) -> dict[str, Any]:
    """Remove what is older than an age; what was seen, told or labelled stays, and trends keep their counts.

    Args:
        older_than: Age such as 400d, 60w or 2y, at least 92d. Empty: TOCSIN_PRUNE_OLDER_THAN.
        keep_matches: Keep articles that matched a topic.
        what: What goes. Empty: articles, superseded scores, fetches and decisions that did not ring.
        data: Data folder. Empty: TOCSIN_DATA, else data/.
    """
    settings, run_id, now = settings_of_run(data), name_run(), datetime.now(UTC)
    age = older_than or settings.prune_older_than
    if age is None:
        raise SettingsError("TOCSIN_PRUNE_OLDER_THAN is not set, and no age was given: nothing is pruned")
    order = read_order(age, now, what=what or (), keep_matches=keep_matches)
    with writing(), logging_run(run_id), lock_data_folder(settings.data):
        report = prune_history(Database(history_path(settings.data)), order, run_id=run_id, now=now)
    return report.to_dict()
