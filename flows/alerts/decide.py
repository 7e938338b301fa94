"""Which articles ring, and where: pure steps from scores to alerts. Knows nothing of Slack or storage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from tocsin.types import Alert, AlertCause, Article, Reason, Score, Told, Topic

StopRule = Literal["baseline", "too_old", "already_alerted", "story_told"]

# A jump in coverage takes at least so many outlets more, whatever the factor: from one to two is no news.
LEAST_JUMP = 3

# How far between its threshold and 1 a further topic of a told story must score to ring.
CLEARLY = 0.5

_NOT_TOLD = Told(frozenset())


@dataclass(frozen=True, slots=True)
class Match:
    """An article whose score for a topic reached the topic's threshold."""

    article: Article
    topic: Topic
    score: float


@dataclass(frozen=True, slots=True)
class AlertRules:
    """What decides whether a match rings.

    `quiet_feeds` are URLs of feeds whose first poll this is. `already_alerted` holds pairs of article id and
    channel as `channel_of` spells it. `max_age` is measured by the claimed date; None sets no limit.
    `stories` maps article ids to story ids (absent: a story of its own), `told` story and channel to what was
    decided before, `outlets` story ids to the number of outlets that have it now. `coverage_jump` is how many
    times as many outlets as told make a story ring once more; None: never.
    """

    now: datetime
    default_channel: str
    quiet_feeds: frozenset[str] = frozenset()
    already_alerted: AbstractSet[tuple[int, str]] = frozenset()
    max_age: timedelta | None = None
    stories: Mapping[int, int] = field(default_factory=dict)
    told: Mapping[tuple[int, str], Told] = field(default_factory=dict)
    outlets: Mapping[int, int] = field(default_factory=dict)
    coverage_jump: float | None = None

    def story_of(self, article: Article) -> int:
        """Return the id of an article's story."""
        return self.stories.get(article.article_id, article.article_id)

    def told_of(self, match: Match) -> Told:
        """Return what the match's channel was told of its story."""
        return self.told.get((self.story_of(match.article), self.channel_of(match.topic)), _NOT_TOLD)

    def channel_of(self, topic: Topic) -> str:
        """Return the channel that hears of a topic, without `#`, so that two spellings are one channel."""
        return (topic.channel or self.default_channel).removeprefix("#")


def find_matches(
    articles: Iterable[Article], scores: Iterable[Score], topics: Iterable[Topic]
) -> list[Match]:
    """Find every score at or above its topic's threshold, by article id, then highest score first.

    A score of an unknown article, of another version of the topic, or not a number, matches nothing. Of
    several scores for one article and topic the highest counts.
    """
    by_id = {article.article_id: article for article in articles}
    by_name = {(topic.name, topic.version): topic for topic in topics}
    best: dict[tuple[int, str], Match] = {}
    for score in scores:
        article, topic = by_id.get(score.article_id), by_name.get((score.topic, score.topic_version))
        if article is None or topic is None or not score.score >= topic.effective_threshold:
            continue
        rival = best.get((article.article_id, topic.name))
        if rival is None or score.score > rival.score:
            best[article.article_id, topic.name] = Match(article, topic, score.score)
    return sorted(best.values(), key=lambda match: (match.article.article_id, -match.score, match.topic.name))


def stopped_by(match: Match, rules: AlertRules) -> StopRule | None:
    """Name the first rule that keeps a match from ringing; None if it rings."""
    if match.article.feed_url in rules.quiet_feeds:
        return "baseline"
    published_at = match.article.published_at
    if rules.max_age is not None and published_at is not None and rules.now - published_at > rules.max_age:
        return "too_old"
    if (match.article.article_id, rules.channel_of(match.topic)) in rules.already_alerted:
        return "already_alerted"
    if _is_told(match, rules.told_of(match)) and not _has_jumped(match, rules):
        return "story_told"
    return None


def _is_told(match: Match, told: Told) -> bool:
    """Tell whether a channel knows the story, and the topic too or not clearly enough to ring again.

    Another outlet's wording often lifts a topic just over its threshold, which is no news.
    """
    least = match.topic.effective_threshold
    is_clear = match.score >= least + CLEARLY * (1 - least)
    return bool(told.topics) and (match.topic.name in told.topics or not is_clear)


def _has_jumped(match: Match, rules: AlertRules) -> bool:
    """Tell whether far more outlets have a told story than its channel knows; it rings once for that."""
    told = rules.told_of(match)
    if rules.coverage_jump is None or told.for_coverage:
        return False
    now = rules.outlets.get(rules.story_of(match.article), 1)
    return now >= max(rules.coverage_jump * told.outlets, told.outlets + LEAST_JUMP)


def select_matches(matches: Iterable[Match], rules: AlertRules) -> list[Match]:
    """Keep the matches that ring; only these need a reason."""
    return [match for match in matches if stopped_by(match, rules) is None]


def decide_alerts(
    matches: Sequence[Match], reasons: Mapping[tuple[int, str], Reason], rules: AlertRules
) -> list[Alert]:
    """Decide one alert per story and channel, in the order in which people should hear of them.

    It shows the article that was published first, and names every topic that any of the story's articles
    matched. A told story rings again for another topic that is clear, and for a jump in coverage.
    `reasons` says why, for an article id and a topic name; where one is missing the sentence is left empty.
    Rules are applied here too, so no caller can skip them. The same input gives the same ids.
    """
    groups: dict[tuple[int, str], list[Match]] = {}
    for match in select_matches(matches, rules):
        key = rules.story_of(match.article), rules.channel_of(match.topic)
        groups.setdefault(key, []).append(match)
    alerts = [_make_alert(key, group, reasons, rules) for key, group in groups.items()]
    return sorted(alerts, key=alert_order)


def alert_id_of(story_id: int, channel: str, further: str = "") -> str:
    """Return the alert's id, 24 hexadecimal digits, the same in every run.

    `further` says what a told story rings for again; empty for the first alert.
    """
    named = f"{story_id} {channel} {further}".rstrip()
    return hashlib.sha256(named.encode()).hexdigest()[:24]


def alert_order(alert: Alert) -> tuple[datetime, datetime, int, str]:
    """Sort key: decided first, then published first; an unknown or future date counts as the decision's."""
    published_at = min(alert.published_at or alert.decided_at, alert.decided_at)
    return (alert.decided_at, published_at, alert.article_id, alert.channel)


def _make_alert(
    key: tuple[int, str],
    matches: Sequence[Match],
    reasons: Mapping[tuple[int, str], Reason],
    rules: AlertRules,
) -> Alert:
    story, channel = key
    article = min((match.article for match in matches), key=_first_published)
    best = _best_by_topic(matches)
    cause, further = _cause(best, rules.told.get(key, _NOT_TOLD))
    return Alert(
        alert_id=alert_id_of(story, channel, further),
        article_id=article.article_id,
        channel=channel,
        title=article.title,
        url=article.url,
        outlet=article.outlet,
        published_at=article.published_at,
        decided_at=rules.now,
        reasons=tuple(
            reasons.get((match.article.article_id, match.topic.name))
            or Reason(match.topic.name, match.score, sentence="")
            for match in best
        ),
        story_id=story,
        cause=cause,
        outlets=rules.outlets.get(story, 1),
    )


def _first_published(article: Article) -> tuple[datetime, int]:
    at = min(article.published_at or article.first_seen_at, article.first_seen_at)
    return at, article.article_id


def _best_by_topic(matches: Sequence[Match]) -> list[Match]:
    """Keep the best match of each topic, highest score first."""
    ranked = sorted(matches, key=lambda match: (-match.score, match.topic.name, match.article.article_id))
    return list({match.topic.name: match for match in reversed(ranked)}.values())[::-1]


def _cause(matches: Sequence[Match], told: Told) -> tuple[AlertCause, str]:
    """Say why a story rings, and what stands for that in the alert's id."""
    if not told.topics:
        return "story", ""
    further = sorted({match.topic.name for match in matches} - told.topics)
    return ("topic", " ".join(further)) if further else ("coverage", "coverage")
