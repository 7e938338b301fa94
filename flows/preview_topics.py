"""What changed topics would have sent: past scores under the rules of a run. Reads only; no Prefect.

It reads the database of the runs, since vectors are not published: a few times and shortly, waiting with
jitter while a run writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from flows.alerts.foresee import Candidate, Foreseen, Span, count_heard, foresee, suggest_threshold
from flows.alerts.quiet import start_of_day
from flows.chosen import alert_policy, topics_in_use
from flows.past_scores import PastScores, Side, score_past
from flows.preview_report import Sent, Suggestion, TopicPreview, WouldBe
from storage.database import Database
from storage.folder import history_path
from storage.past import PastArticle, load_past_articles
from storage.stories import load_outlets
from storage.topic_history import load_definitions
from storage.topics import newest_topics
from tocsin.changes import compare_topics, say_changes
from tocsin.settings import Settings
from tocsin.types import Topic

# Of each version at least so many of the best scores are looked at, and all that are close to its threshold.
BEST = 1_000
CLOSE = 0.8
NEAR = 5  # articles shown on either side of the threshold


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """What to preview: topics as they would be (None: as they are), over the last days, today included.

    `per_day`: suggest the threshold for so many alerts a day. `baseline`: what came with the first poll of
    its feed rings nobody.
    """

    topics: Sequence[Topic] | None = None
    days: int = 30
    per_day: float | None = None
    baseline: bool = True


def preview_topics(settings: Settings, request: PreviewRequest, *, now: datetime) -> list[TopicPreview]:
    """Say for each topic what it would have sent beside the version in use.

    Raises: StorageError if there is no history yet, StorageBusy if it stays held.
    """
    db = Database(history_path(settings.data))
    db.require_history()
    with db.read() as con:
        recorded, known = newest_topics(con), load_definitions(con)
    used = {topic.name: topic.leaning(settings.sensitivity) for topic in recorded or topics_in_use(settings)}
    asked = used.values() if request.topics is None else request.topics
    wanted = [topic.leaning(settings.sensitivity) for topic in asked]
    policy = alert_policy(settings)
    since = start_of_day(now, policy.zone) - timedelta(days=request.days - 1)
    sides = [Side(topic, used.get(topic.name)) for topic in wanted]
    past = score_past(db, settings, sides, since=since, known=known)
    best = max(BEST, round(2 * (request.per_day or 0) * request.days))
    found = {side.topic.name: _choose(past, side, best) for side in sides}
    needs_texts = any(topic.has_phrases for side in sides for topic in side.versions)
    with db.read() as con:
        ids = sorted({each for chosen in found.values() for each in chosen})
        articles = load_past_articles(con, ids, with_texts=needs_texts)
        outlets = load_outlets(con, sorted({each.story_id for each in articles}))
    begun = max(since, start_of_day(past.first_seen_at, policy.zone)) if past.first_seen_at else since
    outlets = {each.story_id: frozenset({each.article.outlet.lower()}) for each in articles} | outlets
    heard = count_heard(outlets, policy.tiers)
    span = Span(begun, now, policy, request.baseline, outlets, heard)
    return [_preview(side, past, _pick(articles, found[side.topic.name]), span, request) for side in sides]


def _choose(past: PastScores, side: Side, count: int) -> set[int]:
    """Choose the articles that one of the versions may ring with, or would at a lower threshold."""
    found: set[int] = set()
    for topic in side.versions:
        scores = past.scores_of(topic)
        best = np.argsort(-scores, kind="stable")[:count]
        close = np.flatnonzero(scores >= topic.effective_threshold * CLOSE)
        found.update(past.ids[np.union1d(best, close)].tolist())
    return found


def _pick(articles: Sequence[PastArticle], ids: set[int]) -> list[PastArticle]:
    return [each for each in articles if each.article.article_id in ids]


def _preview(
    side: Side, past: PastScores, articles: Sequence[PastArticle], span: Span, request: PreviewRequest
) -> TopicPreview:
    topic, used = side.topic, side.used
    after = _Version(topic, past, articles, span)
    before = None if used is None else _Version(used, past, articles, span)
    pair = _Pair(after, before)
    old_days = before.foreseen.count_days(span) if before else None
    new_days = after.foreseen.count_days(span)
    suggestion = None
    if request.per_day is not None:
        threshold, would = suggest_threshold(topic, after.candidates, span, per_day=request.per_day)
        suggestion = Suggestion(request.per_day, threshold, len(would.rings) / span.days)
    return TopicPreview(
        topic=topic.name,
        changes="a new topic" if used is None else say_changes(compare_topics(used, topic)),
        days=span.days,
        articles=len(past.ids),
        read=past.read,
        from_scores=past.is_stored(topic),
        before=before.sum_up(span) if before else None,
        after=after.sum_up(span),
        kept=len(pair.kept),
        by_day={
            day.isoformat(): (old_days[day] if old_days is not None else None, count)
            for day, count in new_days.items()
        },
        gained=pair.gained(),
        lost=pair.lost(),
        above=pair.nearest(above=True),
        below=pair.nearest(above=False),
        suggestion=suggestion,
    )


class _Version:
    """One version of a topic on the past: its candidates, and what it would have sent."""

    def __init__(self, topic: Topic, past: PastScores, articles: Sequence[PastArticle], span: Span) -> None:
        self.topic = topic
        places = np.searchsorted(past.ids, [each.article.article_id for each in articles])
        values = past.scores_of(topic)[places].tolist() if len(articles) else []
        self.candidates = [
            Candidate(each.article, each.story_id, score, each.is_baseline)
            for each, score in zip(articles, values, strict=True)
        ]
        self.scores = {each.article.article_id: each.score for each in self.candidates}
        self.foreseen: Foreseen = foresee(topic, self.candidates, span)

    def sum_up(self, span: Span) -> Sent:
        alerts = len(self.foreseen.rings)
        return Sent(self.topic.version, self.foreseen.bar, alerts, alerts / span.days)


class _Pair:
    """The changed version beside the one in use, story by story."""

    def __init__(self, after: _Version, before: _Version | None) -> None:
        self._after, self._before = after, before
        self._old: Mapping[int, Candidate] = before.foreseen.rings if before else {}
        self._new: Mapping[int, Candidate] = after.foreseen.rings
        self.kept = self._old.keys() & self._new.keys()

    def gained(self) -> tuple[WouldBe, ...]:
        return tuple(self._show(self._new[story]) for story in self._new if story not in self._old)

    def lost(self) -> tuple[WouldBe, ...]:
        return tuple(self._show(self._old[story]) for story in self._old if story not in self._new)

    def nearest(self, *, above: bool) -> tuple[WouldBe, ...]:
        """Show the nearest article of each story on one side of the threshold."""
        bar = self._after.foreseen.bar
        side = [each for each in self._after.candidates if (each.score >= bar) is above]
        stories: dict[int, Candidate] = {}
        for each in sorted(side, key=lambda each: (abs(each.score - bar), each.article.article_id)):
            stories.setdefault(each.story_id, each)
            if len(stories) == NEAR:
                break
        return tuple(map(self._show, stories.values()))

    def _show(self, each: Candidate) -> WouldBe:
        article = each.article
        return WouldBe(
            article_id=article.article_id,
            story_id=each.story_id,
            title=article.title,
            outlet=article.outlet,
            url=article.url,
            first_seen_at=article.first_seen_at.isoformat(),
            score=self._after.scores[article.article_id],
            score_before=self._before.scores[article.article_id] if self._before else None,
            why=self._after.foreseen.stops.get(article.article_id),
        )
