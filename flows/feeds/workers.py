"""Worker processes for hostile input: what kills, hangs or bloats one costs that input only."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import resource
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from enum import Enum
from types import FrameType
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

_MEMORY_BYTES = 1536 * 1024 * 1024
# After the time limit, for what cannot be interrupted: C code that does not come back.
_GRACE_SECONDS = 5


class Stopped(Enum):
    """Why a job has no result."""

    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASHED = "crashed"


class Workers(Generic[Job, Result]):
    """Runs `work` on jobs in processes that start with the first job; close it to end them.

    `work` and `prepare`, which each process calls first, must be importable; results are values.
    """

    def __init__(
        self,
        work: Callable[[Job], Result],
        *,
        number: int,
        seconds: float,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._work = work
        self._number = number
        self._seconds = seconds
        self._prepare = prepare
        self._executor: ProcessPoolExecutor | None = None
        self._alone_turn = asyncio.Lock()

    @property
    def are_running(self) -> bool:
        return self._executor is not None

    async def run(self, job: Job) -> Result | Stopped:
        """Do one job within its bounds."""
        if self._executor is None:
            self._executor = self._start(self._number)
        executor = self._executor
        try:
            return await self._submit(executor, job)
        except BrokenProcessPool:
            return await self._run_alone(job, executor)

    def close(self) -> None:
        """End the processes; jobs that wait are dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    async def _submit(self, executor: ProcessPoolExecutor, job: Job) -> Result | Stopped:
        return await asyncio.wrap_future(executor.submit(_run_in_bounds, self._work, job, self._seconds))

    async def _run_alone(self, job: Job, broken: ProcessPoolExecutor) -> Result | Stopped:
        """Do a job in a worker of its own, as one of those under way killed a shared one."""
        if self._executor is broken:
            self.close()
        async with self._alone_turn:
            worker = self._start(1)
            try:
                return await self._submit(worker, job)
            except BrokenProcessPool:
                return Stopped.CRASHED
            finally:
                worker.shutdown(wait=True, cancel_futures=True)

    def _start(self, number: int) -> ProcessPoolExecutor:
        # Spawned, not forked: the caller has threads, and a fork would copy their locks.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            number, mp_context=context, initializer=_prepare_worker, initargs=(self._prepare,)
        )


def _prepare_worker(prepare: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us in order
    signal.signal(signal.SIGALRM, _stop)
    if prepare is not None:
        prepare()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, _MEMORY_BYTES)


class _OutOfTime(BaseException):
    """Raised in the middle of a job; no `except Exception` beneath may keep it."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _OutOfTime


def _run_in_bounds(work: Callable[[Job], Result], job: Job, seconds: float) -> Result | Stopped:
    try:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds + _GRACE_SECONDS))
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            return work(job)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _OutOfTime:
        return Stopped.TIMEOUT
    except MemoryError:
        return Stopped.MEMORY


def _limit(what: int, most: int) -> None:
    """Let the kernel hold this process to a bound, within the one that it has already."""
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
