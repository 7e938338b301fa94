"""Article pages to plain text, in worker processes; the only place that knows trafilatura.

Pages are hostile until proven otherwise: a worker has bounds of time and memory, says nothing, and may die.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import math
import multiprocessing
import re
import resource
import signal
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from types import FrameType

from flows.feeds.boilerplate import cut_boilerplate
from flows.feeds.pool import Refusal
from flows.feeds.text import tidy

_MEMORY_BYTES = 1536 * 1024 * 1024
# After the time limit, for what cannot be interrupted: C code that does not come back.
_GRACE_SECONDS = 5
# Less is a cookie notice or an error in words.
_MIN_CHARACTERS = 100
_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}\bcharset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_HEADER_CHARSET = re.compile(r"""\bcharset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it came, and the most characters of its text that are wanted."""

    body: bytes = field(repr=False)
    content_type: str | None
    limit: int


class Extractor:
    """Extracts pages in worker processes; close it to end them.

    A page that kills its worker or exceeds its bounds costs only itself.
    """

    def __init__(self, *, workers: int, seconds: float) -> None:
        self._workers = workers
        self._seconds = seconds
        self._executor: ProcessPoolExecutor | None = None
        self._alone_turn = asyncio.Lock()

    async def extract(self, page: Page) -> str | Refusal:
        """Give the text of a page, paragraphs on lines of their own, or why there is none."""
        if self._executor is None:
            self._executor = _start_workers(self._workers)
        executor = self._executor
        try:
            return await self._submit(executor, page)
        except BrokenProcessPool:
            return await self._extract_alone(page, executor)

    def close(self) -> None:
        """End the worker processes; pages that wait are dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    async def _submit(self, executor: ProcessPoolExecutor, page: Page) -> str | Refusal:
        return await asyncio.wrap_future(executor.submit(_extract_in_time, page, self._seconds))

    async def _extract_alone(self, page: Page, broken: ProcessPoolExecutor) -> str | Refusal:
        """Extract in a worker of its own, as one of the pages under way killed a shared one."""
        if self._executor is broken:
            self.close()
        async with self._alone_turn:
            worker = _start_workers(1)
            try:
                return await self._submit(worker, page)
            except BrokenProcessPool:
                return Refusal("extractor_crashed", "Page ends the process that reads it")
            finally:
                worker.shutdown(wait=True, cancel_futures=True)


def extract_text(page: Page) -> str | Refusal:
    """Extract one page here and now; see `Extractor` for doing so safely.

    The page is decoded first: given bytes, trafilatura would try to decompress them.
    """
    import trafilatura  # noqa: PLC0415 - takes a second, and only workers need it

    try:
        found = trafilatura.extract(_decode(page), include_comments=False, include_tables=False)
    except Exception as error:  # noqa: BLE001 - whatever a page makes of a parser is that page's failure
        return Refusal("no_text", f"Page defeats the extractor ({type(error).__name__})")
    text = _tidy_lines(found or "", page.limit)
    if len(text) < _MIN_CHARACTERS:
        return Refusal("no_text", "Page holds no article text that could be found")
    return text


def _tidy_lines(text: str, limit: int) -> str:
    lines = (tidy(line, limit=limit) for line in text[: limit * 2].splitlines())
    joined = "\n".join(line for line in lines if line)
    return cut_boilerplate(joined if len(joined) <= limit else joined[: limit - 1].rstrip() + "…")


def _decode(page: Page) -> str:
    """UTF-8 where it fits, else as the header or the page says, else as browsers guess."""
    if page.body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return page.body.decode("utf-16", "replace")
    in_header = _HEADER_CHARSET.search(page.content_type or "")
    in_page = _META_CHARSET.search(page.body[:4096])
    named = [in_header.group(1)] if in_header else []
    named += [in_page.group(1).decode("ascii", "replace")] if in_page else []
    for charset, errors in (("utf-8-sig", "strict"), *((name, "replace") for name in named)):
        try:
            return page.body.decode(charset, errors)
        except (LookupError, ValueError):
            continue
    return page.body.decode("cp1252", "replace")


def _start_workers(number: int) -> ProcessPoolExecutor:
    # Spawned, not forked: the caller has threads, and a fork would copy their locks.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(number, mp_context=context, initializer=_prepare_worker)


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us in order
    signal.signal(signal.SIGALRM, _stop)
    logging.disable(logging.CRITICAL)  # the libraries beneath tell of every odd page
    warnings.simplefilter("ignore")
    import trafilatura  # noqa: F401, PLC0415 - before the clock of the first page runs

    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, _MEMORY_BYTES)


class _OutOfTime(BaseException):
    """Raised in the middle of a page; no `except Exception` beneath may keep it."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _OutOfTime


def _extract_in_time(page: Page, seconds: float) -> str | Refusal:
    try:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds + _GRACE_SECONDS))
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            return extract_text(page)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _OutOfTime:
        return Refusal("extract_timeout", f"Page takes longer than {seconds:g} s to read")
    except MemoryError:
        return Refusal("extractor_crashed", "Page takes more memory than there is")


def _limit(what: int, most: int) -> None:
    """Let the kernel hold this process to a bound, within the one that it has already."""
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
