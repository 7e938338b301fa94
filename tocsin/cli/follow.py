"""What adding and removing feeds means for the list of followed ones; feeds are named without credentials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from flows.feeds.opml import normalise_feed_url, read_feed_list, unique_feeds
from flows.feeds.urls import loggable, without_credentials
from storage.following import follow_feeds, load_followed, load_unfollowed, move_followed, unfollow_feeds
from tocsin.errors import SettingsError
from tocsin.types import Feed

Changes = list[tuple[str, str]]
"""What became of each feed, in the order given: its URL as it may be shown, and one of the words below."""

ADDED, KNOWN, RENAMED, NEW_CREDENTIALS = "added", "already followed", "renamed", "user and password changed"
REMOVED, GONE = "removed", "already removed"


def read_sources(sources: Sequence[str], names: Feed) -> tuple[Feed, ...]:
    """Read lists and addresses; what `names` says of title, outlet and folder goes before what they say.

    Raises:
        SettingsError: a source cannot be read, or one title is given for several feeds.
    """
    feeds = unique_feeds(feed for source in sources for feed in read_feed_list(source))
    for feed in feeds:
        _refuse_unwritable(feed.url)
    if names.title and len(feeds) > 1:
        raise SettingsError(f"--title names one feed, but {len(feeds)} are given; leave it out")
    return tuple(
        replace(
            feed,
            title=_tidy(names.title) or feed.title,
            outlet=_tidy(names.outlet) or feed.outlet,
            folder=_tidy(names.folder) or feed.folder,
        )
        for feed in feeds
    )


def add_feeds(con: Any, feeds: Iterable[Feed], now: datetime) -> Changes:
    """Follow feeds. One that is followed with other credentials goes on with the new ones, in its place."""
    followed = {without_credentials(each.feed.url): each.feed for each in load_followed(con)}
    changes: Changes = []
    to_save: list[Feed] = []
    for feed in feeds:
        shown = without_credentials(feed.url)
        old = followed.get(shown)
        new = feed if old is None else _merge(old, feed)
        what = ADDED if old is None else _what_changes(old, new)
        if what == NEW_CREDENTIALS and old is not None:
            follow_feeds(con, to_save, now)  # the old one may have been given a moment ago
            to_save.clear()
            move_followed(con, old, new, now)
        elif what != KNOWN:
            to_save.append(new)
        followed[shown] = new
        changes.append((shown, what))
    follow_feeds(con, to_save, now)
    return changes


def _merge(old: Feed, given: Feed) -> Feed:
    """What a followed feed becomes when it is given again: what is not said stays."""
    has_credentials = without_credentials(given.url) != given.url
    return Feed(
        url=given.url if has_credentials else old.url,
        title=given.title or old.title,
        outlet=given.outlet or old.outlet,
        folder=given.folder or old.folder,
    )


def _what_changes(old: Feed, new: Feed) -> str:
    if new.url != old.url:
        return NEW_CREDENTIALS
    return KNOWN if new == old else RENAMED


def remove_feeds(con: Any, given: Iterable[str], now: datetime) -> Changes:
    """Stop following the feeds that were given by URL, with or without credentials; all or none.

    Raises:
        SettingsError: one was never followed; it names those that are much alike.
    """
    followed = [each.feed.url for each in load_followed(con)]
    removed = load_unfollowed(con)
    changes: Changes = []
    urls = []
    for text in dict.fromkeys(given):
        url = find_feed(text, followed)
        if url is None and find_feed(text, removed) is None:
            raise SettingsError(_unknown(text, followed))
        urls += [url] if url else []
        changes.append((shown_address(text), REMOVED if url else GONE))
    unfollow_feeds(con, urls, now)
    return changes


def find_feed(given: str, urls: Iterable[str]) -> str | None:
    """Find the URL that a person means, who may have seen it without its credentials."""
    wanted = normalise_feed_url(given) or given
    urls = list(urls)
    if wanted in urls:
        return wanted
    return next((url for url in urls if without_credentials(url) == wanted), None)


def shown_address(given: str) -> str:
    """Give an address as it may be shown, also one that is not a URL."""
    return without_credentials(normalise_feed_url(given) or given)


def read_address(given: str) -> str:
    """Give the URL to fetch for what a person typed.

    Raises:
        SettingsError: it is not an address that can be polled.
    """
    url = normalise_feed_url(given)
    if url is None:
        raise SettingsError(
            f"{_named(given)}: not an address that can be polled; it must begin with http:// or https:// "
            "and hold a host and no spaces"
        )
    _refuse_unwritable(url)
    return url


def _refuse_unwritable(url: str) -> None:
    if not url.isascii() and url != url.encode("utf-8", "replace").decode():
        raise SettingsError(f"{_named(url)!r}: the address holds bytes that are not UTF-8; write it in ASCII")


def _named(given: str) -> str:
    """Name an address in a message; of one that cannot be split, what may be a password stays unsaid."""
    if normalise_feed_url(given) is None and "@" in given:
        return "the address given"
    return loggable(shown_address(given))


def count_changes(changes: Changes) -> str:
    """Sum up changes in one line."""
    return ", ".join(f"{number} {what}" for what, number in Counter(what for _, what in changes).items())


def _unknown(given: str, followed: Sequence[str]) -> str:
    shown = shown_address(given)
    known = [without_credentials(url) for url in followed]
    alike = get_close_matches(shown, known, n=3, cutoff=0.7) or [url for url in known if shown in url][:3]
    advice = f"did you mean {' or '.join(alike)}?" if alike else "`tocsin feeds list` shows those that are"
    return f"{_named(given)}: this feed is not followed; {advice}"


def _tidy(name: str | None) -> str | None:
    return " ".join((name or "").split()) or None
