"""Feeds as publishers served them: parsed whole, within bounds, and recognized when they come again."""

import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.feeds.identity import identify_entries
from flows.feeds.parse import parse_feed
from tocsin.errors import FeedError

CAPTURES = Path(__file__).parents[4] / "shared" / "feeds" / "captures.tar.xz"
EVERY = 4
NOW = datetime(2026, 11, 20, tzinfo=UTC)

pytestmark = pytest.mark.skipif(
    not CAPTURES.exists(), reason="the captures lie beside the repository, not in it"
)


@pytest.fixture(scope="module")
def parsed():
    """Every fourth capture by name: what was parsed, or the reason for the refusal."""
    results = {}
    with tarfile.open(CAPTURES) as archive:
        for number, member in enumerate(sorted(archive.getmembers(), key=lambda each: each.name)):
            if number % EVERY or not member.isfile():
                continue
            try:
                body = archive.extractfile(member).read()
                url = f"https://feeds.example/{number}"
                results[url] = parse_feed(body, content_type=None, url=url, now=NOW)
            except FeedError as error:
                results[url] = error
    return results


def test_nearly_all_captures_are_feeds(parsed):
    refused = [error.reason for error in parsed.values() if isinstance(error, FeedError)]
    assert len(parsed) >= 55
    assert len(refused) <= len(parsed) // 20
    assert set(refused) <= {"not_a_feed", "bad_xml", "html"}


def test_entries_are_complete_and_plain(parsed):
    entries = [entry for feed in parsed.values() if not isinstance(feed, FeedError) for entry in feed.entries]
    assert len(entries) > 1000
    assert sum(entry.url is None for entry in entries) < len(entries) * 0.01
    assert sum(entry.published_at is None for entry in entries) < len(entries) * 0.15
    assert sum(not entry.summary for entry in entries) < len(entries) * 0.2
    for entry in entries:
        assert 0 < len(entry.title) <= 500
        assert len(entry.summary) <= 5000
        assert "</p>" not in entry.summary


def test_a_feed_that_comes_again_brings_nothing_new(parsed, make_polled):
    from tocsin.types import Feed

    polled = [
        make_polled(Feed(url), feed.entries)
        for url, feed in parsed.items()
        if not isinstance(feed, FeedError)
    ]
    first = identify_entries(polled, {}, now=NOW)
    second = identify_entries(polled, first.keys, now=NOW)
    entries = sum(len(each.parsed.entries) for each in polled)
    assert second.articles == ()
    assert 0.9 * entries < len(first.articles) <= entries
