"""One poll by lemon24/reader, run in an environment of its own.

Usage: poll_with_reader.py FOLDER URLS
"""

from __future__ import annotations

import sys
from pathlib import Path

from reader import make_reader

WORKERS = 10


def main(folder: Path, urls: Path) -> None:
    """Add the feeds that are not there yet, and update all of them."""
    with make_reader(str(folder / "reader.sqlite")) as reader:
        for url in urls.read_text().split():
            reader.add_feed(url, exist_ok=True)
        reader.update_feeds(workers=WORKERS, scheduled=False)  # all, as the others do
        failed = [feed.url for feed in reader.get_feeds() if feed.last_exception]
        if failed:
            raise SystemExit(f"{len(failed)} feeds failed: {failed[0]}")


main(Path(sys.argv[1]), Path(sys.argv[2]))
