"""The rule of stories: what is looked at in two articles, and what makes log-odds of one event of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from models.encode import Vectors
from models.story_words import (
    Shared,
    StoryWords,
    are_twins,
    compare_words,
    have_other_names,
    have_other_sums,
)
from tocsin.errors import ModelError
from tocsin.types import StoryArticle

PATH = Path(__file__).parent / "stories.json"
RESTORE = (
    "restore it with `git checkout -- models/stories.json`, or refit with `python -m models.fit_stories`"
)

SAME_ISSUE = timedelta(hours=12)  # what an outlet writes later is the next thing that happened
AGAINST = -6.0  # log-odds of two articles that are no copies where only copies join, and of twins
COPY, COPY_COSINE, COPY_TFIDF = 6.0, 0.9, 0.7  # log-odds of a copy, and what makes one
FEATURES = ("cosine", "tfidf", "headline", "rare", "root_days", "other_names")
EVENT_COSINE = "event_cosine"
ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Limits:
    """An article joins a story if its best log-odds reach `threshold`.

    And if their mean over the articles of the story that were compared reaches `company`.
    """

    threshold: float
    company: float


@dataclass(frozen=True)
class CloserRule:
    """What a closer reading makes of a pair: log-odds from the features and the cosine of its event vectors.

    Only pairs whose log-odds at sight reach `doubtful` are read closer, by the encoder `event_revision`.
    """

    event_revision: str
    weights: Mapping[str, float]
    offset: float
    doubtful: float

    @cached_property
    def vector(self) -> Vectors:
        """Give the weights in the order of `FEATURES` and the cosine's last, float32 (features + 1,)."""
        return np.array([self.weights[name] for name in (*FEATURES, EVENT_COSINE)], dtype=np.float32)

    def weigh(self, features: Vectors, cosine: float) -> float:
        """Give the log-odds of a pair by its features and the cosine of its event vectors."""
        return float(self.vector[:-1] @ features + self.vector[-1] * cosine) + self.offset


@dataclass(frozen=True)
class StoryRule:
    """What was fitted: log-odds of one event are weights times features plus offset, at sight.

    `report` is what was measured when this was fitted.
    """

    encoder_revision: str
    weights: Mapping[str, float]
    offset: float
    limits: Limits
    closer: CloserRule | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    version: int = 3

    @cached_property
    def vector(self) -> Vectors:
        """Give the weights in the order of `FEATURES`, float32 (features,)."""
        return np.array([self.weights[name] for name in FEATURES], dtype=np.float32)


def read_rule(path: Path = PATH) -> StoryRule:
    """Read what `write_rule` wrote. Raises: ModelError if it is missing or not as written."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        closer = CloserRule(**told["closer"]) if told.get("closer") else None
        rule = StoryRule(**told | {"limits": Limits(**told["limits"]), "closer": closer})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} cannot be read ({error}): {RESTORE}", path=path) from error
    closer_names = {*FEATURES, EVENT_COSINE} if rule.closer is None else set(rule.closer.weights)
    if set(rule.weights) != set(FEATURES) or closer_names != {*FEATURES, EVENT_COSINE}:
        raise ModelError(f"{path} has other features than {', '.join(FEATURES)}: {RESTORE}", path=path)
    return rule


def write_rule(rule: StoryRule, path: Path = PATH) -> None:
    """Write a rule so that it can be read by people too."""
    path.write_text(json.dumps(asdict(rule), indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Look:
    """A pair: log-odds, features float32 (features,), and whether these made the log-odds."""

    odds: float
    features: Vectors
    is_open: bool


def look_at(
    rule: StoryRule,
    pair: tuple[StoryArticle, StoryArticle],
    words: tuple[StoryWords, StoryWords],
    cosine: float,
) -> Look:
    """Look at two articles: how near they are, their words, who wrote them and when."""
    one, other = pair
    shared = compare_words(*words)
    features = measure_pair(one, other, cosine, shared)
    if not _are_english(one, other) or is_one_outlet(one, other):
        others = have_other_names(*words) or have_other_sums(*words)
        joins = is_copy(cosine, shared, one, other) and not is_next_issue(one, other) and not others
        return Look(COPY if joins else AGAINST, features, is_open=False)
    if are_twins(*words):
        return Look(AGAINST, features, is_open=False)
    return Look(float(rule.vector @ features) + rule.offset, features, is_open=True)


def is_next_issue(one: StoryArticle, other: StoryArticle) -> bool:
    """Tell whether an outlet comes back to its own matter later: market reports, previews, round-ups."""
    return is_one_outlet(one, other) and abs(one.at - other.at) > SAME_ISSUE


def is_one_outlet(one: StoryArticle, other: StoryArticle) -> bool:
    """Tell whether one outlet wrote both, which is seldom twice of one event unless the second is a copy."""
    return one.outlet.casefold() == other.outlet.casefold()


def measure_pair(one: StoryArticle, other: StoryArticle, cosine: float, shared: Shared) -> Vectors:
    """Measure two articles, in the order of `FEATURES`: float32 (features,)."""
    days = abs(one.at - other.at) / timedelta(days=1)
    measured = [cosine, shared.tfidf, shared.headline, shared.rare, math.sqrt(days), shared.other_names]
    return np.array(measured, dtype=np.float32)


def is_copy(cosine: float, shared: Shared, one: StoryArticle, other: StoryArticle) -> bool:
    """Tell a copy: all that joins in one outlet, and outside English, where nothing was measured."""
    return one.language == other.language and cosine >= COPY_COSINE and shared.tfidf >= COPY_TFIDF


def _are_english(one: StoryArticle, other: StoryArticle) -> bool:
    return one.language in {ENGLISH, None} and other.language in {ENGLISH, None}
