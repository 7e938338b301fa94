"""The last step of a run: publish what it changed, for everyone who asks the history."""

from __future__ import annotations

import logging

from flows.run import MonitorRun
from storage.publish import publish
from tocsin.errors import StorageError

log = logging.getLogger(__name__)


def publish_history(run: MonitorRun) -> None:
    """Publish the history beside its file; dry runs and histories in memory have nobody to publish for.

    What cannot be published now (a full disk, a read-only folder) is reported and does not fail the run: it
    is stored, readers keep what was published before, and the next run publishes both.
    """
    if run.report.dry_run or run.db.path is None:
        return
    with run.report.timing("publish"):
        try:
            publish(run.db, now=run.clock())
        except StorageError as error:
            run.report.publish_error = str(error)
            log.warning("history.publish_failed error=%s", error)
