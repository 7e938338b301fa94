"""Counts what Prefect itself takes of a run's processor time: all of the run's, less that of our own steps.

In the thread of the flow, the time outside of our functions is Prefect's; so is all that the threads do that
Prefect starts for its log, its events and its loops. Tasks run in the flow's thread.
"""

import functools
import threading
import time
from contextlib import contextmanager
from pathlib import Path

PREFECTS = ("GlobalEventLoopThread", "RunSyncEventLoopThread", "EventsWorkerThread", "APILogWorkerThread")
NAMES = ("open_run", "settings_of_run", "events_of")


class Account:
    """The processor seconds of our functions in the flow's thread, which `watch` has counted."""

    def __init__(self, module):
        self.ours = 0.0
        self._is_ours = False
        for name in NAMES:
            setattr(module, name, self._counted(getattr(module, name)))
        steps = module.run_steps
        module.run_steps = lambda run, *, wrap: steps(run, wrap=lambda step: wrap(self._counted(step)))

    @contextmanager
    def watch(self):
        """Count what is done here as ours; within another such, it is counted already."""
        if self._is_ours:
            yield
            return
        self._is_ours, began = True, time.thread_time()
        try:
            yield
        finally:
            self._is_ours = False
            self.ours += time.thread_time() - began

    def _counted(self, function):
        @functools.wraps(function)
        def counted(*arguments, **options):
            with self.watch():
                found = function(*arguments, **options)
            return _Counted(found, self) if hasattr(found, "__enter__") else found

        return counted


class _Counted:
    """A context whose beginning and end are ours."""

    def __init__(self, context, account):
        self._context, self._account = context, account

    def __enter__(self):
        with self._account.watch():
            return self._context.__enter__()

    def __exit__(self, *error):
        with self._account.watch():
            return self._context.__exit__(*error)


def background_seconds():
    """Give the processor seconds of Prefect's threads since they began."""
    return sum(_seconds(each.native_id) for each in threading.enumerate() if each.name in PREFECTS)


def _seconds(thread):
    nanoseconds = Path(f"/proc/self/task/{thread}/schedstat").read_text("ascii").split()[0]
    return int(nanoseconds) / 1e9
