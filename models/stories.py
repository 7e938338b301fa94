"""Which articles tell of one event: new articles join stories or begin them. Knows no topic and no database.

Each article of a story is likely to tell the same event as those before it. Precision goes first: a story
that swallows another event hides news, two stories of one event cost one alert more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from models.background import load_background
from models.encode import Vectors
from models.story_events import EventReader, load_event_reader
from models.story_rule import Limits, Look, StoryRule, look_at, read_rule
from models.story_words import StoryWords, Weights
from tocsin.encoder_setup import EncoderSetup
from tocsin.types import StoryArticle, StoryTie

WINDOW = timedelta(hours=72)  # a story waits so long for its next article
LONGEST = timedelta(days=7)  # and is never longer
NEAR = 0.5  # cosine under which two articles are not compared further
MOST_COMPARED = 40  # nearest articles that a new one is compared with
FAR = -2.0  # log-odds of articles of one story that were too far from the new one to be compared
BLOCK = 256


@dataclass(frozen=True)
class Known:
    """Articles of the last days with their stories: `vectors` float32 (n, d), unit rows, of one encoder."""

    articles: Sequence[StoryArticle]
    vectors: Vectors


Near = Mapping[int, Mapping[int, float]]
"""The log-odds of each new row with the rows before it that are near."""


@dataclass(frozen=True)
class Compared:
    """New articles, oldest first, beside the known: the log-odds of all pairs that are near."""

    known: Known
    new: Sequence[StoryArticle]
    near: Near


class Storyteller:
    """Ties articles to stories under one rule; pairs that are in doubt at sight are read closer."""

    def __init__(self, rule: StoryRule, weights: Weights, reader: EventReader | None = None) -> None:
        self._rule = rule
        self._weights = weights
        self._reader = reader

    def tie(self, new: Sequence[StoryArticle], vectors: Vectors, known: Known) -> list[StoryTie]:
        """Give each new article its story, in the order of `new`.

        `vectors` is float32 (new, d), unit rows. New articles are taken by time, so the order in which feeds
        gave them does not matter; stories that exist are never merged or moved. The cost of an article is a
        product with the known vectors, and `MOST_COMPARED` comparisons of words.
        """
        ties = {tie.article_id: tie for tie in place(self.compare(new, vectors, known), self._rule.limits)}
        return [ties[article.article_id] for article in new]

    def compare(self, new: Sequence[StoryArticle], vectors: Vectors, known: Known) -> Compared:
        """Compare new articles with those before them, without a word on stories."""
        order = sorted(range(len(new)), key=lambda row: (new[row].at, new[row].article_id))
        ordered = [new[row] for row in order]
        shelf = _Shelf(known, ordered, vectors[order])
        rows = range(len(known.articles), len(shelf.articles))
        looks = {row: {other: self._look(row, other, shelf) for other in shelf.nearest(row)} for row in rows}
        near = {row: {other: look.odds for other, look in found.items()} for row, found in looks.items()}
        self._read_closer(looks, near, shelf.articles)
        return Compared(known, ordered, near)

    def _look(self, row: int, other: int, shelf: _Shelf) -> Look:
        pair = shelf.articles[row], shelf.articles[other]
        words = shelf.words(row, self._weights), shelf.words(other, self._weights)
        return look_at(self._rule, pair, words, float(shelf.vectors[row] @ shelf.vectors[other]))

    def _read_closer(
        self,
        looks: Mapping[int, Mapping[int, Look]],
        near: Mapping[int, dict[int, float]],
        articles: Sequence[StoryArticle],
    ) -> None:
        """Put what a closer reading says in place of the log-odds at sight of the pairs in doubt."""
        closer = self._rule.closer
        if closer is None or self._reader is None:
            return
        pairs = [
            (row, other)
            for row, found in looks.items()
            for other, look in found.items()
            if look.is_open and look.odds >= closer.doubtful
        ]
        pairs.sort(key=lambda pair: -looks[pair[0]][pair[1]].odds)  # the likeliest first: reading has a bound
        cosines = self._reader.compare([(articles[row], articles[other]) for row, other in pairs])
        for (row, other), cosine in zip(pairs, cosines, strict=True):
            if not math.isnan(cosine):
                near[row][other] = closer.weigh(looks[row][other].features, float(cosine))


def place(compared: Compared, limits: Limits) -> list[StoryTie]:
    """Let the new articles join stories or begin them, oldest first."""
    stories = _Stories(compared.known.articles)
    ties = []
    for row, article in enumerate(compared.new, start=len(compared.known.articles)):
        ties.append(_place(article, compared.near[row], stories, limits))
        stories.put(article, ties[-1].story_id)
    return ties


def _place(article: StoryArticle, near: Mapping[int, float], stories: _Stories, limits: Limits) -> StoryTie:
    found: dict[int, list[float]] = {}
    for other, odds in near.items():
        found.setdefault(stories.of[other], []).append(odds)
    fitting = [
        (max(odds), story)
        for story, odds in found.items()
        if _is_company(odds, stories.count_near(story, article.at), limits)
        and stories.can_hold(story, article.at)
    ]
    if not fitting:
        return StoryTie(article.article_id, article.article_id)
    best, story = max(fitting, key=lambda pair: (pair[0], -pair[1]))
    return StoryTie(article.article_id, story, likelihood=1 / (1 + math.exp(-best)))


def _is_company(odds: Sequence[float], members: int, limits: Limits) -> bool:
    """Tell whether the best of a story is near enough, and the rest of it not too far."""
    mean = (sum(odds) + FAR * (members - len(odds))) / members
    return max(odds) >= limits.threshold and mean >= limits.company


def load_storyteller(setup: EncoderSetup | None = None) -> Storyteller:
    """Load the shipped rule and word weights; the event encoder waits for a doubt. Raises: ModelError.

    `setup`: how that encoder is run.
    """
    return Storyteller(read_rule(), Weights(load_background().lexicon), load_event_reader(setup=setup))


class _Stories:
    """The stories of known and new articles so far, by row."""

    def __init__(self, known: Sequence[StoryArticle]) -> None:
        self.of: list[int] = []
        self._members: dict[int, list[datetime]] = {}
        for article in known:
            self.put(article, article.article_id if article.story_id is None else article.story_id)

    def put(self, article: StoryArticle, story: int) -> None:
        """Note the story of the next article."""
        self._members.setdefault(story, []).append(article.at)
        self.of.append(story)

    def count_near(self, story: int, at: datetime) -> int:
        """Count the articles of a story that are near in time."""
        return sum(abs(member - at) <= WINDOW for member in self._members[story])

    def can_hold(self, story: int, at: datetime) -> bool:
        """Tell whether a story would still be short enough with an article of that time."""
        members = self._members[story]
        return max(*members, at) - min(*members, at) <= LONGEST


class _Shelf:
    """Known and new articles in one row, with their vectors and words."""

    def __init__(self, known: Known, new: Sequence[StoryArticle], vectors: Vectors) -> None:
        self.articles = [*known.articles, *new]
        self.vectors = np.concatenate([known.vectors.reshape(-1, vectors.shape[1]), vectors])
        self._seconds = np.array([article.at.timestamp() for article in self.articles])
        self._words: dict[int, StoryWords] = {}
        self._block: tuple[int, Vectors] = (0, np.empty((0, 0), dtype=np.float32))

    def nearest(self, row: int) -> list[int]:
        """Find the articles before it that are near in meaning and time, nearest first."""
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
