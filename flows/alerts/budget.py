"""A topic's daily budget: the threshold that would have kept it, and what a full day lets through. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flows.alerts.rules import AlertRules, Match, is_clear, lacks_outlets, needs_second
from flows.alerts.tiers import OutletTiers
from tocsin.decisions import StoryScore
from tocsin.types import Topic

# Whatever comes, a day has at most so many times its budget.
MOST = 2

# With less past than this a fit would be chance; until then only the day's end is kept.
LEAST_DAYS = 7


def fit_threshold(topic: Topic, past: Iterable[StoryScore], days: float, tiers: OutletTiers) -> float:
    """Fit the score that would have made about `daily_budget` alerts a day over the last `days`.

    A story counts once, by its best score, if it had the outlets that it needs. The result is at least the
    topic's own threshold, and just that with less than a week of past or too few stories to fill the budget.
    """
    floor = topic.effective_threshold
    if topic.daily_budget is None or days < LEAST_DAYS:
        return floor
    kept = [each.score for each in past if each.topic == topic.name and _would_ring(each, topic, tiers)]
    wanted = round(topic.daily_budget * days)
    return sorted(kept, reverse=True)[wanted - 1] if wanted < len(kept) else floor


def _would_ring(story: StoryScore, topic: Topic, tiers: OutletTiers) -> bool:
    heard, floor = tiers.heard(story.outlets), topic.effective_threshold
    standing = tiers.standing(heard)
    if not heard or story.score < floor or lacks_outlets(topic, len(heard), standing):
        return False
    return not needs_second(standing, len(heard), story.score, floor)


def over_budget(matches: Iterable[Match], rules: AlertRules) -> frozenset[tuple[int, str]]:
    """Find which of the matches that nothing else stops are too many for today, as (article id, topic).

    Stories are taken by their best score, so the order of articles does not matter. While a topic has alerts
    left for the day they ring; then only what is clearly above the weakest that rang today, until the day
    has had twice its budget.
    """
    stopped: set[tuple[int, str]] = set()
    for topic, stories in _by_topic(matches, rules).items():
        scores = list(rules.told_today.get(topic.name, ()))
        for story in sorted(stories, key=lambda story: (-_best(stories[story]), story)):
            best = _best(stories[story])
            if has_room(topic.daily_budget, scores, best):
                scores.append(best)
            else:
                stopped |= {match.key for match in stories[story]}
    return frozenset(stopped)


def _by_topic(matches: Iterable[Match], rules: AlertRules) -> Mapping[Topic, dict[int, list[Match]]]:
    found: dict[Topic, dict[int, list[Match]]] = {}
    for match in matches:
        if match.topic.daily_budget is not None:
            story = rules.story_of(match.article)
            found.setdefault(match.topic, {}).setdefault(story, []).append(match)
    return found


def _best(matches: Sequence[Match]) -> float:
    return max(match.score for match in matches)


def has_room(budget: int | None, today: Sequence[float], score: float) -> bool:
    """Tell whether a score may ring on a day that rang with these already (no budget: always)."""
    if budget is None or len(today) < budget:
        return True
    return len(today) < MOST * budget and is_clear(score, min(today))
