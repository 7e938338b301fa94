"""What a topic would have sent: its past articles under the rules of a run, stories counted once. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from flows.alerts.budget import fit_threshold, has_room
from flows.alerts.rules import AlertPolicy, AlertRules, Match, may_stop, stopped_by
from flows.alerts.tiers import OutletTiers, Standing
from tocsin.decisions import StopRule, StoryScore
from tocsin.types import Article, Topic

# What a preview asks each article regardless of its score.
_LEAST = 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A past article that may have rung, and its score for the topic."""

    article: Article
    story_id: int
    score: float
    is_baseline: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is previewed, and what a run knew in it.

    `outlets` are those that have each story, in small letters, muted ones too; `heard` is how many they are
    without those, and the best tier among them (see `count_heard`).
    """

    since: datetime
    until: datetime
    policy: AlertPolicy
    baseline: bool = True
    outlets: Mapping[int, frozenset[str]] = field(default_factory=dict)
    heard: Mapping[int, tuple[int, Standing]] = field(default_factory=dict)

    @property
    def days(self) -> float:
        """Its length in days, at least one."""
        return max((self.until - self.since) / timedelta(days=1), 1.0)

    def list_days(self) -> list[date]:
        """List its days on the clock of the policy."""
        first, last = (at.astimezone(self.policy.zone).date() for at in (self.since, self.until))
        return [first + timedelta(days=number) for number in range((last - first).days + 1)]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a topic would have sent. `bar` is its threshold, or what its budget raises it to.

    `rings` has the article with which each story rings, in time; `stops` what stopped each of the others.
    """

    bar: float
    rings: Mapping[int, Candidate]
    stops: Mapping[int, StopRule]

    def count_days(self, span: Span) -> dict[date, int]:
        """Count what rings on each day of a span."""
        counts = dict.fromkeys(span.list_days(), 0)
        for each in self.rings.values():
            counts[each.article.first_seen_at.astimezone(span.policy.zone).date()] += 1
        return counts


def count_heard(outlets: Mapping[int, frozenset[str]], tiers: OutletTiers) -> dict[int, tuple[int, Standing]]:
    """Count the outlets of each story that are not muted, and name the best tier among them."""
    kinds: dict[frozenset[str], tuple[int, Standing]] = {}
    for names in set(outlets.values()):
        heard = tiers.heard(names)
        kinds[names] = len(heard), tiers.standing(heard)
    return {story: kinds[names] for story, names in outlets.items()}


def foresee(topic: Topic, candidates: Sequence[Candidate], span: Span) -> Foreseen:
    """Let past articles (in the order in which they came) ring, or be stopped by the rule that a run names.

    Stories ring once, by the first article that may. Outlets of a story count as they are at the end of the
    span, and a mute counts for nothing: a preview says what comes after it.
    """
    topic = topic.model_copy(update={"mute_until": None})
    bar = _fit_bar(topic, candidates, span)
    rings: dict[int, Candidate] = {}
    stops: dict[int, StopRule] = {}
    today: dict[date, list[float]] = {}
    judge = _Judge(topic, bar, span)
    for each in candidates:
        rule = judge.stop(each)
        if rule is not None:
            stops[each.article.article_id] = rule
            continue
        scores = today.setdefault(each.article.first_seen_at.astimezone(span.policy.zone).date(), [])
        if each.story_id in rings:
            rule = "story_told"
        elif not has_room(topic.daily_budget, scores, each.score):
            rule = "budget_spent"
        if rule is None:
            rings[each.story_id] = each
            scores.append(each.score)
        else:
            stops[each.article.article_id] = rule
    return Foreseen(bar, rings, stops)


def suggest_threshold(
    topic: Topic, candidates: Sequence[Candidate], span: Span, *, per_day: float
) -> tuple[float, Foreseen]:
    """Suggest the threshold that would have sent about so many alerts a day, and what it would have sent.

    With too few stories for that it is the lowest score among the candidates that may ring.
    """
    open_topic = topic.model_copy(update={"threshold": _LEAST, "daily_budget": None})
    best = sorted(_best_of_stories(open_topic, candidates, span).values(), reverse=True)
    wanted = round(per_day * span.days)
    if not best:
        threshold = topic.effective_threshold
    elif wanted == 0:
        threshold = min(1.0, _round_up(best[0] + 0.001))
    else:
        last = best[min(wanted, len(best)) - 1]
        under = best[wanted] if wanted < len(best) else 0.0
        threshold = _between(under, last)
    chosen = topic.model_copy(update={"threshold": threshold, "daily_budget": None})
    return threshold, foresee(chosen, candidates, span)


def _between(under: float, last: float) -> float:
    """Give a short number above `under` and at most `last`, where there is one."""
    short = math.floor(last * 1000) / 1000
    return short if under < short else last


def _round_up(value: float) -> float:
    return math.ceil(value * 1000) / 1000


def _fit_bar(topic: Topic, candidates: Sequence[Candidate], span: Span) -> float:
    if topic.daily_budget is None:
        return topic.effective_threshold
    best = _best_of_stories(topic.model_copy(update={"daily_budget": None}), candidates, span)
    past = [
        StoryScore(topic.name, story, score, span.outlets.get(story, frozenset()))
        for story, score in best.items()
    ]
    return fit_threshold(topic, past, span.days, span.policy.tiers)


def _best_of_stories(topic: Topic, candidates: Sequence[Candidate], span: Span) -> dict[int, float]:
    """Give the best score of each story that may ring at the topic's own threshold."""
    best: dict[int, float] = {}
    judge = _Judge(topic, topic.effective_threshold, span)
    for each in candidates:
        if judge.stop(each) is None:
            best[each.story_id] = max(each.score, best.get(each.story_id, 0.0))
    return best


class _Judge:
    """The rules of a run for one topic; those that cannot stop any of its articles are never asked."""

    def __init__(self, topic: Topic, bar: float, span: Span) -> None:
        self._topic, self._span = topic, span
        self._threshold = topic.effective_threshold
        self._fitted = {topic.name: bar}
        self._rules = may_stop(topic, self._rules_at(span.until, quiet_feeds=frozenset({"any"})))

    def stop(self, each: Candidate) -> StopRule | None:
        """Name the rule that stopped an article when it came; most are stopped by the first, asked ahead."""
        if each.score < self._threshold:
            return "below_threshold"
        article, heard = each.article, self._span.heard.get(each.story_id)
        count, standing = heard or (1, self._span.policy.tiers.standing([article.outlet]))
        rules = self._rules_at(
            article.first_seen_at,
            quiet_feeds=frozenset({article.feed_url} if each.is_baseline and self._span.baseline else ()),
            stories={article.article_id: each.story_id},
            outlets={each.story_id: count},
            standings={each.story_id: standing},
        )
        return stopped_by(Match(article, self._topic, each.score), rules, among=self._rules)

    def _rules_at(self, now: datetime, **facts: Any) -> AlertRules:
        """Make the rules as they were when an article came."""
        policy = self._span.policy
        return AlertRules(
            now=now,
            default_channel="",
            max_age=policy.max_age,
            tiers=policy.tiers,
            fitted=self._fitted,
            **facts,
        )
