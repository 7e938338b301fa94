"""Runs of `monitor` one after the other, each when the next feed or alert is due; no cron, no worker."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from flows.feeds.schedule import LATEST
from tocsin.errors import SettingsError, TocsinError

log = logging.getLogger(__name__)

# Between the end of a run and the start of the next, so that a feed that is always due leaves air to breathe.
SHORTEST_PAUSE = timedelta(seconds=1)
# After a failed run; doubled with each further one, up to the limit.
FIRST_BACKOFF = timedelta(seconds=15)
LONGEST_BACKOFF = timedelta(minutes=10)

Wait = Callable[[timedelta], bool]


def next_run_at(due: Iterable[datetime | None], *, now: datetime, at_least_every: timedelta) -> datetime:
    """Say when to run next: when the first of `due` is, but not at once.

    Never later than `at_least_every` from now. None is due now, and so is a time further ahead than any that
    we plan.
    """
    moments = [moment if moment is not None and moment <= now + LATEST else now for moment in due]
    return max(min([*moments, now + at_least_every]), now + SHORTEST_PAUSE)


def backoff(failures: int) -> timedelta:
    """Give the pause after so many failed runs in a row."""
    return min(FIRST_BACKOFF * (1 << min(failures - 1, 16)), LONGEST_BACKOFF)


def serve_runs(
    run_once: Callable[[], object],
    load_due: Callable[[], Iterable[datetime | None]],
    *,
    wait: Wait,
    clock: Callable[[], datetime],
    at_least_every: timedelta,
) -> int:
    """Run until `wait` says to stop, and return how many runs failed.

    `wait` takes the time to wait and returns whether to go on. A run that fails is logged and tried again
    later: what it did not finish is in the history, so nothing is lost.

    Raises:
        SettingsError: from the first run, since nobody would see it later.
    """
    failures = failed = runs = 0
    pause = timedelta(0)
    while wait(pause):
        try:
            run_once()
            runs, failures = runs + 1, 0
            pause = next_run_at(load_due(), now=clock(), at_least_every=at_least_every) - clock()
        except TocsinError as error:
            if isinstance(error, SettingsError) and not runs:
                raise
            failures, failed = failures + 1, failed + 1
            pause = backoff(failures)
            log.error("serve.run_failed error=%s pause=%s", error, pause)  # noqa: TRY400  written to be read
        pause = max(pause, timedelta(0))
    log.info("serve.stopped runs=%d failed=%d", runs, failed)
    return failed
