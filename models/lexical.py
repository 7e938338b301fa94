"""Words as evidence: which terms a text holds and how much each weighs. Knows nothing of topics."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise, repeat

import numpy as np
import numpy.typing as npt

from models.encode import Vectors
from models.text import MAX_CHARACTERS, clean_text

_WORD = re.compile(r"\w\w+")
# Many texts are split as bytes, five times as fast: what is no word becomes a blank, and a sign that no word
# in small letters is like stands between two texts.
_LETTERS = string.ascii_lowercase + string.digits + "_"
_BLANKS = bytes(code if code > 127 or chr(code) in f"{_LETTERS}\n" else 32 for code in range(256))
_ODD = re.compile("[^\x00-\x7f\u2010-\u2027\u2030-\u205e\u20ac]")
_END, _SHORT = -2, -3
_NO_WORDS = {letter.encode(): _SHORT for letter in _LETTERS} | {b"END": _END}

Rows = npt.NDArray[np.intp]


def split_terms(text: str) -> list[str]:
    """Return the words of `text` in small letters, then its pairs of neighbouring words.

    Looks no further than `clean_text` does, so a megabyte costs what a page does.
    """
    words = split_words(text)
    return words + list(map(" ".join, pairwise(words)))


def split_words(text: str) -> list[str]:
    """Return the words of `text` alone, as `split_terms` does."""
    # To words it is all the same how many blanks stand between them.
    is_clean = len(text) <= MAX_CHARACTERS and text.isascii() and text.isprintable()
    return _WORD.findall((text if is_clean else clean_text(text)).casefold())


def _spell(text: str) -> bytes:
    """Return `text` so that what lies between its signs and blanks is what `split_words` finds."""
    if len(text) <= MAX_CHARACTERS and text.isprintable() and (text.isascii() or not _ODD.search(text)):
        return text.encode("ascii", "replace")  # a question mark for quotes, dashes and the like
    return " ".join(split_words(text)).encode()


@dataclass(frozen=True, slots=True)
class Counts:
    """How often terms stand in texts, entry by entry in the order of texts: int64, int64 and float32.

    A text without any term has no entry.
    """

    texts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    times: Vectors

    def sum_up(self, values: Vectors, count: int) -> Vectors:
        """Add up a value (entries,) or a line of them (entries, k) of each of `count` texts."""
        sums = np.zeros((count, *values.shape[1:]), dtype=np.float32)
        if len(values):
            starts = np.flatnonzero(np.r_[True, self.texts[1:] != self.texts[:-1]])
            sums[self.texts[starts]] = np.add.reduceat(values, starts, axis=0)
        return sums


class TermTable:
    """Looks for the same terms, words and pairs of words, in many texts at once."""

    def __init__(self, terms: Sequence[str]) -> None:
        self._size = max(len(terms), 1)
        parts = [term.encode().split(b" ") for term in terms]
        words = {word: code for code, word in enumerate(dict.fromkeys(chain.from_iterable(parts)))}
        self._codes = _NO_WORDS | words
        self._words = len(words)
        self._rows = np.full(len(words) + 1, -1, dtype=np.int64)  # last, those of unknown words
        pairs = {}
        for row, part in enumerate(parts):
            if len(part) == 1:
                self._rows[words[part[0]]] = row
            else:
                pairs[words[part[0]] * self._words + words[part[1]]] = row
        keys = np.fromiter(pairs, np.int64, len(pairs))
        order = np.argsort(keys)
        self._pairs = np.r_[keys[order], np.iinfo(np.int64).max]
        self._pair_rows = np.r_[np.fromiter(pairs.values(), np.int64, len(pairs))[order], -1]

    def count(self, texts: Sequence[str]) -> Counts:
        """Count the terms in each text."""
        codes, owners = self._read(texts)
        rows = self._rows[codes]
        pairs, beginning = self._find_pairs(codes, owners)
        found = np.r_[
            owners[rows >= 0] * self._size + rows[rows >= 0], owners[beginning] * self._size + pairs
        ]
        entries, times = np.unique(found, return_counts=True)
        return Counts(entries // self._size, entries % self._size, times.astype(np.float32))

    def _read(self, texts: Sequence[str]) -> tuple[Rows, Rows]:
        """Return the words of all texts, one after the other, by code (-1 if unknown), and whose each is."""
        raw = b"\n".join(map(_spell, texts)).lower().translate(_BLANKS).replace(b"\n", b" END ")
        words = raw.split()
        codes = np.fromiter(map(self._codes.get, words, repeat(-1)), np.int64, len(words))
        is_word = codes >= -1
        return codes[is_word], np.cumsum(codes == _END)[is_word]

    def _find_pairs(self, codes: Rows, owners: Rows) -> tuple[Rows, Rows]:
        """Return the rows of known pairs, and the places where they begin."""
        places = np.flatnonzero((codes[:-1] >= 0) & (codes[1:] >= 0) & (owners[:-1] == owners[1:]))
        keys = codes[places] * self._words + codes[places + 1]
        at = np.searchsorted(self._pairs, keys)
        known = self._pairs[at] == keys
        return self._pair_rows[at[known]], places[known]


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

    @cached_property
    def _table(self) -> TermTable:
        return TermTable(self.terms)

    def project(self, texts: Sequence[str], weights: Vectors) -> Vectors:
        """Return the sums of `weights` (terms, k) over the terms of each text: float32 (texts, k)."""
        found = self._table.count(texts)
        values = (1 + np.log(found.times)) * self.idf[found.rows]
        lengths = np.sqrt(found.sum_up(values**2, len(texts)))
        sums = found.sum_up(values[:, None] * weights[found.rows], len(texts))
        return np.asarray(sums / np.maximum(lengths, 1e-12)[:, None], dtype=np.float32)


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
