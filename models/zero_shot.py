"""The zero-shot head: scores topics from their definitions alone, by one calibration that all share.

Three pieces of evidence, on scales that mean the same for all topics:

* `linear`: a ridge regression that tells examples and description from ordinary news, solved exactly, in
  (regularised) standard deviations of ordinary news;
* `nearest`: cosine to the nearest of the examples and the description;
* `counter`: by how much a counter-example is nearer than all of those.

One logistic regression weighs them. It holds for topics that nobody has labelled: figures are reported for
each topic by a regression fitted on the others (`fit_zero_shot`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.background import Background
from models.encode import Encoder, Vectors
from tocsin.errors import ModelError
from tocsin.types import Topic

PATH = Path(__file__).parent / "zero_shot.json"
RESTORE = (
    "restore it with `git checkout -- models/zero_shot.json`, or refit with `python -m models.fit_zero_shot`"
)
FEATURES = ("linear", "nearest", "counter")

# Chosen on train with each topic left out in turn, and confirmed on dev.
SHRINKAGE = 3.0  # of the background's covariance towards a sphere, in mean variances
EXAMPLE_WEIGHT = 0.01  # all examples together, against the background's weight of one
DESCRIPTION_WEIGHT = 4.0  # in examples


@dataclass(frozen=True)
class Calibration:
    """The shared logistic regression: weights of `FEATURES`, and the base rates behind its intercept.

    `base_rate` is the share of matching (article, topic) pairs in the data that it was fitted on; `prior` is
    the share that scores assume. `report` is what was measured when it was fitted.
    """

    encoder_revision: str
    weights: tuple[float, ...]
    intercept: float
    base_rate: float
    prior: float
    background: str = "background.npy"
    version: int = 1
    report: dict[str, Any] = field(default_factory=dict)

    def probability(self, features: Vectors) -> Vectors:
        """Turn features (..., 3) into probabilities (...), float32."""
        shift = _logit(self.prior) - _logit(self.base_rate)
        logits = features @ np.array(self.weights, dtype=np.float32) + np.float32(self.intercept + shift)
        return np.asarray(1 / (1 + np.exp(-logits.clip(-30, 30))), dtype=np.float32)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def save_calibration(calibration: Calibration, path: Path = PATH) -> None:
    """Write `calibration` as JSON."""
    path.write_text(json.dumps(asdict(calibration), indent=2) + "\n", encoding="utf-8")


def load_calibration(path: Path = PATH, *, revision: str) -> Calibration:
    """Read a calibration. Raises: ModelError if it is missing, unreadable or not of encoder `revision`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        calibration = Calibration(**{**data, "weights": tuple(map(float, data["weights"]))})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} cannot be read ({error}): {RESTORE}", path=path) from error
    if len(calibration.weights) != len(FEATURES):
        raise ModelError(
            f"{path} has {len(calibration.weights)} weights, not {len(FEATURES)}: {RESTORE}", path=path
        )
    if calibration.encoder_revision != revision:
        found = calibration.encoder_revision
        message = f"{path} was fitted for encoder {found}, but encoder {revision} is loaded: {RESTORE}"
        raise ModelError(message, path=path)
    return calibration


class ZeroShotHead:
    """Scores all its topics in three matrix products; see the module's docstring."""

    def __init__(
        self, topics: Sequence[Topic], encoder: Encoder, background: Background, calibration: Calibration
    ) -> None:
        self.topics = tuple(topics)
        self.name = f"zero_shot-{calibration.version}"
        self._calibration = calibration
        self._features = TopicFeatures(self.topics, encoder, background)

    def score(self, embeddings: Vectors, texts: Sequence[str] | None = None) -> Vectors:  # noqa: ARG002
        """Score unit vectors (n, d): float32 (n, topics). Texts add nothing here."""
        return self._calibration.probability(self._features.measure(embeddings))


class TopicFeatures:
    """Measures the evidence for each topic."""

    def __init__(self, topics: Sequence[Topic], encoder: Encoder, background: Background) -> None:
        phrases = list(dict.fromkeys(phrase for topic in topics for phrase in _phrases(topic)))
        vectors = dict(zip(phrases, encoder.embed(phrases), strict=True))
        definitions = [_Definition(topic, vectors) for topic in topics]
        self._mean = background.mean
        self._directions = _directions(definitions, background)
        self._positives = _Groups([definition.positives for definition in definitions])
        self._counters = _Groups([definition.counter_examples for definition in definitions])

    def measure(self, embeddings: Vectors) -> Vectors:
        """Measure `FEATURES` of unit vectors (n, d): float32 (n, topics, 3)."""
        linear = (embeddings - self._mean) @ self._directions
        nearest = self._positives.nearest(embeddings)
        counter = np.maximum(self._counters.nearest(embeddings) - nearest, 0)
        return np.stack([linear, nearest, counter], axis=2)


def _phrases(topic: Topic) -> tuple[str, ...]:
    return (_describe(topic), *topic.examples, *topic.counter_examples)


def _describe(topic: Topic) -> str:
    return f"{topic.name.replace('_', ' ')}: {topic.description}"


class _Definition:
    """A topic as vectors: positives (examples, and last the description) and counter-examples, (n, d)."""

    def __init__(self, topic: Topic, vectors: dict[str, Vectors]) -> None:
        description = vectors[_describe(topic)][None]
        self.positives = np.vstack([*(vectors[phrase] for phrase in topic.examples), description])
        self.counter_examples = np.vstack(
            [description[:0], *(vectors[phrase] for phrase in topic.counter_examples)]
        )
        weights = np.r_[np.ones(len(topic.examples)), DESCRIPTION_WEIGHT]
        self.weights = EXAMPLE_WEIGHT * weights / weights.sum()


def _directions(definitions: Sequence[_Definition], background: Background) -> Vectors:
    """Return one ridge direction for each topic, (d, topics), in standard deviations of the background.

    The deviation is that of the shrunken covariance: a direction in which news hardly varies would otherwise
    make any odd article look far out.
    """
    covariance = background.covariance.astype(np.float64)
    size = len(covariance)
    shrunken = covariance + SHRINKAGE * np.trace(covariance) / size * np.eye(size)
    columns = [_direction(definition, background.mean, shrunken) for definition in definitions]
    matrix = np.stack(columns, axis=1)
    variances = np.einsum("dt,dt->t", matrix, shrunken @ matrix)
    return np.asarray(matrix / np.sqrt(variances), dtype=np.float32)


def _direction(
    definition: _Definition, mean: Vectors, ridge: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Solve the weighted ridge regression with target 1 for positives, else 0."""
    positives = (definition.positives - mean).astype(np.float64)
    counters = (definition.counter_examples - mean).astype(np.float64)
    weighted = positives * definition.weights[:, None]
    moments = ridge + weighted.T @ positives
    if len(counters):
        moments += EXAMPLE_WEIGHT / len(counters) * counters.T @ counters
    solution: npt.NDArray[np.float64] = np.linalg.solve(moments, weighted.sum(axis=0))
    return solution


class _Groups:
    """Groups of vectors, one for each topic, laid out as one matrix."""

    def __init__(self, groups: Sequence[Vectors]) -> None:
        self._filled = [i for i, group in enumerate(groups) if len(group)]
        filled = [groups[i] for i in self._filled]
        self._count = len(groups)
        self._matrix = np.vstack(filled).T if filled else None
        self._starts = np.cumsum([0, *(len(group) for group in filled)])[:-1]

    def nearest(self, embeddings: Vectors) -> Vectors:
        """Return the largest similarity to each group, (n, groups); -1 for an empty one."""
        nearest = np.full((len(embeddings), self._count), -1, dtype=np.float32)
        if self._matrix is not None and len(embeddings):
            similarities = embeddings @ self._matrix
            nearest[:, self._filled] = np.maximum.reduceat(similarities, self._starts, axis=1)
        return nearest
