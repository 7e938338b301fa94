"""The words of a topic's definition, as weights of terms. Knows no vectors of the encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from models.encode import Vectors
from models.lexical import Lexicon, Rows, TermTable, split_terms
from tocsin.types import Topic

# Chosen on train with each topic left out in turn, and confirmed on dev; in examples.
DESCRIPTION_WEIGHT = 4.0
NAME_WEIGHT = 2.0
RARITY = 9.5  # idf of a word that the background's lexicon does not hold: rarer than any that it holds


class Wording:
    """The terms that count for some topics: those of a lexicon, and the topics' own words beyond it.

    An article's terms are weighed to length one over the lexicon's terms alone, so that what one topic's own
    words add is nobody else's affair.
    """

    def __init__(self, lexicon: Lexicon, topics: Sequence[Topic]) -> None:
        self._known = {term: row for row, term in enumerate(lexicon.terms)}
        own = dict.fromkeys(word for topic in topics for text in _texts(topic) for word in _words(text))
        self._own = {
            word: len(self._known) + i for i, word in enumerate(w for w in own if w not in self._known)
        }
        self._table = TermTable([*lexicon.terms, *self._own])
        self._idf = np.r_[lexicon.idf, np.full(len(self._own), RARITY)].astype(np.float32)

    @property
    def size(self) -> int:
        """How many terms count."""
        return len(self._idf)

    def weigh(self, text: str) -> tuple[Rows, Vectors]:
        """Return the rows of the terms in `text` (as integers) and their weights; both may be empty."""
        return self._weigh(split_terms(text))

    def _weigh(self, terms: Sequence[str]) -> tuple[Rows, Vectors]:
        known, own = self._known, self._own
        counts = Counter(
            row for term in terms if (row := known.get(term, own.get(term, -1) if own else -1)) >= 0
        )
        rows = np.fromiter(counts, dtype=np.intp, count=len(counts))
        times = np.fromiter(counts.values(), dtype=np.float32, count=len(counts))
        weights = (1 + np.log(times)) * self._idf[rows]
        length = float(np.linalg.norm(weights[rows < len(known)]))
        return rows, np.asarray(weights / max(length, RARITY), dtype=np.float32)

    def project(self, texts: Sequence[str], weights: Vectors) -> Vectors:
        """Return the sums of `weights` (size, k) over the terms of each text: float32 (texts, k)."""
        found = self._table.count(texts)
        values = (1 + np.log(found.times)) * self._idf[found.rows]
        known = np.where(found.rows < len(self._known), values, 0)
        lengths = np.sqrt(found.sum_up(known**2, len(texts)))
        sums = found.sum_up(values[:, None] * weights[found.rows], len(texts))
        return np.asarray(sums / np.maximum(lengths, RARITY)[:, None], dtype=np.float32)

    def ask(self, topic: Topic) -> Vectors:
        """Return what the definition asks for: float32 (size,), of length one."""
        name = topic.name.replace("_", " ")
        parts: Mapping[str, float] = {
            name: NAME_WEIGHT,
            f"{name}. {topic.description}": DESCRIPTION_WEIGHT,
        }
        query = np.zeros(self.size, dtype=np.float32)
        for text, weight in [*parts.items(), *((example, 1.0) for example in topic.examples)]:
            rows, values = self.weigh(text)
            query[rows] += np.float32(weight) * values / max(float(np.linalg.norm(values)), 1e-9)
        return query / max(float(np.linalg.norm(query)), 1e-9)

    def spread(self, weights: Vectors) -> Vectors:
        """Divide weights of the lexicon's terms (terms, k) by their idf, and add rows for the topics' own."""
        known = weights / self._idf[: len(weights), None]
        return np.vstack([known, np.zeros((self.size - len(weights), weights.shape[1]), dtype=np.float32)])


def _texts(topic: Topic) -> tuple[str, ...]:
    return (topic.name.replace("_", " "), topic.description, *topic.examples)


def _words(text: str) -> list[str]:
    return [term for term in split_terms(text) if " " not in term]
