"""The default topics find what the sample newsroom's own answer key says, and little else."""

from datetime import UTC, datetime

import numpy as np
import pytest

from flows.feeds.parse import parse_feed
from flows.newsroom import Newsroom
from models.encode import load_encoder
from models.heads import build_heads
from models.text import compose_text
from models.topics import default_topics

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def entries(manifest):
    """Every entry that the sound feeds serve, by URL without its tracking parameters."""
    newsroom = Newsroom(anchor=NOW, port=0)
    found = {}
    for feed in manifest["feeds"]:
        if feed["entries"]:
            body = newsroom.body(feed["path"])
            parsed = parse_feed(body, content_type=feed["content_type"], url="http://127.0.0.1/", now=NOW)
            found |= {(entry.url or entry.guid).split("?")[0]: entry for entry in parsed.entries}
    return found


def test_the_default_topics_find_at_least_four_in_five_and_are_right_as_often(entries, manifest):
    topics, encoder = default_topics(), load_encoder()
    urls = list(entries)
    texts = [compose_text(entries[url].title, entries[url].summary) for url in urls]
    scores = build_heads(topics, encoder).score(encoder.embed(texts), texts)
    thresholds = np.array([topic.effective_threshold for topic in topics])
    matched = {(urls[row], topics[column].name) for row, column in np.argwhere(scores >= thresholds)}
    wanted = {(item["url"], topic) for item in manifest["entries"] for topic in item["topics"]}
    unsure = {(item["url"], topic) for item in manifest["entries"] for topic in item.get("unsure", ())}
    assert {url for url, _ in wanted} <= set(urls)
    assert len(wanted) >= 80
    assert len(matched & wanted) / len(wanted) >= 0.8
    assert len(matched & wanted) / len(matched - unsure) >= 0.8
