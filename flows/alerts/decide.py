"""Which articles ring, and where: pure steps from scores to alerts. Knows nothing of Slack or storage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from tocsin.types import Alert, Article, Reason, Score, Topic

StopRule = Literal["baseline", "too_old", "already_alerted"]


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
    """

    now: datetime
    default_channel: str
    quiet_feeds: frozenset[str] = frozenset()
    already_alerted: AbstractSet[tuple[int, str]] = frozenset()
    max_age: timedelta | None = None

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
    return None


def select_matches(matches: Iterable[Match], rules: AlertRules) -> list[Match]:
    """Keep the matches that ring; only these need a reason."""
    return [match for match in matches if stopped_by(match, rules) is None]


def decide_alerts(
    matches: Sequence[Match], reasons: Mapping[tuple[int, str], Reason], rules: AlertRules
) -> list[Alert]:
    """Decide one alert per article and channel, in the order in which people should hear of them.

    `reasons` says why, for an article id and a topic name; where one is missing the sentence is left empty.
    Rules are applied here too, so no caller can skip them. The same input gives the same ids.
    """
    groups: dict[tuple[int, str], list[Match]] = {}
    for match in select_matches(matches, rules):
        groups.setdefault((match.article.article_id, rules.channel_of(match.topic)), []).append(match)
    alerts = [_make_alert(channel, group, reasons, rules.now) for (_, channel), group in groups.items()]
    return sorted(alerts, key=alert_order)


def alert_id_of(article_id: int, channel: str) -> str:
    """Return the alert's id, 24 hexadecimal digits, the same in every run."""
    return hashlib.sha256(f"{article_id} {channel}".encode()).hexdigest()[:24]


def alert_order(alert: Alert) -> tuple[datetime, datetime, int, str]:
    """Sort key: decided first, then published first; an unknown or future date counts as the decision's."""
    published_at = min(alert.published_at or alert.decided_at, alert.decided_at)
    return (alert.decided_at, published_at, alert.article_id, alert.channel)


def _make_alert(
    channel: str, matches: Sequence[Match], reasons: Mapping[tuple[int, str], Reason], now: datetime
) -> Alert:
    article = matches[0].article
    ranked = sorted(matches, key=lambda match: (-match.score, match.topic.name))
    return Alert(
        alert_id=alert_id_of(article.article_id, channel),
        article_id=article.article_id,
        channel=channel,
        title=article.title,
        url=article.url,
        outlet=article.outlet,
        published_at=article.published_at,
        decided_at=now,
        reasons=tuple(
            reasons.get((article.article_id, match.topic.name))
            or Reason(match.topic.name, match.score, sentence="")
            for match in ranked
        ),
    )
