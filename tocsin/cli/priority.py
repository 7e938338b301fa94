"""Readers go after runs: on few processors somebody's question would otherwise delay every article."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

# Commands that only read what is published. With --live they hold the database, and had better be quick.
READERS = frozenset({"report", "search", "share", "sql", "trends"})
_LEAST = 19


def is_reader(arguments: Sequence[str]) -> bool:
    """Tell whether a command line asks for nothing but what is published."""
    return bool(arguments) and arguments[0] in READERS and "--live" not in arguments


def give_way() -> None:
    """Let this process, for good, have the processor and the disk only when nobody else wants them.

    Call it before anything starts threads, which inherit it. Under Linux it is what `chrt --idle 0` does,
    elsewhere `nice -n 19`; where neither is allowed, nothing.
    """
    with suppress(OSError, AttributeError):
        if sys.platform == "linux":
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        else:
            os.nice(_LEAST)
