"""Words as evidence: which terms a text holds and how much each weighs. Knows nothing of topics."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from models.encode import Vectors
from models.text import clean_text

_WORD = re.compile(r"\w\w+")

Rows = npt.NDArray[np.intp]


def split_terms(text: str) -> list[str]:
    """Return the words of `text` in small letters, then its pairs of neighbouring words.

    Looks no further than `clean_text` does, so a megabyte costs what a page does.
    """
    words = _WORD.findall(clean_text(text).casefold())
    return words + list(map(" ".join, pairwise(words)))


@dataclass(frozen=True)
class Lexicon:
    """The terms that count, and for each its inverse document frequency: float32 (terms,)."""

    terms: tuple[str, ...]
    idf: Vectors

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {term: row for row, term in enumerate(self.terms)}

    def weigh(self, text: str) -> tuple[Rows, Vectors]:
        """Return the rows of the known terms in `text` and their weights, a vector of length one.

        A term said n times weighs 1 + ln(n) times its idf. Both are empty where no term is known.
        """
        # Counted from a list, since Counter goes through an iterator of Python's three times as slowly.
        counts = Counter([row for row in map(self._rows.get, split_terms(text)) if row is not None])
        rows = np.array(list(counts), dtype=np.intp)
        times = np.array(list(counts.values()), dtype=np.float32)
        weights = (1 + np.log(times)) * self.idf[rows]
        length = math.sqrt(float(weights @ weights))
        return rows, np.asarray(weights / max(length, 1e-12), dtype=np.float32)

    def weigh_all(self, texts: Sequence[str]) -> Vectors:
        """Return the weights of all terms in each text, float32 (texts, terms): for fitting."""
        matrix = np.zeros((len(texts), len(self.terms)), dtype=np.float32)
        for line, text in zip(matrix, texts, strict=True):
            rows, weights = self.weigh(text)
            line[rows] = weights
        return matrix

    def project(self, texts: Sequence[str], weights: Vectors) -> Vectors:
        """Return the sums of `weights` (terms, k) over the terms of each text: float32 (texts, k)."""
        sums = np.zeros((len(texts), weights.shape[1]), dtype=np.float32)
        for line, text in zip(sums, texts, strict=True):
            rows, values = self.weigh(text)
            line[:] = values @ weights[rows]
        return sums


def build_lexicon(texts: Iterable[str], *, least: int) -> Lexicon:
    """Take the terms that at least `least` of the texts hold, in alphabetical order."""
    holding: Counter[str] = Counter()
    total = 0
    for text in texts:
        holding.update(set(split_terms(text)))
        total += 1
    terms = tuple(sorted(term for term, count in holding.items() if count >= least))
    shares = np.array([(1 + total) / (1 + holding[term]) for term in terms])
    return Lexicon(terms, (np.log(shares) + 1).astype(np.float32))
