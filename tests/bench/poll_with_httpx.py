"""One poll as a first script does it: a feed at a time, httpx.get, feedparser as it comes, a row at a time.

Usage: poll_with_httpx.py FOLDER URLS: prints how many entries are stored.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import feedparser
import httpx


def main(folder: Path, urls: Path) -> None:
    """Poll every feed, with the validators of the last time."""
    with closing(sqlite3.connect(folder / "entries.sqlite")) as con:
        con.execute("CREATE TABLE IF NOT EXISTS feeds (url PRIMARY KEY, etag, modified)")
        con.execute(
            "CREATE TABLE IF NOT EXISTS entries (feed, id, title, link, summary, PRIMARY KEY (feed, id))"
        )
        for url in urls.read_text().split():
            poll(con, url)
            con.commit()


def poll(con: sqlite3.Connection, url: str) -> None:
    known = con.execute("SELECT etag, modified FROM feeds WHERE url = ?", (url,)).fetchone()
    headers = {"If-None-Match": known[0], "If-Modified-Since": known[1]} if known else {}
    answer = httpx.get(url, headers=headers, trust_env=False)
    if answer.status_code == 304:
        return
    answer.raise_for_status()
    for entry in feedparser.parse(answer.content).entries:
        row = (url, entry.id, entry.title, entry.link, entry.get("summary", ""))
        con.execute("INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?)", row)
    validators = (url, answer.headers.get("etag"), answer.headers.get("last-modified"))
    con.execute("INSERT OR REPLACE INTO feeds VALUES (?, ?, ?)", validators)


main(Path(sys.argv[1]), Path(sys.argv[2]))
