"""How commands that run until stopped are stopped."""

from __future__ import annotations

import signal
import threading


def stop_on_signals() -> threading.Event:
    """Give what the first SIGINT or SIGTERM sets; the second one ends the process as usual."""
    stopping = threading.Event()

    def stop(number: int, frame: object) -> None:
        del frame
        stopping.set()
        signal.signal(number, signal.default_int_handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return stopping
