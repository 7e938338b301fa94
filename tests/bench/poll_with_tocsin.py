"""One poll as a `monitor` run does it, but without Prefect, scoring and alerts.

Usage: poll_with_tocsin.py FOLDER URLS
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path


def main(folder: Path, urls: Path) -> None:
    """Poll every feed, due or not, in the run's own batches."""
    # Imported here, as in the command line: worker processes import this file again.
    from flows.feeds.options import PollOptions
    from flows.identify import identify_batch
    from flows.pipeline import begin_run, poll_batch, store_batch
    from flows.run import MonitorOptions, MonitorRun
    from storage.database import FILE_NAME, Database
    from tocsin.types import Feed

    options = MonitorOptions(
        feeds=tuple(Feed(url) for url in urls.read_text().split()),
        topics=None,
        channel="console",
        operator_channel="console",
        poll=PollOptions(allow_networks=(ip_network("127.0.0.0/8"),)),
        poll_all=True,
    )
    run = MonitorRun(
        db=Database(folder / FILE_NAME),
        options=options,
        outlet_for=_no_outlet,
        clock=lambda: datetime.now(UTC),
        run_id=datetime.now(UTC).isoformat(),
    )
    for batch in begin_run(run):
        poll_batch(run, batch)
        identify_batch(run, batch, now=run.clock())
        store_batch(run, batch)
    if run.report.failures:
        raise SystemExit(f"{len(run.report.failures)} feeds failed: {run.report.failures[0]}")


def _no_outlet(channel: str) -> None:
    raise AssertionError(f"nothing is told to {channel} here")


if __name__ == "__main__":
    from tocsin.tuning import relax_collection

    relax_collection()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
