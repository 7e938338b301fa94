"""Finds topics whose volume left its baseline: robust statistics by hour and weekday (pure)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import fmean, median
from typing import Literal

Sensitivity = Literal["fewer", "balanced", "more"]

WINDOWS = (6, 24)  # hours: a sudden burst, and one that builds up over a day
WEEKS = 8
LEAST_OUTLETS = 2
_LEAST_WEEKDAYS = 4  # of the 8 same weekdays, as for the z-score of `topic_trend`
_TO_SIGMA = 1.4826  # a median absolute deviation of a normal distribution, in standard deviations
_FEW = 3  # matches in a window
_TRIMMED = 0.1  # of the days, the loudest, that say nothing of chance


@dataclass(frozen=True, slots=True)
class SpikeRule:
    """How far from its baseline a topic must be, and how long it is silent after it was told.

    `factor` is in times the usual, `least` in matches.
    """

    z_score: float
    factor: float
    least: int
    cooldown: timedelta


RULES: Mapping[Sensitivity, SpikeRule] = {
    "fewer": SpikeRule(7.0, 3.0, 8, timedelta(days=7)),
    "balanced": SpikeRule(5.0, 2.5, 6, timedelta(days=3)),
    "more": SpikeRule(4.0, 2.0, 5, timedelta(days=1)),
}


@dataclass(frozen=True, slots=True)
class Volume:
    """A topic in a window that ended a number of days ago, at this time of day.

    `expected` is what the window's feeds would have matched at each feed's usual share (docs/trends.md);
    feeds of which no usual share is known count neither in it nor in `matches`.
    """

    topic: str
    hours: int
    days_ago: int
    matches: int
    expected: float


@dataclass(frozen=True, slots=True)
class FoundSpike:
    """A topic and window beyond its baseline: matches, what is usual, and the distance."""

    topic: str
    hours: int
    matches: int
    usual: float
    z_score: float


def find_spikes(
    volumes: Iterable[Volume],
    by_outlet: Mapping[tuple[str, int], Sequence[int]],
    rule: SpikeRule,
    *,
    told: Mapping[str, datetime],
    now: datetime,
) -> list[FoundSpike]:
    """Find the topics that spike `now`, each for its shortest window that shows it, farthest first.

    `by_outlet` has by topic and window (hours) the matches of each outlet in the newest window; `told` says
    when a topic's last spike was decided.
    """
    windows = defaultdict[tuple[str, int], dict[int, Volume]](dict)
    for volume in volumes:
        windows[volume.topic, volume.hours][volume.days_ago] = volume
    spiking: dict[str, FoundSpike] = {}
    for (topic, hours), days in sorted(windows.items()):
        if topic in spiking or _is_cooling(told.get(topic), rule, now):
            continue
        found = judge_window(days)
        if found is not None and _is_beyond(_without_soloist(days, by_outlet.get((topic, hours), ())), rule):
            spiking[topic] = found
    return sorted(spiking.values(), key=lambda found: (-found.z_score, found.topic))


def may_spike(by_outlet: Sequence[int], rule: SpikeRule) -> bool:
    """Tell whether matches by outlet are enough at all, so that nobody needs to know what is usual."""
    return len(by_outlet) >= LEAST_OUTLETS and _counted(by_outlet) >= rule.least


def _counted(by_outlet: Sequence[int]) -> int:
    """Count matches, the loudest outlet's for no more than all others' together."""
    others = sum(by_outlet) - max(by_outlet)
    return others + min(others, max(by_outlet))


def _without_soloist(days: Mapping[int, Volume], by_outlet: Sequence[int]) -> FoundSpike | None:
    """Judge a window in which the loudest outlet counts for no more than all others together.

    So one outlet's series is no spike, however many others had one article of the topic too.
    """
    if len(by_outlet) < LEAST_OUTLETS:
        return None
    matches = min(days[0].matches, _counted(by_outlet))
    return judge_window({**days, 0: replace(days[0], matches=matches)})


def judge_window(days: Mapping[int, Volume]) -> FoundSpike | None:
    """Compare a window with the same hours of the weeks before; None where too little is known.

    The middle is what `_usual_ratio` gives. Deviations are those of all weekdays, each from its own
    median, since eight weeks of one weekday tell little of how much it varies. Chance alone (Poisson) is a
    floor, so that tiny counts do not fire.
    """
    newest = days.get(0)
    if newest is None or newest.expected <= 0:
        return None
    by_weekday = _ratios_by_weekday(days)
    if len(by_weekday[0]) < _LEAST_WEEKDAYS:
        return None
    middle = _usual_ratio(days, by_weekday)
    deviations = [abs(ratio - median(ratios)) for ratios in by_weekday.values() for ratio in ratios]
    chance = (middle * newest.expected + 1) ** 0.5 / newest.expected
    scale = max(_TO_SIGMA * median(deviations), chance)
    return FoundSpike(
        topic=newest.topic,
        hours=newest.hours,
        matches=newest.matches,
        usual=middle * newest.expected,
        z_score=(newest.matches / newest.expected - middle) / scale,
    )


def _usual_ratio(days: Mapping[int, Volume], by_weekday: Mapping[int, Sequence[float]]) -> float:
    """Give the median of the same weekday; with few matches at least the trimmed mean of all days.

    A median of small whole numbers jumps between 0 and 1, and 0 would make anything unusual.
    """
    weeks = [days[7 * week].matches for week in range(1, WEEKS + 1) if 7 * week in days]
    middle = median(by_weekday[0])
    if sum(weeks) >= _FEW * len(weeks):
        return middle
    ordered = sorted(ratio for ratios in by_weekday.values() for ratio in ratios)
    return max(middle, fmean(ordered[: max(1, round(len(ordered) * (1 - _TRIMMED)))]))


def _ratios_by_weekday(days: Mapping[int, Volume]) -> dict[int, list[float]]:
    ratios = defaultdict[int, list[float]](list)
    for days_ago in range(1, 7 * WEEKS + 1):
        volume = days.get(days_ago)
        if volume is not None and volume.expected > 0:
            ratios[days_ago % 7].append(volume.matches / volume.expected)
    return ratios


def _is_beyond(found: FoundSpike | None, rule: SpikeRule) -> bool:
    return (
        found is not None
        and found.z_score >= rule.z_score
        and found.matches >= rule.least
        and found.matches >= rule.factor * found.usual
    )


def _is_cooling(told_at: datetime | None, rule: SpikeRule, now: datetime) -> bool:
    return told_at is not None and now - told_at < rule.cooldown


def lead_stories(counts: Mapping[int, Sequence[str]], *, most: int) -> list[int]:
    """Rank stories by how many outlets tell them; `counts` has the outlets of each story's matches."""
    return sorted(counts, key=lambda story: (-len(set(counts[story])), -len(counts[story]), story))[:most]
