"""Invents a past of news with vectors: the sample newsroom's articles, copied often, each copy with noise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from flows.feeds.parse import parse_feed
from flows.newsroom import render_dates
from models.encode import load_encoder
from models.heads import build_heads
from models.text import compose_text
from storage.articles import store_articles
from storage.scores import ScoreBlock, store_embeddings, store_scores
from storage.stories import store_ties
from storage.topics import record_topics
from tocsin.types import Article, StoryTie

NEWSROOM = Path(__file__).parents[2] / "deploy" / "newsroom"
NOISE = 0.04  # standard deviation that is added to each number of a vector


def read_newsroom(now):
    """Give the sample newsroom's entries, one of each headline."""
    found = {}
    for path in sorted(NEWSROOM.glob("*/*")):
        if path.suffix in {".xml", ".json", ".rdf", ".atom"}:
            try:
                parsed = parse_feed(render_dates(path.read_bytes(), now), content_type=None, url="u", now=now)
            except Exception:  # noqa: BLE001  one of its feeds is broken on purpose
                continue
            found |= {entry.title: entry for entry in parsed.entries}
    return list(found.values())


def invent_past(db, topics, *, articles, days, now=None, each_story=3):
    """Store so many articles of the last `days` with vectors, stories of about `each_story`, and scores."""
    now = now or datetime.now(UTC)
    rng = np.random.default_rng(0)
    encoder = load_encoder()
    entries = read_newsroom(now)
    vectors = encoder.embed([compose_text(entry.title, entry.summary) for entry in entries])
    heads = build_heads(topics, encoder)
    with db.write() as con:
        versions = record_topics(con, topics, run_id="run", now=now)
    for first in range(0, articles, 10_000):
        numbers = np.arange(first, min(first + 10_000, articles))
        picked = rng.integers(len(entries), size=len(numbers))
        noisy = vectors[picked] + NOISE * rng.standard_normal((len(numbers), vectors.shape[1]), np.float32)
        noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
        made = [
            _article(int(number), entries[at], now - timedelta(days=days * (1 - int(number) / articles)))
            for number, at in zip(numbers, picked, strict=True)
        ]
        values = heads.score(noisy.astype(np.float32))
        names = [topic.name for topic in topics]
        block = ScoreBlock(
            numbers.tolist(), names, [versions[name] for name in names], encoder.revision, heads.names, values
        )
        ties = [StoryTie(int(number), int(number) - int(number) % each_story, 0.9) for number in numbers]
        with db.write() as con:
            store_articles(con, "run", articles=made, sightings=[], keys={})
            store_embeddings(con, encoder.revision, numbers.tolist(), noisy.astype(np.float32))
            store_scores(con, block, now)
            store_ties(con, "run", ties)


def _article(number, entry, at):
    return Article(
        article_id=number,
        url=f"https://news.example/{number}",
        title=f"{entry.title} ({number})",
        summary=entry.summary,
        outlet=f"Outlet {number % 40}",
        feed_url=f"https://feeds.example/{number % 40}",
        published_at=at,
        first_seen_at=at,
        language="en",
    )
