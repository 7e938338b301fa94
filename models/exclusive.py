"""The exclusive head: chooses among classes of which an article has exactly one, from few labels.

Topics are not like that: an article may have several or none, and `monitor` asks about each apart. Where one
and only one holds, as in AG News, what is told of one class tells of all, and the nearest of their centres
is chosen. A centre is the mean of the labelled articles' vectors and of the parts of the description, each
embedded by itself, since a list of things in one sentence lies near none of them; terms count beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from models.encode import Encoder, Vectors
from models.few_label import Label, embed_labels
from models.lexical import Lexicon
from models.queries import Wording
from tocsin.types import Topic

# Chosen on one half of AG News' test file; docs/classifier.md has the figures on the other.
DESCRIPTION_WEIGHT = 8.0  # in labelled articles
TERMS_DESCRIPTION_WEIGHT = 4.0
TERMS_SHARE = 0.3  # of the cosine of terms, beside the cosine of vectors
_PART = re.compile(r"[,;:]\s+|\s+(?:and|or)\s+")


class ExclusiveHead:
    """Tells how near an article is to the centre of each class; arrays only."""

    def __init__(self, topics: Sequence[Topic], centres: Vectors, terms: Vectors, wording: Wording) -> None:
        self.topics = tuple(topics)
        self._centres = centres
        self._terms = terms
        self._wording = wording

    def nearness(self, embeddings: Vectors, texts: Sequence[str]) -> Vectors:
        """Measure unit vectors (n, d) and their texts: float32 (n, topics), no probabilities."""
        words = self._wording.project(texts, self._terms)
        return np.asarray(embeddings @ self._centres + TERMS_SHARE * words, dtype=np.float32)

    def choose(self, embeddings: Vectors, texts: Sequence[str]) -> npt.NDArray[np.intp]:
        """Return the place of each article's topic, (n,)."""
        return np.asarray(self.nearness(embeddings, texts).argmax(axis=1))


def fit_exclusive(
    topics: Sequence[Topic], labels: Mapping[str, Sequence[Label]], encoder: Encoder, lexicon: Lexicon
) -> ExclusiveHead:
    """Fit to the articles that have each topic, by its name; a topic may have none. A no is left aside."""
    wording = Wording(lexicon, topics)
    given = [[label for label in labels.get(topic.name, ()) if label.positive] for topic in topics]
    centres = [_centre(topic, found, encoder) for topic, found in zip(topics, given, strict=True)]
    terms = [_weigh(topic, found, wording) for topic, found in zip(topics, given, strict=True)]
    return ExclusiveHead(topics, np.stack(centres, axis=1), np.stack(terms, axis=1), wording)


def split_description(description: str) -> list[str]:
    """Return the parts of a description that lists things, in order, each once; never empty."""
    parts = [part.strip(" .") for part in _PART.split(description)]
    return list(dict.fromkeys(part for part in parts if part)) or [description]


def _centre(topic: Topic, labels: Sequence[Label], encoder: Encoder) -> Vectors:
    described = _unit(encoder.embed(split_description(topic.description)).mean(axis=0))
    return _unit(embed_labels(labels, encoder).sum(axis=0) + np.float32(DESCRIPTION_WEIGHT) * described)


def _weigh(topic: Topic, labels: Sequence[Label], wording: Wording) -> Vectors:
    query = np.zeros(wording.size, dtype=np.float32)
    weighed = [(topic.description, TERMS_DESCRIPTION_WEIGHT), *((label.text, 1.0) for label in labels)]
    for text, weight in weighed:
        rows, values = wording.weigh(text)
        query[rows] += np.float32(weight) * _unit(values)
    return _unit(query)


def _unit(vector: Vectors) -> Vectors:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), dtype=np.float32)
