"""Why each close article rang or did not, with the numbers that decided, as records and sentences. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from flows.alerts.decide import judge_matches
from flows.alerts.rules import AlertRules, Match, said_text
from tocsin.decisions import RULES, Decision, Rule
from tocsin.phrases import find_phrase
from tocsin.types import Alert, Topic


def record_decisions(
    close: Sequence[Match],
    alerts: Iterable[Alert],
    rules: AlertRules,
    *,
    before: Mapping[tuple[int, str], Rule] | None = None,
) -> list[Decision]:
    """Record which rule decided on each close (article, topic, channel), in the order of `close`.

    `alerts` are those that were decided of these matches. `before` has the rule of what waited for other
    outlets (by article id and topic); what waits on for the same rule is not recorded again.
    """
    before = before or {}
    alerts_of = {(alert.story_id, alert.channel): alert for alert in alerts}
    decisions = []
    for match, stop in zip(close, judge_matches(close, rules), strict=True):
        rings: Rule = "rings" if rules.hold_until is None else "rings_later"
        if before.get(match.key) != (stop or rings):
            story, channel = rules.story_of(match.article), rules.channel_of(match)
            alert = alerts_of.get((story, channel)) if stop is None else None
            decisions.append(_decide(match, stop or rings, rules, alert))
    return decisions


def _decide(match: Match, rule: Rule, rules: AlertRules, alert: Alert | None) -> Decision:
    topic = match.topic
    bare = Decision(
        article_id=match.article.article_id,
        topic=topic.name,
        topic_version=topic.version,
        channel=rules.channel_of(match),
        story_id=rules.story_of(match.article),
        rule=rule,
        score=match.score,
        threshold=topic.effective_threshold,
        decided_at=rules.now,
        fitted=rules.fitted.get(topic.name),
        outlets=rules.outlets_of(match.article),
        hold_until=rules.hold_until if rule == "rings_later" else None,
        alert_id=None if alert is None else alert.alert_id,
    )
    return replace(bare, explanation=_explain(bare, match, rules))


def _explain(decision: Decision, match: Match, rules: AlertRules) -> str:
    """Say a rule with its numbers, beginning with the sentence that the rule has everywhere."""
    said = _NUMBERS.get(decision.rule, _say_nothing)(decision, match, rules)
    return f"{RULES[decision.rule]} {said}".rstrip()


def _say_nothing(decision: Decision, match: Match, rules: AlertRules) -> str:
    del decision, match, rules
    return ""


def _say_threshold(decision: Decision, match: Match, rules: AlertRules) -> str:
    del match, rules
    return f"Score {decision.score:.3f}, threshold {decision.threshold:.3f}."


def _say_bar(decision: Decision, match: Match, rules: AlertRules) -> str:
    bar = rules.bar_of(match.topic)
    fitted = f", raised to {bar:.3f} by the daily budget" if bar > decision.threshold else ""
    return f"Score {decision.score:.3f}, threshold {decision.threshold:.3f}{fitted}."


def _say_age(decision: Decision, match: Match, rules: AlertRules) -> str:
    del decision
    published_at, limit = match.article.published_at, rules.max_age
    if published_at is None or limit is None:
        return ""
    return f"It is dated {_moment(published_at)}, more than {limit.days} days ago."


def _say_muted(decision: Decision, match: Match, rules: AlertRules) -> str:
    del decision, rules
    return f"Until {_moment(match.topic.mute_until)}." if match.topic.mute_until else ""


def _say_outlet(decision: Decision, match: Match, rules: AlertRules) -> str:
    del decision, rules
    return f"It is {match.article.outlet}."


def _say_language(decision: Decision, match: Match, rules: AlertRules) -> str:
    del decision, rules
    return f"It is in {match.article.language}; asked for: {', '.join(match.topic.languages)}."


def _say_must(decision: Decision, match: Match, rules: AlertRules) -> str:
    del decision, rules
    asked = match.topic.must
    more = f" and {len(asked) - 3} more" if len(asked) > 3 else ""
    return f"Asked for: {', '.join(asked[:3])}{more}."


def _say_never(decision: Decision, match: Match, rules: AlertRules) -> str:
    del decision, rules
    return f"It says: {find_phrase(match.topic.never, said_text(match.article))}."


def _say_told(decision: Decision, match: Match, rules: AlertRules) -> str:
    told = rules.told_of(match)
    topics, outlets = ", ".join(sorted(told.topics)), told.outlets
    return f"It was told of story {decision.story_id} on {topics}, when {_count(outlets)} had it."


def _say_outlets(decision: Decision, match: Match, rules: AlertRules) -> str:
    del rules
    return f"{_count(decision.outlets)} so far, {match.topic.min_outlets} needed."


def _say_budget(decision: Decision, match: Match, rules: AlertRules) -> str:
    del decision
    told = len(rules.told_today.get(match.topic.name, ()))
    return (
        f"Score {match.score:.3f}, {told} rang today before this run, the budget is {_budget(match.topic)}."
    )


def _say_hold(decision: Decision, match: Match, rules: AlertRules) -> str:
    until = f" Held until {_moment(decision.hold_until)}." if decision.hold_until else ""
    return _say_bar(decision, match, rules) + until


_NUMBERS: dict[Rule, Callable[[Decision, Match, AlertRules], str]] = {
    "below_threshold": _say_threshold,
    "too_old": _say_age,
    "topic_muted": _say_muted,
    "outlet_muted": _say_outlet,
    "other_outlet": _say_outlet,
    "other_language": _say_language,
    "lacks_phrase": _say_must,
    "never_phrase": _say_never,
    "story_told": _say_told,
    "few_outlets": _say_outlets,
    "low_tier": _say_bar,
    "below_budget": _say_bar,
    "budget_spent": _say_budget,
    "rings": _say_bar,
    "rings_later": _say_hold,
}


def _budget(topic: Topic) -> str:
    return f"{topic.daily_budget} a day"


def _count(outlets: int) -> str:
    return "1 outlet" if outlets == 1 else f"{outlets} outlets"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
