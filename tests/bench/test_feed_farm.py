"""The benchmark's feeds are what it says they are."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from feed_farm import ENTRIES, make_feed

from flows.feeds.parse import parse_feed

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def parse(body):
    return parse_feed(body, content_type="application/xml", url="http://127.0.0.1/feed", now=NOW)


@pytest.mark.parametrize(("number", "kind"), [(0, "rss20"), (2, "atom10")])
def test_a_generated_feed_is_well_formed_and_of_the_size_that_is_promised(number, kind):
    body = make_feed(number)
    parsed = parse(body)
    assert parsed.format == kind
    assert not parsed.notes
    assert len({(entry.url, entry.guid) for entry in parsed.entries}) == ENTRIES
    assert all(entry.published_at and entry.summary for entry in parsed.entries)
    assert 95_000 < len(body) < 125_000


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others():
    assert make_feed(4, seed=7) == make_feed(4, seed=7)
    assert make_feed(4, seed=7) != make_feed(4, seed=8)


def test_the_second_edition_brings_three_new_entries_and_keeps_the_others():
    first, second = parse(make_feed(0)).entries, parse(make_feed(0, edition=2)).entries
    assert len(second) == len(first)
    assert second[3:] == first[:-3]
    assert not set(second[:3]) & set(first)
