"""Feeds that a person follows, and how each of them fares.

Removing a feed only ends its polling: its history, its state and what was seen of it stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import duckdb

from storage.feeds import load_states, save_feeds, save_states
from storage.rows import INSTANT, INTEGER, TEXT, Columns, as_utc, build_column, build_rows, incoming
from tocsin.types import Feed

_FOLLOWING: Columns = {"url": TEXT, "position": INTEGER, "followed_at": INSTANT}


@dataclass(frozen=True, slots=True)
class Followed:
    """A feed that is followed, and since when."""

    feed: Feed
    followed_at: datetime


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """One row of the view `feed_health`; `is_followed` says whether every run polls the feed."""

    url: str
    title: str | None
    outlet: str | None
    folder: str | None
    health: str
    failures: int
    last_outcome: str | None
    last_severity: str | None
    last_status: int | None
    last_reason: str | None
    last_message: str | None
    polled_at: datetime | None
    succeeded_at: datetime | None
    next_poll_at: datetime | None
    is_followed: bool


def load_followed(con: duckdb.DuckDBPyConnection) -> tuple[Followed, ...]:
    """Load the feeds that are followed, in the order in which they were added."""
    rows = con.execute(
        """
        SELECT url, title, outlet, folder, followed_at
        FROM following JOIN feeds USING (url)
        WHERE unfollowed_at IS NULL ORDER BY position, url
        """
    ).fetchall()
    return tuple(Followed(Feed(*row[:4]), row[4].astimezone(UTC)) for row in rows)


def load_unfollowed(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Load the URLs of the feeds that were followed once and are no longer."""
    rows = con.execute("SELECT url FROM following WHERE unfollowed_at IS NOT NULL ORDER BY position, url")
    return tuple(url for (url,) in rows.fetchall())


def follow_feeds(con: duckdb.DuckDBPyConnection, feeds: Iterable[Feed], now: datetime) -> tuple[str, ...]:
    """Follow feeds from now on, in their order after the others; give the URLs that were not followed yet.

    What a feed is called is kept as `save_feeds` does, also of one that was followed already.
    """
    unique = {feed.url: feed for feed in feeds}
    save_feeds(con, unique.values(), now)
    followed = {each.feed.url for each in load_followed(con)}
    added = [url for url in unique if url not in followed]
    [(last,)] = con.execute("SELECT coalesce(max(position), 0) FROM following").fetchall()
    rows = [(url, last + number, now) for number, url in enumerate(added, start=1)]
    with incoming(con, build_rows(_FOLLOWING, rows)):
        con.execute("DELETE FROM following WHERE url IN (SELECT url FROM incoming)")
        con.execute(
            "INSERT INTO following (url, position, followed_at) "
            "SELECT url, position, followed_at FROM incoming"
        )
    return tuple(added)


def unfollow_feeds(con: duckdb.DuckDBPyConnection, urls: Iterable[str], now: datetime) -> int:
    """Stop following these feeds; give how many were followed until now. Nothing else is forgotten."""
    with incoming(con, build_column("url", TEXT, dict.fromkeys(urls))):
        changed = con.execute(
            "UPDATE following SET unfollowed_at = ? "
            "WHERE unfollowed_at IS NULL AND url IN (SELECT url FROM incoming)",
            [now],
        ).fetchall()
    return int(changed[0][0])


def move_followed(con: duckdb.DuckDBPyConnection, old: Feed, new: Feed, now: datetime) -> None:
    """Let a followed feed go on under another URL, in its place and with what is remembered of it.

    The row of the old URL stays in `feeds`, since the history names it. `new.url` must not be followed.
    """
    names = replace(
        new, title=new.title or old.title, outlet=new.outlet or old.outlet, folder=new.folder or old.folder
    )
    save_feeds(con, [names], now)
    state = load_states(con, [old.url])[old.url]
    save_states(con, [replace(state, url=new.url)])
    con.execute("DELETE FROM following WHERE url = ?", [new.url])
    con.execute("UPDATE following SET url = ? WHERE url = ?", [new.url, old.url])


def load_health(con: duckdb.DuckDBPyConnection) -> tuple[FeedHealth, ...]:
    """Load how every feed of the history fares, by URL."""
    rows = con.execute(
        """
        SELECT
            url, title, outlet, folder, health, failures, last_outcome, last_severity, last_status,
            last_reason, last_message, polled_at, succeeded_at, next_poll_at,
            url IN (SELECT url FROM following WHERE unfollowed_at IS NULL) AS is_followed
        FROM feed_health ORDER BY url
        """
    ).fetchall()
    return tuple(FeedHealth(*map(_read_value, row)) for row in rows)


def _read_value(value: Any) -> Any:
    return as_utc(value) if isinstance(value, datetime) else value
