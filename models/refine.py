"""A second opinion on doubtful scores: which pairs get one, and what it makes of them. Knows no model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from models.encode import Vectors
from models.heads import Heads
from tocsin.types import Topic

log = logging.getLogger(__name__)

BAND = 0.3  # how far from its topic's threshold a score is still doubtful
WEIGHT = 0.3  # of the second opinion, in log-odds; the head keeps the rest
BELIEVED = 3.0  # log-odds beyond which a second opinion counts as no surer: models of its kind are too sure
LIMIT = 200  # pairs that one run may ask about: minutes for a model of usual size

Places = list[tuple[int, int]]


class SecondReader(Protocol):
    """Reads a text and a topic together."""

    name: str

    def judge(self, pairs: Sequence[tuple[str, Topic]]) -> npt.NDArray[np.float64]:
        """Return how probable it is that each text is about the topic beside it: (n,)."""


class Refined(NamedTuple):
    """Scores after the second opinion; `heads` names by row and column what scored where there was one."""

    scores: Vectors
    heads: dict[tuple[int, int], str]


class Refiner:
    """Asks a second reader about doubtful pairs, at most `limit` of them in its life: one run."""

    def __init__(self, model: SecondReader, heads: Heads, *, limit: int = LIMIT) -> None:
        self._model = model
        self._heads = heads
        self._left = limit

    def refine(self, scores: Vectors, texts: Sequence[str]) -> Refined:
        """Mix the second opinion into doubtful scores (n, topics) of `texts`; the others stay as they are."""
        doubtful = find_doubtful(scores, self._heads.thresholds)
        chosen = doubtful[: self._left]
        self._left -= len(chosen)
        if len(chosen) < len(doubtful):
            log.warning(
                "cross_encoder.limit_reached asked=%d left_out=%d", len(chosen), len(doubtful) - len(chosen)
            )
        if not chosen:
            return Refined(scores, {})
        topics, names = self._heads.topics, self._heads.names
        opinions = self._model.judge([(texts[row], topics[column]) for row, column in chosen])
        rows, columns = np.array(chosen).T
        mixed = scores.copy()
        mixed[rows, columns] = mix_opinions(scores[rows, columns], opinions)
        return Refined(mixed, {place: f"{names[place[1]]}+{self._model.name}" for place in chosen})


def find_doubtful(scores: Vectors, thresholds: Vectors) -> Places:
    """Return the (row, column) of scores within `BAND` of their topic's threshold, nearest first."""
    gaps = np.abs(scores - thresholds)
    places: Places = [(row, column) for row, column in np.argwhere(gaps <= BAND).tolist()]
    return sorted(places, key=lambda place: (float(gaps[place]), place))


def mix_opinions(scores: Vectors, opinions: npt.NDArray[np.float64]) -> Vectors:
    """Return the weighted mean of scores and opinions, both (n,), in log-odds."""
    first = _log_odds(scores.astype(np.float64))
    second = _log_odds(opinions).clip(-BELIEVED, BELIEVED)
    mixed = (1 - WEIGHT) * first + WEIGHT * second
    return np.asarray(1 / (1 + np.exp(-mixed)), dtype=np.float32)


def _log_odds(chances: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    clipped = chances.clip(1e-7, 1 - 1e-7)
    return np.asarray(np.log(clipped / (1 - clipped)))
