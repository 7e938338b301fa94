"""Compare the fast path with feedparser over corpora of feeds, given as tar archives or folders.

Run `python tests/bench/compare_parsers.py PATH…`. It prints a row for each: feeds, how many the fast
path takes, how many of these come out equal to feedparser's, what differs, what `parse_feed` refuses, and
milliseconds a feed.
"""

from __future__ import annotations

import argparse
import tarfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from flows.feeds.parse import _prepared, parse_feed, parse_quickly, parse_with_feedparser
from tocsin.errors import FeedError

NOW = datetime(2026, 11, 20, tzinfo=UTC)
URL = "https://feeds.example/news/feed.xml"
TYPES = ("application/rss+xml", "text/xml; charset=utf-8", None)
FIELDS = ("title", "summary", "url", "guid", "published_at", "outlet")
CORPUS_SUFFIXES = (".xml", ".rss", ".atom", ".rdf", "")


def read_bodies(path: Path):
    """Every file of an archive or folder that may be a feed: name and bytes."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and file.suffix in CORPUS_SUFFIXES:
                yield file.name, file.read_bytes()
        return
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda each: each.name):
            if member.isfile() and Path(member.name).suffix in CORPUS_SUFFIXES:
                yield member.name, archive.extractfile(member).read()


def differences(fast, slow):
    """The names of the fields in which two parsed feeds differ."""
    found = [
        name for name in ("format", "title", "ttl", "notes") if getattr(fast, name) != getattr(slow, name)
    ]
    if len(fast.entries) != len(slow.entries):
        return [*found, "number of entries"]
    pairs = list(zip(fast.entries, slow.entries, strict=True))
    return found + [name for name in FIELDS if any(getattr(a, name) != getattr(b, name) for a, b in pairs)]


def by_referee(body, content_type):
    try:
        prepared = _prepared(body)
        return parse_with_feedparser(prepared, content_type=content_type, url=URL, now=NOW)
    except FeedError as error:
        return error


def compare(path: Path, content_type: str | None, *, shows: bool):
    counts, fields, reasons, milliseconds = Counter(), Counter(), Counter(), Counter()
    for name, body in read_bodies(path):
        counts["feeds"] += 1
        started = time.process_time()
        fast = parse_quickly(body, content_type=content_type, url=URL, now=NOW)
        quick = time.process_time() - started
        started = time.process_time()
        slow = by_referee(body, content_type)
        milliseconds["feedparser"] += 1000 * (time.process_time() - started)
        milliseconds["tried"] += 1000 * quick
        if fast is not None:
            counts["fast"] += 1
            counts["entries"] += len(fast.entries)
            milliseconds["fast"] += 1000 * quick
            if fast == slow:
                counts["equal"] += 1
            else:
                different = (
                    ["refused by feedparser"] if isinstance(slow, FeedError) else differences(fast, slow)
                )
                fields.update(different)
                if shows:
                    print(f"differs: {name}: {', '.join(different)}")
        try:
            parse_feed(body, content_type=content_type, url=URL, now=NOW)
        except FeedError as error:
            reasons[error.reason] += 1
    return counts, fields, reasons, milliseconds


def print_row(label, result):
    counts, fields, reasons, spent = result
    row = [
        label,
        counts["feeds"],
        counts["fast"],
        counts["equal"],
        counts["entries"],
        ", ".join(f"{name} {number}" for name, number in fields.items()) or "none",
        ", ".join(f"{name} {number}" for name, number in reasons.most_common()) or "none",
        f"{spent['fast'] / max(counts['fast'], 1):.2f}",
        f"{spent['feedparser'] / max(counts['feeds'], 1):.1f}",
    ]
    print("| " + " | ".join(str(cell) for cell in row) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument(
        "--type", default=TYPES[0], help="the content type that the feeds came with, or 'none'"
    )
    parser.add_argument("--show", action="store_true", help="name each feed that differs")
    options = parser.parse_args()
    columns = (
        *("corpus", "files", "fast path", "equal", "entries", "differing fields", "refused"),
        *("ms fast path", "ms feedparser"),
    )
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    content_type = None if options.type == "none" else options.type
    for path in options.paths:
        print_row(path.name, compare(path, content_type, shows=options.show))


if __name__ == "__main__":
    main()
