"""Which articles ring, and where: pure steps from matches to alerts. Knows nothing of Slack or storage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from flows.alerts.budget import over_budget
from flows.alerts.rules import AlertRules, Match, stopped_by
from tocsin.decisions import StopRule
from tocsin.types import Alert, AlertCause, Article, Reason, Told

_NOT_TOLD = Told(frozenset())


def judge_matches(matches: Sequence[Match], rules: AlertRules) -> list[StopRule | None]:
    """Name for each match the rule that stops it, None if it rings; the order changes nothing."""
    alone = [stopped_by(match, rules) for match in matches]
    free = [match for match, rule in zip(matches, alone, strict=True) if rule is None]
    spent = over_budget(free, rules)
    return [
        "budget_spent" if rule is None and match.key in spent else rule
        for match, rule in zip(matches, alone, strict=True)
    ]


def select_matches(matches: Iterable[Match], rules: AlertRules) -> list[Match]:
    """Keep the matches that ring; only these need a reason."""
    matches = list(matches)
    verdicts = judge_matches(matches, rules)
    return [match for match, rule in zip(matches, verdicts, strict=True) if rule is None]


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
        key = rules.story_of(match.article), rules.channel_of(match)
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
        hold_until=rules.hold_until,
    )


def _first_published(article: Article) -> tuple[datetime, datetime, int]:
    at = min(article.published_at or article.first_seen_at, article.first_seen_at)
    return at, article.first_seen_at, article.article_id


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
