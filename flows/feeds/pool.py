"""Where bodies are parsed: at once what the fast path takes, the rest away from the event loop.

Away means in a thread while little came, in processes once it pays. A body that kills or hangs its
worker costs that body only.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import datetime
from types import FrameType

from flows.feeds.options import PollOptions
from flows.feeds.urls import loggable
from tocsin.errors import FeedError
from tocsin.types import ParsedFeed

log = logging.getLogger(__name__)

ParseResult = ParsedFeed | FeedError
Parse = Callable[["ParseJob"], "ParsedFeed | Refusal"]
ParseQuickly = Callable[["ParseJob"], "ParsedFeed | None"]


@dataclass(frozen=True, slots=True)
class ParseJob:
    """What a worker needs to parse one body. `url` holds no credentials."""

    body: bytes = field(repr=False)
    content_type: str | None
    url: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """A `FeedError` on its way between processes, which an exception of two arguments does not survive."""

    reason: str
    message: str


def parse_job(job: ParseJob) -> ParsedFeed | Refusal:
    """Parse one body; a failure is a value."""
    from flows.feeds.parse import parse_feed  # noqa: PLC0415  most polls bring no body at all

    try:
        return parse_feed(job.body, content_type=job.content_type, url=job.url, now=job.now)
    except FeedError as error:
        return Refusal(error.reason, str(error))


def parse_job_quickly(job: ParseJob) -> ParsedFeed | None:
    """Parse one body by the fast path, or give None."""
    from flows.feeds.parse import parse_quickly  # noqa: PLC0415  most polls bring no body at all

    return parse_quickly(job.body, content_type=job.content_type, url=job.url, now=job.now)


class ParserPool:
    """Parses bodies one call at a time or many at once; close it to end its processes.

    `quickly` runs on the event loop: it takes a millisecond or two for a usual body, and bodies over
    `inline_body_bytes` are not given to it.
    """

    def __init__(
        self,
        options: PollOptions,
        parse: Parse = parse_job,
        *,
        quickly: ParseQuickly = parse_job_quickly,
    ) -> None:
        self._options = options
        self._parse = parse
        self._quickly = quickly
        self._inline_left = options.inline_parse_bytes
        self._inline_turn = asyncio.Lock()
        self._alone_turn = asyncio.Lock()
        self._executor: ProcessPoolExecutor | None = None

    async def parse(self, job: ParseJob) -> ParseResult:
        """Parse a body; `parser_crashed` and `parse_timeout` are failures of that body alone."""
        result = await self._run(job)
        return FeedError(result.reason, result.message) if isinstance(result, Refusal) else result

    async def _run(self, job: ParseJob) -> ParsedFeed | Refusal:
        if len(job.body) <= self._options.inline_body_bytes:
            await asyncio.sleep(0)  # bodies that came together leave the loop a turn between them
            parsed = self._quickly(job)
            if parsed is not None:
                return parsed
        if len(job.body) <= min(self._inline_left, self._options.inline_body_bytes):
            self._inline_left -= len(job.body)
            async with self._inline_turn:  # threads would only fight for the interpreter
                return await asyncio.to_thread(self._parse, job)
        executor = self._running()
        try:
            return await self._submit(executor, job)
        except BrokenProcessPool:
            return await self._parse_alone(job, executor)

    def close(self) -> None:
        """End the worker processes; jobs that wait are dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _running(self) -> ProcessPoolExecutor:
        if self._executor is None:
            self._executor = _start_workers(self._options.parse_workers)
        return self._executor

    async def _submit(self, executor: ProcessPoolExecutor, job: ParseJob) -> ParsedFeed | Refusal:
        future = executor.submit(_parse_in_time, self._parse, job, self._options.parse_seconds)
        return await asyncio.wrap_future(future)

    async def _parse_alone(self, job: ParseJob, broken: ProcessPoolExecutor) -> ParsedFeed | Refusal:
        """Parse a body in a worker of its own, as one of those under way killed a shared one."""
        if self._executor is broken:
            self.close()
        async with self._alone_turn:
            worker = _start_workers(1)
            try:
                return await self._submit(worker, job)
            except BrokenProcessPool:
                log.warning("parser.crashed feed=%s bytes=%d", loggable(job.url), len(job.body))
                return Refusal("parser_crashed", "Body of this feed ends the process that parses it")
            finally:
                worker.shutdown(wait=True, cancel_futures=True)


def _start_workers(number: int) -> ProcessPoolExecutor:
    # Spawned, not forked: the caller has threads, and a fork would copy their locks.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(number, mp_context=context, initializer=_prepare_worker)


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us in order
    signal.signal(signal.SIGALRM, _stop_parsing)


class _OutOfTime(BaseException):
    """Raised in the middle of a parse; no `except Exception` beneath may keep it."""


def _stop_parsing(_number: int, _frame: FrameType | None) -> None:
    raise _OutOfTime


def _parse_in_time(parse: Parse, job: ParseJob, seconds: float) -> ParsedFeed | Refusal:
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            return parse(job)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _OutOfTime:
        return Refusal("parse_timeout", f"Body of this feed takes longer than {seconds:g} s to parse")
    except MemoryError:
        return Refusal("parser_crashed", "Body of this feed takes more memory than there is")
