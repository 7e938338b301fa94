"""The plain head: scores topics by vectors of an encoder that no head was fitted for.

One piece of evidence that needs nothing but the encoder: how much nearer an article lies to a topic's phrases
than the phrases of the other topics do, in their standard deviations. That scale is the encoder's own, so it
means about the same for any encoder. The curve from it to a score was fitted for the shipped one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.encode import Encoder, Vectors
from models.queries import DESCRIPTION_WEIGHT, NAME_WEIGHT
from models.topics import default_topics
from tocsin.types import Topic

VERSION = 1
# Fitted on train with the shipped encoder (2.28, -5.96); half a unit of log-odds is taken off for safety.
SLOPE, OFFSET = 2.28, -6.46
LEAST_SPREAD = 1e-4  # of cosines; below it all vectors are much the same, and nothing can be told


class PlainHead:
    """Scores all its topics in one matrix product; it does not look at texts."""

    def __init__(self, topics: Sequence[Topic], encoder: Encoder) -> None:
        self.topics = tuple(topics)
        self.names = (f"plain-{VERSION}",) * len(self.topics)
        everything = (*topics, *default_topics())
        phrases = list(dict.fromkeys(phrase for topic in everything for phrase in _all_phrases(topic)))
        vectors = dict(zip(phrases, encoder.embed(phrases), strict=True))
        middle = np.mean([vectors[phrase] for phrase in phrases], axis=0)
        centres = np.stack([_centre(topic, vectors) for topic in topics], axis=1) - middle[:, None]
        usual = np.empty((2, len(topics)), dtype=np.float32)
        for column, topic in enumerate(topics):
            own = set(_positives(topic))
            others = np.stack([vectors[phrase] for phrase in phrases if phrase not in own])
            cosines = (others - middle) @ centres[:, column]
            usual[:, column] = cosines.mean(), max(float(cosines.std()), LEAST_SPREAD)
        self._middle, self._centres, self._usual = middle, centres.astype(np.float32), usual

    def measure(self, embeddings: Vectors) -> Vectors:
        """Return how near unit vectors (n, d) lie, in deviations: float32 (n, topics)."""
        cosines = (embeddings - self._middle) @ self._centres
        return np.asarray((cosines - self._usual[0]) / self._usual[1], dtype=np.float32)

    def score(self, embeddings: Vectors, texts: Sequence[str] | None = None) -> Vectors:
        """Score unit vectors (n, d): float32 (n, topics); rough, see the module's docstring."""
        del texts
        logits = SLOPE * self.measure(embeddings) + OFFSET
        return np.asarray(1 / (1 + np.exp(-logits.clip(-30, 30))), dtype=np.float32)


def _name(topic: Topic) -> str:
    return topic.name.replace("_", " ")


def _positives(topic: Topic) -> tuple[str, ...]:
    return (*topic.examples, f"{_name(topic)}: {topic.description}", _name(topic))


def _all_phrases(topic: Topic) -> tuple[str, ...]:
    return (*_positives(topic), *topic.counter_examples)


def _centre(topic: Topic, vectors: dict[str, Vectors]) -> Vectors:
    weights = np.r_[np.ones(len(topic.examples)), DESCRIPTION_WEIGHT, NAME_WEIGHT]
    return np.asarray(weights @ np.stack([vectors[phrase] for phrase in _positives(topic)]) / weights.sum())
