"""The exclusive head: chooses among classes of which an article has exactly one, from few labels.

Topics are not like that: an article may have several or none, and `monitor` asks about each apart. Where one
and only one holds, as in AG News, what is told of one class tells of all, and the nearest of their centres
is chosen. A centre is the mean of the labelled articles' vectors and of the parts of the description, each
embedded by itself, since a list of things in one sentence lies near none of them; terms count beside it. A
broad class has a centre that is near to none of its articles, so each class gets an offset, learned from how
near the labelled articles are to centres that were made without them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.encode import Encoder, Vectors
from models.few_label import Label, embed_labels
from models.lexical import Lexicon, Rows
from models.queries import Wording
from tocsin.types import Topic

# Chosen on one half of AG News' test file; docs/classifier.md has the figures on the other.
PHRASE = "News about {}."  # a bare word lies further from the news that it stands for
DESCRIPTION_WEIGHT = 12.0  # in labelled articles
TERMS_DESCRIPTION_WEIGHT = 4.0
TERMS_SHARE = 0.3  # of the cosine of terms, beside the cosine of vectors
TEMPERATURE = 0.05  # in nearness: at which a softmax of it becomes a class's chance
OFFSET_RIDGE = 4.0  # in labelled articles of one class
_ROUNDS = 300
_PART = re.compile(r"[,;:]\s+|\s+(?:and|or)\s+")

Places = npt.NDArray[np.intp]


class ExclusiveHead:
    """Tells how near an article is to each class; arrays only."""

    def __init__(
        self, topics: Sequence[Topic], centres: Vectors, terms: Vectors, wording: Wording, *, offsets: Vectors
    ) -> None:
        self.topics = tuple(topics)
        self._centres = centres
        self._terms = terms
        self._wording = wording
        self._offsets = offsets

    def nearness(self, embeddings: Vectors, texts: Sequence[str]) -> Vectors:
        """Measure unit vectors (n, d) and their texts: float32 (n, topics), no probabilities."""
        words = self._wording.project(texts, self._terms)
        return np.asarray(embeddings @ self._centres + TERMS_SHARE * words + self._offsets, dtype=np.float32)

    def choose(self, embeddings: Vectors, texts: Sequence[str]) -> Places:
        """Return the place of each article's topic, (n,)."""
        return np.asarray(self.nearness(embeddings, texts).argmax(axis=1))


@dataclass(frozen=True)
class _Labelled:
    """Articles of known classes: unit vectors (n, d), weights of terms, and each one's class (n,)."""

    texts: list[str]
    vectors: Vectors
    weights: list[tuple[Rows, Vectors]]
    wanted: Places


def fit_exclusive(
    topics: Sequence[Topic], labels: Mapping[str, Sequence[Label]], encoder: Encoder, lexicon: Lexicon
) -> ExclusiveHead:
    """Fit to the articles that have each topic, by its name; a topic may have none. A no is left aside.

    Offsets are learned only where each topic has labels.
    """
    wording = Wording(lexicon, topics)
    known = _read_labels(topics, labels, encoder, wording)
    centres, terms = _describe(topics, encoder), _describe_terms(topics, wording)
    for k, vector, (rows, weights) in zip(known.wanted, known.vectors, known.weights, strict=True):
        centres[:, k] += vector
        terms[rows, k] += _unit(weights)
    lengths = np.linalg.norm(centres, axis=0), np.linalg.norm(terms, axis=0)
    offsets = np.zeros(len(topics), dtype=np.float32)
    head = ExclusiveHead(
        topics, centres / lengths[0], terms / lengths[1].clip(1e-12), wording, offsets=offsets
    )
    if len(np.unique(known.wanted)) < len(topics):
        return head
    nearness = head.nearness(known.vectors, known.texts).astype(np.float64)
    nearness[np.arange(len(known.wanted)), known.wanted] = _measure_left_out(known, centres, terms)
    offsets[:] = TEMPERATURE * fit_offsets(nearness / TEMPERATURE, known.wanted)
    return head


def fit_offsets(logits: npt.NDArray[np.float64], wanted: Places) -> npt.NDArray[np.float64]:
    """Return what to add to each class's `logits` (n, k) so that a softmax expects `wanted`: (k,).

    The ridge-penalised likelihood, in which classes count alike however many articles they have, by steps
    of a bound on its curvature, which cannot overshoot (Böhning 1992).
    """
    counts = np.bincount(wanted, minlength=logits.shape[1])
    share = (len(wanted) / len(counts) / counts)[wanted]
    aim = np.bincount(wanted, weights=share, minlength=len(counts))
    offsets = np.zeros(len(counts))
    for _ in range(_ROUNDS):
        raised = np.exp(logits + offsets - (logits + offsets).max(axis=1, keepdims=True))
        chances = share[:, None] * raised / raised.sum(axis=1, keepdims=True)
        slope = aim - chances.sum(axis=0) - OFFSET_RIDGE * offsets
        offsets += slope / (len(wanted) / 2 + OFFSET_RIDGE)
    return offsets


def split_description(description: str) -> list[str]:
    """Return the parts of a description that lists things, in order, each once; never empty."""
    parts = [part.strip(" .") for part in _PART.split(description)]
    return list(dict.fromkeys(part for part in parts if part)) or [description]


def _read_labels(
    topics: Sequence[Topic], labels: Mapping[str, Sequence[Label]], encoder: Encoder, wording: Wording
) -> _Labelled:
    told = [
        (k, label) for k, topic in enumerate(topics) for label in labels.get(topic.name, ()) if label.positive
    ]
    texts = [label.text for _, label in told]
    vectors = embed_labels([label for _, label in told], encoder)
    places = np.array([k for k, _ in told], dtype=np.intp)
    return _Labelled(texts, vectors, [wording.weigh(text) for text in texts], places)


def _describe(topics: Sequence[Topic], encoder: Encoder) -> Vectors:
    """Return what the descriptions add to each centre, (d, topics)."""
    found = []
    for topic in topics:
        phrases = [PHRASE.format(part) for part in split_description(topic.description)]
        found.append(DESCRIPTION_WEIGHT * _unit(encoder.embed(phrases).mean(axis=0)))
    return np.stack(found, axis=1)


def _describe_terms(topics: Sequence[Topic], wording: Wording) -> Vectors:
    found = np.zeros((wording.size, len(topics)), dtype=np.float32)
    for k, topic in enumerate(topics):
        rows, weights = wording.weigh(topic.description)
        found[rows, k] = TERMS_DESCRIPTION_WEIGHT * _unit(weights)
    return found


def _measure_left_out(known: _Labelled, centres: Vectors, terms: Vectors) -> list[float]:
    """Measure how near each article is to its own class's centre without it; centres as sums, not units."""
    found = []
    for k, vector, (rows, weights) in zip(known.wanted, known.vectors, known.weights, strict=True):
        words = _cosine_without(_unit(weights), terms[rows, k], terms[:, k])
        length = float(np.linalg.norm(weights))
        found.append(_cosine_without(vector, centres[:, k], centres[:, k]) + TERMS_SHARE * length * words)
    return found


def _cosine_without(unit: Vectors, met: Vectors, total: Vectors) -> float:
    """Return the cosine of `unit` to what `total` is without it; `met` is the part of it beside `unit`."""
    along = float(unit @ met)
    left = float(total @ total) - 2 * along + 1
    return (along - 1) / math.sqrt(max(left, 1e-12))


def _unit(vector: Vectors) -> Vectors:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), dtype=np.float32)
