"""Whether the news of now differ from those before, by the population stability index of counts. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

# Bins of scores: about even steps in log-odds, since most scores lie near 0.
EDGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)

# Of the population stability index; where nothing is known of a measure, these are what is used in practice.
LITTLE, MUCH = 0.1, 0.25
LEAST_BEFORE, LEAST_NOW = 200, 50  # articles
LEAST_DAYS_BEFORE, LEAST_DAYS_NOW = 7, 3
RARE = 0.02  # a language or outlet below this share is counted among the others
OTHERS = "all others"
_Z = 2.326  # of the normal distribution: 99 in 100 lie below

Verdict = Literal["too little data", "steady", "moved a little", "moved"]


@dataclass(frozen=True, slots=True)
class Mix:
    """The same groups counted before and now."""

    before: Mapping[str, int]
    now: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Drift:
    """One measure. `index` is None where there is too little data.

    `noise` is what chance alone stays below 99 times in 100. `shares` are those that moved most, as
    (group, share before, share now).
    """

    measure: str
    verdict: Verdict
    before: int
    now: int
    index: float | None
    noise: float | None
    shares: tuple[tuple[str, float, float], ...] = ()


def stability_index(before: Sequence[int], now: Sequence[int]) -> float:
    """Return the population stability index of two counts of the same groups; 0 means the same shares.

    Half an article is added to each group, so that an empty one does not make it infinite.
    """
    first, second = np.array(before, dtype=np.float64) + 0.5, np.array(now, dtype=np.float64) + 0.5
    first, second = first / first.sum(), second / second.sum()
    return float(((second - first) * np.log(second / first)).sum())


def noise_level(before: int, now: int, groups: int) -> float:
    """Return the index below which two samples of the same source stay 99 times in 100.

    The index of like samples is about (1 / before + 1 / now) times chi-square with one degree of freedom
    fewer than groups (Yurdakul and Naranjo, Statistical properties of the population stability index, 2020);
    its quantile is Wilson and Hilferty's.
    """
    freedom = max(groups - 1, 1)
    spread = 2 / (9 * freedom)
    return (1 / before + 1 / now) * freedom * (1 - spread + _Z * math.sqrt(spread)) ** 3


def judge_mix(measure: str, mix: Mix, *, days: tuple[int, int]) -> Drift:
    """Compare what `mix` counts. `days`: on how many days articles were seen, before and now.

    There is too little data where articles or days are few, or where chance alone could look like a move.
    """
    total = (sum(mix.before.values()), sum(mix.now.values()))
    groups = [name for name in {**mix.before, **mix.now} if mix.before.get(name, 0) + mix.now.get(name, 0)]
    noise = noise_level(*total, len(groups)) if all(total) else None
    if noise is None or noise >= MUCH or not _is_enough(total, days):
        return Drift(measure, "too little data", *total, None, noise)
    pairs = [(mix.before.get(name, 0), mix.now.get(name, 0)) for name in groups]
    index = stability_index([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    shares = [(name, a / total[0], b / total[1]) for name, (a, b) in zip(groups, pairs, strict=True)]
    moved = sorted(shares, key=lambda share: -abs(share[2] - share[1]))
    return Drift(measure, _judge(index, noise), *total, index, noise, tuple(moved[:3]))


def _is_enough(articles: tuple[int, int], days: tuple[int, int]) -> bool:
    return (
        articles[0] >= LEAST_BEFORE
        and articles[1] >= LEAST_NOW
        and days[0] >= LEAST_DAYS_BEFORE
        and days[1] >= LEAST_DAYS_NOW
    )


def _judge(index: float, noise: float) -> Verdict:
    if index < max(LITTLE, noise):
        return "steady"
    return "moved a little" if index < MUCH else "moved"


def join_rare(mix: Mix) -> Mix:
    """Count the groups that are rare before and now together, as `OTHERS`."""
    first, second = max(sum(mix.before.values()), 1), max(sum(mix.now.values()), 1)
    common = {
        name
        for name in {**mix.before, **mix.now}
        if mix.before.get(name, 0) >= RARE * first or mix.now.get(name, 0) >= RARE * second
    }
    return Mix(_join(mix.before, common), _join(mix.now, common))


def _join(counts: Mapping[str, int], common: set[str]) -> dict[str, int]:
    kept = {name: count for name, count in counts.items() if name in common}
    rest = sum(counts.values()) - sum(kept.values())
    return {**kept, OTHERS: rest} if rest else kept


def name_bins(counts: Sequence[int]) -> dict[str, int]:
    """Name the bins of scores that `EDGES` make."""
    names = [f"{low:g} to {high:g}" for low, high in pairwise([0, *EDGES, 1])]
    return dict(zip(names, counts, strict=True))
