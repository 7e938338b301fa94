"""The `rescore` flow: apply new or changed topics to all history, without alerting anybody."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from prefect import flow

from flows.monitor import name_run
from flows.rescoring import RescoreRequest, rescore_history
from flows.under_prefect import named, settings_of_run, writing
from models.choose import open_encoder
from storage.database import Database
from storage.folder import history_path, lock_data_folder
from tocsin.logging import logging_run
from tocsin.types import Topic


@flow(name="rescore", flow_run_name=named("rescore"), timeout_seconds=4 * 3600, persist_result=False)
def rescore(
    topics: list[Topic] | None = None,
    names: list[str] | None = None,
    since: date | None = None,
    by_vectors: bool = False,
    data: Path | None = None,
) -> dict[str, Any]:
    """Score all stored articles for the topics anew, from their stored embeddings; nobody is alerted.

    Args:
        topics: Topics to watch from now on. Empty: those in use.
        names: Names of the topics to rescore. Empty: all of them.
        since: Only articles first seen from this day on (UTC). Empty: all.
        by_vectors: Read no texts: faster, and less exact.
        data: Data folder. Empty: TOCSIN_DATA, else data/.
    """
    settings, run_id = settings_of_run(data), name_run()
    request = RescoreRequest(tuple(topics) if topics else None, tuple(names or ()), since, by_vectors)
    with writing(), logging_run(run_id), lock_data_folder(settings.data):
        report = rescore_history(
            Database(history_path(settings.data)),
            request,
            load_encoder=lambda: open_encoder(
                settings.encoder, languages=settings.encoder_languages, setup=settings.encoder_setup
            ),
            run_id=run_id,
            clock=lambda: datetime.now(UTC),
        )
    return report.to_dict()
