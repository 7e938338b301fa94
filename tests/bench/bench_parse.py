"""Measure what parsing costs a poll: CPU seconds for 1,000 generated feeds, workers included.

Run `python tests/bench/bench_parse.py`. Each feed is RSS of about 110 KB with 35 entries; rows are the
ways of parsing, in turns, medians of the rounds. The longest turn is how long one body held the event
loop.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import statistics
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from html import escape

from flows.feeds.options import PollOptions
from flows.feeds.parse import parse_with_feedparser
from flows.feeds.pool import ParseJob, ParserPool, parse_job_quickly

NOW = datetime(2026, 11, 20, tzinfo=UTC)
VOCABULARY = (
    "ministry export controls chips licence regulator privacy data model weights court ruling parliament "
    "supply centre energy investment security platform Z\u00fcrich \u2019s officials said on Thursday that"
)
WORDS = VOCABULARY.split()
WAYS = ("fast path", "feedparser in workers", "feedparser in a thread")
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:content='
    '"http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:atom="http://www.w3.org/2005/Atom"><channel><title>Feed {number}</title>'
    '<atom:link href="https://outlet{number}.example/feed" rel="self" type="application/rss+xml"/>'
)


def make_feed(number: int, *, entries: int = 35, paragraphs: int = 7) -> bytes:
    """One feed, the same for the same number."""
    random.seed(number)
    items = "".join(make_item(number, each, paragraphs) for each in range(entries))
    return f"{HEAD.format(number=number)}{items}</channel></rss>".encode()


def make_item(number: int, each: int, paragraphs: int) -> str:
    link = f"https://outlet{number}.example/2026/11/{each}/{'-'.join(random.choices(WORDS[:12], k=5))}"
    text = [f'<p>{sentence(32)} <a href="{link}?p={n}&amp;x=1">more</a></p>' for n in range(paragraphs)]
    date = format_datetime(NOW - timedelta(minutes=each * 37 + number))
    return (
        f"<item><title>{sentence(9)}</title><link>{link}</link>"
        f'<guid isPermaLink="false">{number}-{each}</guid>'
        f"<dc:creator>{sentence(2)}</dc:creator><pubDate>{date}</pubDate>"
        f"<description>{escape(text[0])}</description>"
        f"<content:encoded><![CDATA[{''.join(text)}]]></content:encoded></item>"
    )


def sentence(words: int) -> str:
    return " ".join(random.choices(WORDS, k=words)).capitalize()


def leave(_job: ParseJob) -> None:
    """Stand in for the fast path, and take nothing."""


def parse_slowly(job: ParseJob):
    """Parse as without a fast path."""
    return parse_with_feedparser(job.body, content_type=job.content_type, url=job.url, now=job.now)


async def parse_all(way: str, bodies: list[bytes]) -> float:
    """Parse the bodies as a poll of 20 at once would; gives the longest turn of the fast path, in seconds."""
    longest = 0.0

    def timed(job: ParseJob):
        nonlocal longest
        started = time.perf_counter()
        parsed = parse_job_quickly(job)
        longest = max(longest, time.perf_counter() - started)
        return parsed

    inline = 0 if way == "feedparser in workers" else 1 << 40
    quickly = timed if way == "fast path" else leave
    pool = ParserPool(PollOptions(inline_parse_bytes=inline), parse_slowly, quickly=quickly)
    places = asyncio.Semaphore(20)

    async def one(number: int, body: bytes) -> None:
        async with places:
            url = f"https://outlet{number}.example/feed"
            parsed = await pool.parse(ParseJob(body, "application/rss+xml", url, NOW))
            if len(parsed.entries) != 35:
                raise SystemExit(f"Feed {number} was not parsed whole")

    try:
        await asyncio.gather(*[one(number, body) for number, body in enumerate(bodies)])
    finally:
        pool.close()
    return longest


def cpu_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--feeds", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bodies = [make_feed(number) for number in range(options.feeds)]
    spent: dict[str, list[float]] = {way: [] for way in WAYS}
    turns: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way in WAYS:
            before = cpu_seconds()
            turns[way].append(asyncio.run(parse_all(way, bodies)))
            spent[way].append((cpu_seconds() - before) * 1000 / len(bodies))
    print(f"{len(bodies)} feeds, {statistics.mean(map(len, bodies)) / 1024:.0f} KiB each")
    print("| way | CPU s for 1,000 feeds | longest turn, ms |\n|---|---|---|")
    for way in WAYS:
        print(f"| {way} | {statistics.median(spent[way]):.1f} | {1000 * statistics.median(turns[way]):.1f} |")


if __name__ == "__main__":
    main()
