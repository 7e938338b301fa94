"""The step that ties a batch's new articles to stories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from flows.run import Batch, MonitorRun
from models.stories import LONGEST, WINDOW, Known
from storage import stories
from tocsin.types import Article, StoryArticle


def tie_stories(run: MonitorRun, batch: Batch, now: datetime) -> None:
    """Give each of the batch's scored articles its story, and remember them for the batches to come.

    An article that the encoder cannot read has no vector, so it is in no story.

    What is stored is loaded once in a run: batches after the first only add to it.
    """
    assert batch.embeddings is not None  # noqa: S101  embedded before
    new = [as_story_article(article) for article in batch.scored]
    known = run.recent or _load_known(run, now)
    batch.ties = run.storyteller().tie(new, batch.embeddings, known)
    tied = [replace(article, story_id=tie.story_id) for article, tie in zip(new, batch.ties, strict=True)]
    run.recent = _keep_newest([*known.articles, *tied], np.concatenate([known.vectors, batch.embeddings]))
    run.report.joined_stories += sum(tie.story_id != tie.article_id for tie in batch.ties)


def as_story_article(article: Article) -> StoryArticle:
    """Take of an article what stories are made of."""
    return StoryArticle(
        article_id=article.article_id,
        title=article.title,
        summary=article.summary,
        outlet=article.outlet,
        at=min(article.published_at or article.first_seen_at, article.first_seen_at),
        language=article.language,
    )


def gather_outlets(batch: Batch, known: Mapping[int, frozenset[str]]) -> dict[int, frozenset[str]]:
    """Gather the outlets of the batch's stories, in small letters: those stored, and those of the batch."""
    found = {story: set(outlets) for story, outlets in known.items()}
    for article, tie in zip(batch.scored, batch.ties, strict=True):
        found.setdefault(tie.story_id, set()).add(article.outlet.lower())
    return {story: frozenset(outlets) for story, outlets in found.items()}


def _load_known(run: MonitorRun, now: datetime) -> Known:
    encoder, _ = run.judge()
    with run.db.read() as con:
        return Known(*stories.load_recent(con, encoder.revision, now - LONGEST - WINDOW))


def _keep_newest(articles: Sequence[StoryArticle], vectors: np.ndarray) -> Known:
    """Let go of the oldest: a run's memory must not grow with its feeds."""
    if len(articles) <= stories.MOST_RECENT:
        return Known(articles, vectors)
    rows = sorted(range(len(articles)), key=lambda row: articles[row].at)[-stories.MOST_RECENT :]
    return Known([articles[row] for row in rows], vectors[rows])
