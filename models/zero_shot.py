"""The zero-shot head: scores topics from their definitions alone, by one calibration that all share.

Four pieces of evidence, on scales that mean the same for all topics:

* `linear`: linear discriminant analysis of the definition's phrases against ordinary news, in standard
  deviations of ordinary news; how far articles of one topic lie apart was learned from labelled topics;
* `words`: cosine of the article's terms (tf-idf) to the definition's;
* `companions`: terms that ordinary news uses where `linear` is high, though the definition may lack them;
* `counter`: by how much a counter-example is nearer than all phrases of the definition.

One logistic regression weighs them, otherwise for few examples than for many. It holds for topics that nobody
has labelled: figures are reported for each topic by a regression fitted on the others (`fit_zero_shot`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.background import Background
from models.encode import Encoder, Vectors
from models.product import multiply
from models.queries import DESCRIPTION_WEIGHT, NAME_WEIGHT, Wording
from tocsin.errors import ModelError
from tocsin.types import Topic

PATH = Path(__file__).parent / "zero_shot.json"
RESTORE = (
    "restore it with `git checkout -- models/zero_shot.json`, or refit with `python -m models.fit_zero_shot`"
)
FEATURES = ("linear", "words", "companions", "counter")
WEIGHTS = (*FEATURES, "examples", *(f"{name} x examples" for name in FEATURES[:3]))

# Chosen on train with each topic left out in turn, and confirmed on dev.
SHRINKAGE = 5.0  # of the covariance within topics towards a sphere, in mean variances
SPHERE = 30.0  # the same of ordinary news, for the scale of deviations: nearly plain lengths
HALF_EXAMPLES = 4.0  # examples with which a definition counts as half complete


@dataclass(frozen=True)
class Calibration:
    """The shared logistic regressions: weights as `WEIGHTS` names them and, last, an intercept.

    `without_text` is for vectors whose texts are not at hand: `words` and `companions` are zero there.
    `base_rate` is the share of matching (article, topic) pairs in the data that it was fitted on; `prior` is
    the share that scores assume. `report` is what was measured when it was fitted.
    """

    encoder_revision: str
    with_text: tuple[float, ...]
    without_text: tuple[float, ...]
    base_rate: float
    prior: float
    background: str = "background.npz"
    version: int = 2
    report: dict[str, Any] = field(default_factory=dict)

    def log_odds(self, features: Vectors, examples: Vectors, *, has_text: bool) -> Vectors:
        """Turn features (n, topics, 4) into log-odds (n, topics) given each topic's count of examples."""
        weights = np.array(self.with_text if has_text else self.without_text, dtype=np.float32)
        shift = _logit(self.prior) - _logit(self.base_rate)
        # What `widen_features` gives, weighed; each topic has weights of its own, and nothing is widened.
        fullness = _fullness(examples)
        own = np.tile(weights[:4], (len(fullness), 1))
        own[:, :3] += fullness[:, None] * weights[5:8]
        constant = fullness * weights[4] + weights[8] + np.float32(shift)
        return np.asarray(np.einsum("ntf,tf->nt", features, own) + constant, np.float32)


def widen_features(features: Vectors, examples: Vectors) -> Vectors:
    """Add the columns that depend on how many examples each topic has: (n, topics, len(WEIGHTS))."""
    fullness = _fullness(examples)[None, :, None]
    constant = np.broadcast_to(fullness, (*features.shape[:2], 1))
    return np.concatenate([features, constant, features[:, :, :3] * fullness], axis=2)


def _fullness(examples: Vectors) -> Vectors:
    return np.asarray(examples / (examples + HALF_EXAMPLES), dtype=np.float32)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def save_calibration(calibration: Calibration, path: Path = PATH) -> None:
    """Write `calibration` as JSON."""
    path.write_text(json.dumps(asdict(calibration), indent=2) + "\n", encoding="utf-8")


def load_calibration(path: Path = PATH, *, revision: str) -> Calibration:
    """Read a calibration. Raises: ModelError if it is missing, unreadable or not of encoder `revision`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        weights = {name: tuple(map(float, data[name])) for name in ("with_text", "without_text")}
        calibration = Calibration(**{**data, **weights})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} cannot be read ({error}): {RESTORE}", path=path) from error
    for found in weights.values():
        if len(found) != len(WEIGHTS) + 1:
            raise ModelError(f"{path} has {len(found)} weights, not {len(WEIGHTS) + 1}: {RESTORE}", path=path)
    if calibration.encoder_revision != revision:
        other = calibration.encoder_revision
        message = f"{path} was fitted for encoder {other}, but encoder {revision} is loaded: {RESTORE}"
        raise ModelError(message, path=path)
    return calibration


class ZeroShotHead:
    """Scores all its topics in a few matrix products; see the module's docstring."""

    def __init__(
        self, topics: Sequence[Topic], encoder: Encoder, background: Background, calibration: Calibration
    ) -> None:
        self.topics = tuple(topics)
        self.names = (f"zero_shot-{calibration.version}",) * len(self.topics)
        self._calibration = calibration
        self._features = TopicFeatures(self.topics, encoder, background)
        self._examples = np.array([len(topic.examples) for topic in self.topics], dtype=np.float32)

    def score(self, embeddings: Vectors, texts: Sequence[str] | None = None) -> Vectors:
        """Score unit vectors (n, d), better with the texts they were made of: float32 (n, topics)."""
        features = self._features.measure(embeddings, texts)
        logits = self._calibration.log_odds(features, self._examples, has_text=texts is not None)
        return np.asarray(1 / (1 + np.exp(-logits.clip(-30, 30))), dtype=np.float32)


class TopicFeatures:
    """Measures the evidence for each topic."""

    def __init__(self, topics: Sequence[Topic], encoder: Encoder, background: Background) -> None:
        phrases = list(dict.fromkeys(phrase for topic in topics for phrase in _phrases(topic)))
        vectors = dict(zip(phrases, encoder.embed(phrases), strict=True))
        directions = _directions(topics, vectors, background)
        self._shift = background.mean @ directions
        self._wording = Wording(background.lexicon, topics)
        self._words = _columns([self._wording.ask(topic) for topic in topics], self._wording.size)
        self._companions = self._wording.spread(background.neighbourhoods.companions(directions))
        self._positives = _Groups([_stack(_positives(topic), vectors, encoder) for topic in topics])
        self._counters = _Groups([_stack(topic.counter_examples, vectors, encoder) for topic in topics])
        # All that vectors are compared with as one matrix, so that each is read once.
        self._aims = np.hstack([directions, self._positives.matrix, self._counters.matrix])
        self._parts = np.cumsum([directions.shape[1], self._positives.matrix.shape[1]])

    def measure(self, embeddings: Vectors, texts: Sequence[str] | None = None) -> Vectors:
        """Measure `FEATURES` of unit vectors (n, d): float32 (n, topics, 4); those of words need texts."""
        along, positives, counters = np.split(multiply(embeddings, self._aims), self._parts, axis=1)
        linear = along - self._shift
        counter = np.maximum(self._counters.nearest(counters) - self._positives.nearest(positives), 0)
        words, companions = self._measure_words(texts, linear.shape)
        return np.stack([linear, words, companions, counter], axis=2)

    def _measure_words(self, texts: Sequence[str] | None, shape: tuple[int, ...]) -> tuple[Vectors, Vectors]:
        if texts is None:
            return np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
        both = self._wording.project(texts, np.hstack([self._words, self._companions]))
        return both[:, : shape[1]], both[:, shape[1] :]


def _name(topic: Topic) -> str:
    return topic.name.replace("_", " ")


def _describe(topic: Topic) -> str:
    return f"{_name(topic)}: {topic.description}"


def _positives(topic: Topic) -> tuple[str, ...]:
    return (*topic.examples, _describe(topic), _name(topic))


def _phrases(topic: Topic) -> tuple[str, ...]:
    return (*_positives(topic), *topic.counter_examples)


def _stack(phrases: Sequence[str], vectors: dict[str, Vectors], encoder: Encoder) -> Vectors:
    return np.array([vectors[phrase] for phrase in phrases], np.float32).reshape(-1, encoder.dimensions)


def _columns(columns: Sequence[Vectors], size: int) -> Vectors:
    return np.stack(columns, axis=1) if columns else np.zeros((size, 0), dtype=np.float32)


def shrink_within(background: Background) -> Vectors:
    """Return the covariance within topics, shrunken towards a sphere: float64 (d, d).

    A direction in which articles hardly vary would otherwise make any odd article look far out.
    """
    within = background.within.astype(np.float64)
    size = len(within)
    return np.asarray(within + SHRINKAGE * np.trace(within) / size * np.eye(size))


def _directions(topics: Sequence[Topic], vectors: dict[str, Vectors], background: Background) -> Vectors:
    """Return one discriminant for each topic, (d, topics), in (shrunken) deviations of the background.

    Not its plain deviations: what lies off the news that the background was measured on would seem far out.
    """
    aims = _columns(
        [_centre(topic, vectors) - background.mean for topic in topics], len(background.mean)
    ).astype(np.float64)
    found = np.linalg.solve(shrink_within(background), aims)
    covariance = background.covariance.astype(np.float64)
    spread = np.einsum("dt,dt->t", found, covariance @ found)
    spread += SPHERE * np.trace(covariance) / len(covariance) * (found**2).sum(axis=0)
    return np.asarray(found / np.sqrt(np.maximum(spread, 1e-12)), dtype=np.float32)


def _centre(topic: Topic, vectors: dict[str, Vectors]) -> Vectors:
    """Return the weighted mean of a definition's phrases; counter-examples do not move it."""
    weights = np.r_[np.ones(len(topic.examples)), DESCRIPTION_WEIGHT, NAME_WEIGHT]
    phrases = np.array([vectors[phrase] for phrase in _positives(topic)])
    return np.asarray(weights @ phrases / weights.sum(), dtype=np.float32)


class _Groups:
    """Groups of vectors, one for each topic, laid out as the columns of one `matrix`."""

    def __init__(self, groups: Sequence[Vectors]) -> None:
        self._filled = [i for i, group in enumerate(groups) if len(group)]
        filled = [groups[i] for i in self._filled]
        self._count = len(groups)
        size = groups[0].shape[1] if groups else 0
        self.matrix = np.vstack([*filled, np.empty((0, size), dtype=np.float32)]).T
        self._starts = np.cumsum([0, *(len(group) for group in filled)])[:-1]

    def nearest(self, similarities: Vectors) -> Vectors:
        """Return the largest of similarities (n, columns) to each group, (n, groups); -1 for an empty one."""
        nearest = np.full((len(similarities), self._count), -1, dtype=np.float32)
        if self._filled and len(similarities):
            by_column = np.ascontiguousarray(similarities.T)  # rows are faster to go through
            nearest[:, self._filled] = np.maximum.reduceat(by_column, self._starts, axis=0).T
        return nearest
