"""Heads: from an article's vector to one calibrated score for each topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from models.background import load_background
from models.encode import Encoder, Vectors
from models.zero_shot import PATH, ZeroShotHead, load_calibration
from tocsin.errors import ModelError, TopicError
from tocsin.types import Topic

ROWS = 4_096  # articles scored at a time, which bounds the memory for similarities


class Head(Protocol):
    """Scores some topics at once. One head for many topics keeps the cost a matrix product."""

    @property
    def name(self) -> str:
        """Kind and version, as stored with each score."""

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The topics of the columns, in order."""

    def score(self, embeddings: Vectors) -> Vectors:
        """Score unit vectors (n, d): float32 (n, topics), calibrated probabilities."""


@dataclass(frozen=True)
class Heads:
    """The heads of all topics of a run; columns are in the order of `topics`."""

    topics: tuple[Topic, ...]
    parts: tuple[Head, ...]
    dimensions: int
    encoder_revision: str

    @property
    def names(self) -> tuple[str, ...]:
        """For each topic, the name of the head that scores it."""
        by_topic = {topic.name: part.name for part in self.parts for topic in part.topics}
        return tuple(by_topic[topic.name] for topic in self.topics)

    @property
    def thresholds(self) -> Vectors:
        """For each topic, the lowest score that counts as a match: float32 (topics,)."""
        return np.array([topic.effective_threshold for topic in self.topics], dtype=np.float32)

    def score(self, embeddings: Vectors) -> Vectors:
        """Score unit vectors (n, dimensions): float32 (n, topics), each 0 to 1, row by row.

        Raises: ModelError if the vectors are of another encoder's size.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dimensions:
            shape = embeddings.shape
            message = f"embeddings of shape {shape} do not fit encoder {self.encoder_revision}: re-embed them"
            raise ModelError(message)
        scores = np.empty((len(embeddings), len(self.topics)), dtype=np.float32)
        columns = {topic.name: i for i, topic in enumerate(self.topics)}
        for part in self.parts:
            places = [columns[topic.name] for topic in part.topics]
            for start in range(0, len(embeddings), ROWS):
                rows = slice(start, start + ROWS)
                scores[rows, places] = part.score(embeddings[rows])
        return scores


def build_heads(topics: Sequence[Topic], encoder: Encoder, *, calibration: Path = PATH) -> Heads:
    """Build a zero-shot head for `topics` from their descriptions, examples and counter-examples.

    Embeds every phrase of every topic once. Raises: TopicError for two topics of one name, ModelError if the
    shipped calibration is missing or belongs to another encoder.
    """
    names = [topic.name for topic in topics]
    for name in names:
        if names.count(name) > 1:
            raise TopicError(
                f"topic {name} is defined {names.count(name)} times: give each topic a name of its own"
            )
    fitted = load_calibration(calibration, revision=encoder.revision)
    background = load_background(calibration.parent / fitted.background)
    parts = (ZeroShotHead(topics, encoder, background, fitted),) if topics else ()
    return Heads(tuple(topics), parts, encoder.dimensions, encoder.revision)
