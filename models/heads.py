"""Heads: from an article's vector to one calibrated score for each topic."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from models.background import Background, load_background
from models.encode import FOLDER, Encoder, Vectors
from models.few_label import FewLabelHead, Label, correct_head, embed_labels
from models.fitted import PATH as FITTED
from models.fitted import FittedHead, load_weights, read_fitted, select_fitted
from models.manifest import read_manifest
from models.names import NameCheck
from models.plain import PlainHead
from models.zero_shot import PATH, Calibration, ZeroShotHead, load_calibration
from tocsin.errors import ModelError, TopicError
from tocsin.types import Topic

log = logging.getLogger(__name__)

ROWS = 4_096  # articles scored at a time, which bounds the memory for similarities


class Head(Protocol):
    """Scores some topics at once. One head for many topics keeps the cost a matrix product."""

    @property
    def names(self) -> tuple[str, ...]:
        """For each topic kind and version, as stored with each score."""

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The topics of the columns, in order."""

    def score(self, embeddings: Vectors, texts: Sequence[str] | None = None) -> Vectors:
        """Score unit vectors (n, d): float32 (n, topics), calibrated probabilities.

        `texts` are what the vectors were made of; a head may score better with them, and works without.
        """


@dataclass(frozen=True)
class Heads:
    """The heads of all topics of a run; columns are in the order of `topics`.

    `labels` are those that correct some of them, by topic, each with its vector. `check` discounts the names
    of topics in their articles.
    """

    topics: tuple[Topic, ...]
    parts: tuple[Head, ...]
    dimensions: int
    encoder_revision: str
    labels: Mapping[str, tuple[Label, ...]] = field(default_factory=dict)
    check: NameCheck | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """For each topic, the name of the head that scores it."""
        by_topic = {
            topic.name: name
            for part in self.parts
            for topic, name in zip(part.topics, part.names, strict=True)
        }
        return tuple(by_topic[topic.name] for topic in self.topics)

    @property
    def thresholds(self) -> Vectors:
        """For each topic, the lowest score that counts as a match: float32 (topics,)."""
        return np.array([topic.effective_threshold for topic in self.topics], dtype=np.float32)

    def score(self, embeddings: Vectors, texts: Sequence[str] | None = None) -> Vectors:
        """Score unit vectors (n, dimensions): float32 (n, topics), each 0 to 1, row by row.

        `texts` are the n composed texts that the vectors were made of. Give them wherever they are at hand:
        fitted heads score better with them. Raises: ModelError if the vectors are of another encoder's size,
        ValueError if there is not one text for each.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dimensions:
            shape = embeddings.shape
            message = f"embeddings of shape {shape} do not fit encoder {self.encoder_revision}: re-embed them"
            raise ModelError(message)
        if texts is not None and len(texts) != len(embeddings):
            raise ValueError(f"{len(texts)} texts for {len(embeddings)} embeddings")
        scores = self.score_plainly(embeddings, texts)
        if texts is None or self.check is None:
            return scores
        return self.check.discount(scores, texts, self.score_plainly)

    def score_plainly(self, embeddings: Vectors, texts: Sequence[str] | None) -> Vectors:
        """Score as `score` does, and embed nothing: names are not checked, nor shapes."""
        scores = np.empty((len(embeddings), len(self.topics)), dtype=np.float32)
        columns = {topic.name: i for i, topic in enumerate(self.topics)}
        for part in self.parts:
            places = [columns[topic.name] for topic in part.topics]
            for start in range(0, len(embeddings), ROWS):
                rows = slice(start, start + ROWS)
                scores[rows, places] = part.score(embeddings[rows], None if texts is None else texts[rows])
        return scores


def build_heads(
    topics: Sequence[Topic],
    encoder: Encoder,
    *,
    calibration: Path = PATH,
    fitted: Path = FITTED,
    labels: Mapping[str, Sequence[Label]] | None = None,
) -> Heads:
    """Build the heads for `topics`: fitted where a topic is defined as it was fitted, else zero-shot.

    Zero-shot embeds every phrase of its topics once. Both belong to the shipped encoder: with any other, all
    topics get the plain head, and labels are left out, for they too are weighed in the shipped one's space,
    and a warning in the log says so. `labels` are people's, by topic; a topic that has any
    gets a correction on top. Raises: TopicError for two topics of one name, ModelError if a shipped file is
    missing, corrupt or belongs to another encoder.
    """
    _refuse_twins([topic.name for topic in topics])
    if encoder.revision != shipped_revision():
        return _build_plain(topics, encoder, labels or {})
    known = read_fitted(fitted, revision=encoder.revision)
    learned = select_fitted(topics, known)
    others = tuple(topic for topic in topics if topic not in learned)
    given = _embed_given({topic.name for topic in topics}, labels or {}, encoder)
    shared = _Shared(encoder, calibration)
    parts: list[Head] = []
    for group in _split(learned, given):
        weights = load_weights(known, fitted, dimensions=encoder.dimensions)
        parts.append(_correct(FittedHead(group, known, weights), given, shared))
    parts += [_correct(shared.build_zero_shot(group), given, shared) for group in _split(others, given)]
    check = NameCheck(topics, learned, encoder)
    return Heads(tuple(topics), tuple(parts), encoder.dimensions, encoder.revision, given, check)


def fit_few_label(
    topic: Topic, labelled: Sequence[Label], encoder: Encoder, *, calibration: Path = PATH
) -> FewLabelHead:
    """Fit the head of one topic of one's own to labelled texts, for and against. Raises: as `build_heads`."""
    shared = _Shared(encoder, calibration)
    base = shared.build_zero_shot([topic])
    return correct_head(base, {topic.name: labelled}, encoder, shared.background)


@cache
def shipped_revision() -> str:
    """Return the revision of the shipped encoder, which the shipped heads were fitted for."""
    return read_manifest(FOLDER).revision


def _build_plain(topics: Sequence[Topic], encoder: Encoder, labels: Mapping[str, Sequence[Label]]) -> Heads:
    head = PlainHead(topics, encoder)
    log.warning(
        "heads.fell_back encoder=%s head=%s ignored_labels=%d",
        encoder.revision,
        ",".join(sorted(set(head.names))),
        sum(map(len, labels.values())),
    )
    return Heads(tuple(topics), (head,) if topics else (), encoder.dimensions, encoder.revision)


def _embed_given(
    topics: AbstractSet[str], labels: Mapping[str, Sequence[Label]], encoder: Encoder
) -> dict[str, tuple[Label, ...]]:
    """Keep the labels of `topics`, each with its vector; a topic without any is left out."""
    kept = {name: found for name, found in labels.items() if name in topics and found}
    vectors = iter(embed_labels([label for found in kept.values() for label in found], encoder))
    return {
        name: tuple(label._replace(vector=next(vectors)) for label in found) for name, found in kept.items()
    }


def _refuse_twins(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise TopicError(
                f"topic {name} is defined {names.count(name)} times: give each topic a name of its own"
            )


def _split(topics: Sequence[Topic], labels: Mapping[str, Sequence[Label]]) -> list[tuple[Topic, ...]]:
    """Part the topics without labels from those with some; no group is empty."""
    groups = (tuple(topic for topic in topics if (topic.name in labels) is has) for has in (False, True))
    return [group for group in groups if group]


def _correct(base: Head, labels: Mapping[str, Sequence[Label]], shared: _Shared) -> Head:
    if base.topics[0].name not in labels:
        return base
    return correct_head(base, labels, shared.encoder, shared.background)


class _Shared:
    """What the heads of topics of one's own share, read when the first of them is built."""

    def __init__(self, encoder: Encoder, path: Path) -> None:
        self.encoder = encoder
        self._path = path

    @cached_property
    def calibration(self) -> Calibration:
        return load_calibration(self._path, revision=self.encoder.revision)

    @cached_property
    def background(self) -> Background:
        return load_background(self._path.parent / self.calibration.background)

    def build_zero_shot(self, topics: Sequence[Topic]) -> ZeroShotHead:
        return ZeroShotHead(topics, self.encoder, self.background, self.calibration)
