"""Which articles tell of one event: new articles join stories or begin them. Knows no topic and no database.

Each article of a story is likely to tell the same event as those before it. Precision goes first: a story
that swallows another event hides news, two stories of one event cost one alert more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from models.background import load_background
from models.encode import Vectors
from models.story_words import Shared, StoryWords, Weights, compare_words, speak_against
from tocsin.errors import ModelError
from tocsin.types import StoryArticle, StoryTie

PATH = Path(__file__).parent / "stories.json"
RESTORE = (
    "restore it with `git checkout -- models/stories.json`, or refit with `python -m models.fit_stories`"
)

WINDOW = timedelta(hours=72)  # a story waits so long for its next article
LONGEST = timedelta(days=7)  # and is never longer
SAME_ISSUE = timedelta(hours=12)  # what an outlet writes later is the next thing that happened
NEAR = 0.5  # cosine under which two articles are not compared further
MOST_COMPARED = 40  # nearest articles that a new one is compared with
FAR = -2.0  # log-odds of articles of one story that were too far from the new one to be compared
AGAINST = -6.0  # log-odds of two articles whose names or amounts differ
COPY, COPY_COSINE, COPY_TFIDF = 6.0, 0.9, 0.7  # log-odds of a copy, and what makes one
BLOCK = 256
FEATURES = ("cosine", "tfidf", "headline", "rare", "root_days")
ENGLISH = "en"


@dataclass(frozen=True)
class StoryRule:
    """What was fitted: log-odds of one event are weights times features plus offset.

    An article joins a story if its best log-odds reach `threshold`, and their mean over the articles of the
    story that were compared reaches `company`. `report` is what was measured when this was fitted.
    """

    encoder_revision: str
    weights: Mapping[str, float]
    offset: float
    threshold: float
    company: float
    report: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1

    @cached_property
    def vector(self) -> Vectors:
        """Give the weights in the order of `FEATURES`, float32 (features,)."""
        return np.array([self.weights[name] for name in FEATURES], dtype=np.float32)


def read_rule(path: Path = PATH) -> StoryRule:
    """Read what `write_rule` wrote. Raises: ModelError if it is missing or not as written."""
    try:
        rule = StoryRule(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path} cannot be read ({error}): {RESTORE}", path=path) from error
    if set(rule.weights) != set(FEATURES):
        raise ModelError(f"{path} has other features than {', '.join(FEATURES)}: {RESTORE}", path=path)
    return rule


def write_rule(rule: StoryRule, path: Path = PATH) -> None:
    """Write a rule so that it can be read by people too."""
    path.write_text(json.dumps(asdict(rule), indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Known:
    """Articles of the last days with their stories: `vectors` float32 (n, d), unit rows, of one encoder."""

    articles: Sequence[StoryArticle]
    vectors: Vectors


class Storyteller:
    """Ties articles to stories under one rule."""

    def __init__(self, rule: StoryRule, weights: Weights) -> None:
        self._rule = rule
        self._weights = weights

    def tie(self, new: Sequence[StoryArticle], vectors: Vectors, known: Known) -> list[StoryTie]:
        """Give each new article its story, in the order of `new`.

        `vectors` is float32 (new, d), unit rows. New articles are taken by time, so the order in which feeds
        gave them does not matter; stories that exist are never merged or moved. The cost of an article is a
        product with the known vectors, and `MOST_COMPARED` comparisons of words.
        """
        order = sorted(range(len(new)), key=lambda row: (new[row].at, new[row].article_id))
        shelf = _Shelf(known, [new[row] for row in order], vectors[order])
        ties = {}
        for row in range(len(known.articles), len(shelf.articles)):
            tie = self._place(row, shelf)
            shelf.put(row, tie.story_id)
            ties[tie.article_id] = tie
        return [ties[article.article_id] for article in new]

    def _place(self, row: int, shelf: _Shelf) -> StoryTie:
        article = shelf.articles[row]
        found: dict[int, list[float]] = {}
        for other in shelf.nearest(row):
            odds = self._odds(row, other, shelf)
            found.setdefault(shelf.stories[other], []).append(odds)
        fitting = [
            (max(odds), story)
            for story, odds in found.items()
            if self._is_company(odds, shelf.count_near(story, row)) and shelf.can_hold(story, article.at)
        ]
        if not fitting:
            return StoryTie(article.article_id, article.article_id)
        best, story = max(fitting, key=lambda pair: (pair[0], -pair[1]))
        return StoryTie(article.article_id, story, likelihood=1 / (1 + math.exp(-best)))

    def _is_company(self, odds: Sequence[float], members: int) -> bool:
        """Tell whether the best of a story is near enough, and the rest of it not too far."""
        mean = (sum(odds) + FAR * (members - len(odds))) / members
        return max(odds) >= self._rule.threshold and mean >= self._rule.company

    def _odds(self, row: int, other: int, shelf: _Shelf) -> float:
        one, two = (shelf.words(each, self._weights) for each in (row, other))
        a, b = shelf.articles[row], shelf.articles[other]
        if is_next_issue(a, b) or speak_against(one, two):
            return AGAINST
        shared, cosine = compare_words(one, two), float(shelf.vectors[row] @ shelf.vectors[other])
        if not _are_english(a, b) or is_one_outlet(a, b):
            return COPY if is_copy(cosine, shared, a, b) else AGAINST
        return float(self._rule.vector @ measure_pair(a, b, cosine, shared)) + self._rule.offset


def load_storyteller() -> Storyteller:
    """Load the shipped rule and the shipped word weights. Raises: ModelError."""
    return Storyteller(read_rule(), Weights(load_background().lexicon))


def is_next_issue(one: StoryArticle, other: StoryArticle) -> bool:
    """Tell whether an outlet comes back to its own matter later: market reports, previews, round-ups."""
    return is_one_outlet(one, other) and abs(one.at - other.at) > SAME_ISSUE


def is_one_outlet(one: StoryArticle, other: StoryArticle) -> bool:
    """Tell whether one outlet wrote both, which is seldom twice of one event unless the second is a copy."""
    return one.outlet.casefold() == other.outlet.casefold()


def measure_pair(one: StoryArticle, other: StoryArticle, cosine: float, shared: Shared) -> Vectors:
    """Measure two articles, in the order of `FEATURES`: float32 (features,)."""
    days = abs(one.at - other.at) / timedelta(days=1)
    measured = [cosine, shared.tfidf, shared.headline, shared.rare, math.sqrt(days)]
    return np.array(measured, dtype=np.float32)


def is_copy(cosine: float, shared: Shared, one: StoryArticle, other: StoryArticle) -> bool:
    """Tell a copy: all that joins in one outlet, and outside English, where nothing was measured."""
    return one.language == other.language and cosine >= COPY_COSINE and shared.tfidf >= COPY_TFIDF


def _are_english(one: StoryArticle, other: StoryArticle) -> bool:
    return one.language in {ENGLISH, None} and other.language in {ENGLISH, None}


class _Shelf:
    """Known and new articles in one row, and the stories they are in so far."""

    def __init__(self, known: Known, new: Sequence[StoryArticle], vectors: Vectors) -> None:
        self.articles = [*known.articles, *new]
        self.vectors = np.concatenate([known.vectors.reshape(-1, vectors.shape[1]), vectors])
        self.stories: list[int] = []
        self._spans: dict[int, tuple[datetime, datetime]] = {}
        self._members: dict[int, list[int]] = {}
        self._seconds = np.array([article.at.timestamp() for article in self.articles])
        self._words: dict[int, StoryWords] = {}
        self._block: tuple[int, Vectors] = (0, np.empty((0, 0), dtype=np.float32))
        for row, article in enumerate(known.articles):
            self.put(row, article.article_id if article.story_id is None else article.story_id)

    def put(self, row: int, story: int) -> None:
        """Note the story of the next article."""
        at = self.articles[row].at
        first, last = self._spans.get(story, (at, at))
        self._spans[story] = (min(first, at), max(last, at))
        self._members.setdefault(story, []).append(row)
        self.stories.append(story)

    def count_near(self, story: int, row: int) -> int:
        """Count the articles of a story that are near in time."""
        at, most = self._seconds[row], WINDOW.total_seconds()
        return sum(abs(self._seconds[member] - at) <= most for member in self._members[story])

    def can_hold(self, story: int, at: datetime) -> bool:
        """Tell whether a story would still be short enough with an article of that time."""
        first, last = self._spans[story]
        return max(last, at) - min(first, at) <= LONGEST

    def nearest(self, row: int) -> list[int]:
        """Find the placed articles that are near in meaning and time, nearest first."""
        cosines = self._cosines(row)
        hours_apart = np.abs(self._seconds[:row] - self._seconds[row])
        near = np.flatnonzero((cosines >= NEAR) & (hours_apart <= WINDOW.total_seconds()))
        return [int(other) for other in near[np.argsort(-cosines[near], kind="stable")][:MOST_COMPARED]]

    def words(self, row: int, weights: Weights) -> StoryWords:
        """Give an article's words, read once."""
        if row not in self._words:
            self._words[row] = StoryWords(self.articles[row], weights)
        return self._words[row]

    def _cosines(self, row: int) -> Vectors:
        """Multiply a block of articles at a time: as many products one by one take ten times as long."""
        start, block = self._block
        if not start <= row < start + len(block):
            start, block = row, self.vectors[row : row + BLOCK] @ self.vectors.T
            self._block = (start, block)
        return np.asarray(block[row - start, :row])
