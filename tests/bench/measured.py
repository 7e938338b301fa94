"""What a command and everything it started took: CPU, wall time, peak memory (Linux)."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
_BETWEEN_LOOKS = 0.02


@dataclass(frozen=True, slots=True)
class Taken:
    """`cpu` is user and system seconds of the whole tree; `peak_mb` the largest sum of resident sizes.

    Pages that processes share count once for each of them, so `peak_mb` is rather too high.
    """

    cpu: float
    wall: float
    peak_mb: float
    output: str


def run_measured(
    command: Sequence[str | Path], *, environment: Mapping[str, str], timeout: float = 300.0
) -> Taken:
    """Run a command to its end and say what it took.

    Raises:
        RuntimeError: it failed, or took longer than `timeout` seconds and was ended.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    watch = _Watch(process.pid, until=time.monotonic() + timeout)
    watch.start()
    assert process.stdout is not None
    output = process.stdout.read().decode("utf-8", "replace")
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    watch.is_over.set()
    watch.join()
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {output[-2000:]}")
    return Taken(usage.ru_utime + usage.ru_stime, wall, max(watch.peak_mb, usage.ru_maxrss / 1000), output)


class _Watch(threading.Thread):
    """Looks at a process tree now and then, and ends its root when time is up."""

    def __init__(self, pid: int, *, until: float) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._until = until
        self.peak_mb = 0.0
        self.is_over = threading.Event()

    def run(self) -> None:
        while not self.is_over.wait(_BETWEEN_LOOKS):
            self.peak_mb = max(self.peak_mb, sum(map(_resident_mb, _tree(self._pid))))
            if time.monotonic() > self._until:
                os.kill(self._pid, 15)
                return


def _tree(root: int) -> list[int]:
    pids = [root]
    for pid in pids:  # grows while we walk it
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                pids += map(int, children.read_text().split())
            except OSError:
                continue
    return pids


def _resident_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MB
    except (OSError, IndexError):
        return 0.0
