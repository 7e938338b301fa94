"""Scoring stored vectors again: words are looked up only where they can make a match. Embeds no article."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.encode import Vectors
from models.heads import Heads

# The vector's score from which a text is read. Below it, of 479 matches (at 0.3) by definitions among 60,000
# pairs of real news 2 are lost, and a text is read for one pair in 22; see docs/history-speed.md.
FROM_SCORE = 0.05

Rows = npt.NDArray[np.intp]
LoadTexts = Callable[[Rows], Sequence[str]]
"""Gives the composed texts of these rows, in their order."""


@dataclass(frozen=True, slots=True)
class Rescored:
    """Scores (n, topics) and, of the same shape, which of them saw all that their head can use."""

    scores: Vectors
    by_text: npt.NDArray[np.bool_]


def rescore(heads: Heads, pieces: Sequence[Vectors], load_texts: LoadTexts | None) -> Rescored:
    """Score n unit vectors, in pieces of (some, d), with the text where a head needs it.

    Without `load_texts` all scores are by vectors alone.

    Fitted heads, half of whose evidence is words, are always given the text, heads made from a definition
    where the vector says that the article may match, the plain head never. The score of a topic does not
    depend on which others are scored with it. Planted names are not discounted, as that embeds an article.
    """
    scores = np.concatenate([heads.score_plainly(piece, None) for piece in pieces])
    least = np.array([_least(name) for name in heads.names])
    wanted = scores >= least
    by_text = np.broadcast_to(np.isinf(least), scores.shape).copy()
    rows = np.flatnonzero(wanted.any(axis=1))
    if load_texts is not None and len(rows):
        with_text = heads.score_plainly(_take(pieces, rows), load_texts(rows))
        scores[rows] = np.where(wanted[rows], with_text, scores[rows])
        by_text |= wanted
    return Rescored(scores, by_text)


def _take(pieces: Sequence[Vectors], rows: Rows) -> Vectors:
    """Take rows, in rising order, out of pieces that follow each other."""
    ends = np.cumsum([len(piece) for piece in pieces])
    cuts = np.split(rows, np.searchsorted(rows, ends[:-1]))
    return np.concatenate(
        [piece[cut - end + len(piece)] for piece, cut, end in zip(pieces, cuts, ends, strict=True)]
    )


def _least(head: str) -> float:
    """Return the least score by the vector from which a head wants the text."""
    if head.startswith("plain-"):
        return np.inf
    return 0.0 if "fitted-" in head else FROM_SCORE
