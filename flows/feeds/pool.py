"""Where bodies are parsed: at once what the fast path takes, the rest away from the event loop.

Away means in a thread while little came, in processes once it pays. A body that kills or hangs its
worker costs that body only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from flows.feeds.options import PollOptions
from flows.feeds.urls import loggable
from flows.feeds.workers import Stopped, Workers
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
        self._workers: Workers[ParseJob, ParsedFeed | Refusal] = Workers(
            parse, number=options.parse_workers, seconds=options.parse_seconds
        )

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
        result = await self._workers.run(job)
        return self._refuse(result, job) if isinstance(result, Stopped) else result

    def _refuse(self, stopped: Stopped, job: ParseJob) -> Refusal:
        log.warning("parser.stopped feed=%s bytes=%d why=%s", loggable(job.url), len(job.body), stopped.value)
        if stopped is Stopped.TIMEOUT:
            seconds = self._options.parse_seconds
            return Refusal("parse_timeout", f"Body of this feed takes longer than {seconds:g} s to parse")
        if stopped is Stopped.MEMORY:
            return Refusal("parser_crashed", "Body of this feed takes more memory than there is")
        return Refusal("parser_crashed", "Body of this feed ends the process that parses it")

    @property
    def has_workers(self) -> bool:
        """Whether a body was given to worker processes."""
        return self._workers.are_running

    def close(self) -> None:
        """End the worker processes; jobs that wait are dropped."""
        self._workers.close()
