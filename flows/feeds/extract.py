"""Article pages to plain text, in worker processes; the only place that knows trafilatura.

Pages are hostile until proven otherwise: a worker has bounds of time and memory, says nothing, and may die.
"""

from __future__ import annotations

import codecs
import logging
import re
import warnings
from dataclasses import dataclass, field

from flows.feeds.boilerplate import cut_boilerplate
from flows.feeds.pool import Refusal
from flows.feeds.text import tidy
from flows.feeds.workers import Stopped, Workers

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
        self._seconds = seconds
        self._workers: Workers[Page, str | Refusal] = Workers(
            extract_text, number=workers, seconds=seconds, prepare=_prepare
        )

    async def extract(self, page: Page) -> str | Refusal:
        """Give the text of a page, paragraphs on lines of their own, or why there is none."""
        result = await self._workers.run(page)
        return self._refuse(result) if isinstance(result, Stopped) else result

    def _refuse(self, stopped: Stopped) -> Refusal:
        if stopped is Stopped.TIMEOUT:
            return Refusal("extract_timeout", f"Page takes longer than {self._seconds:g} s to read")
        if stopped is Stopped.MEMORY:
            return Refusal("extractor_crashed", "Page takes more memory than there is")
        return Refusal("extractor_crashed", "Page ends the process that reads it")

    def close(self) -> None:
        """End the worker processes; pages that wait are dropped."""
        self._workers.close()


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


def _prepare() -> None:
    logging.disable(logging.CRITICAL)  # the libraries beneath tell of every odd page
    warnings.simplefilter("ignore")
    import trafilatura  # noqa: F401, PLC0415 - before the clock of the first page runs
