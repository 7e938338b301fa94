"""Draws topics as a person would define them from labelled articles, so that any can play the unseen one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.background import Background
from models.encode import Encoder, Vectors
from models.evaluate import LabelledArticle
from models.zero_shot import TopicFeatures
from tocsin.types import Topic

LIKENESS = 0.85  # cosine at which two articles tell of one event
NEAR_MISSES = 60  # counter-examples are drawn from so many

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LabelledSet:
    """Labelled articles: texts, unit vectors (n, d), labels (n, topics: 1, 0, NaN where unsure)."""

    articles: tuple[LabelledArticle, ...]
    texts: tuple[str, ...]
    vectors: Vectors
    labels: Floats

    def far_from(self, rows: Sequence[int]) -> Bools:
        """Tell which articles are neither among `rows` nor tell of the same event."""
        if not len(rows):
            return np.ones(len(self.texts), dtype=bool)
        return np.asarray((self.vectors @ self.vectors[list(rows)].T).max(axis=1) < LIKENESS)


@dataclass(frozen=True)
class Draw:
    """A topic defined anew: its column, the definition, and the rows of train that it was drawn from."""

    column: int
    topic: Topic
    rows: tuple[int, ...]


def draw_definition(
    topics: Sequence[Topic], column: int, train: LabelledSet, *, examples: int, counters: int, seed: int
) -> Draw:
    """Define topic `column` by its description and headlines of train, as a person would paste them.

    Counter-examples come from the articles without the topic that are nearest to its examples.
    """
    rng = np.random.default_rng((seed, column))
    labels = train.labels[:, column]
    rows = rng.permutation(np.flatnonzero(labels == 1))[:examples]
    nearness = (train.vectors @ train.vectors[rows].T).sum(axis=1) if examples else train.vectors[:, 0]
    others = np.flatnonzero(labels == 0)
    near = others[np.argsort(-nearness[others])][:NEAR_MISSES]
    against = rng.permutation(near)[:counters]
    topic = topics[column].model_copy(
        update={"examples": _titles(train, rows), "counter_examples": _titles(train, against)}
    )
    return Draw(column, topic, (*rows.tolist(), *against.tolist()))


def _titles(train: LabelledSet, rows: npt.NDArray[np.intp]) -> tuple[str, ...]:
    return tuple(train.articles[row].title for row in rows)


class Within:
    """Covariances of each topic's labelled articles, to be averaged without those held out."""

    def __init__(self, train: LabelledSet) -> None:
        self._each = [np.cov(train.vectors[column == 1].T) for column in train.labels.T]

    def average(self, *, without: Sequence[int] = ()) -> Vectors:
        """Return the mean covariance (d, d) of the topics that are not held out."""
        kept = [each for column, each in enumerate(self._each) if column not in without]
        return np.asarray(np.mean(kept, axis=0), dtype=np.float32)


def measure_draw(
    draw: Draw, sets: Sequence[LabelledSet], encoder: Encoder, background: Background, within: Within
) -> list[Vectors]:
    """Measure the features of a drawn topic, (n, 4) for each set, knowing nothing of its labels."""
    unaware = replace(background, within=within.average(without=[draw.column]))
    features = TopicFeatures([draw.topic], encoder, unaware)
    return [features.measure(each.vectors, each.texts)[:, 0] for each in sets]
