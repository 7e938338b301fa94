"""Scoring stored vectors again: words are looked up only where they can make a match. Embeds no article."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.encode import Vectors
from models.heads import Heads

# The vector's score from which a text is read. Below it, of 479 matches (at 0.3) by definitions among 60,000
# pairs of real news 2 are lost, and a text is read for one pair in 22; see docs/history-speed.md.
FROM_SCORE = 0.05

Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rescored:
    """Scores (n, topics) and, of the same shape, which of them saw all that their head can use."""

    scores: Vectors
    by_text: Mask


@dataclass(frozen=True, slots=True)
class Glance:
    """What vectors alone say: scores (n, topics), and for which of them the head wants the text.

    `complete`: for which topics no head wants any. `vectors` are those of the rows that want their text.
    """

    scores: Vectors
    wanted: Mask
    complete: Mask
    vectors: Vectors

    @property
    def rows(self) -> Rows:
        """The articles of which any topic wants the text, rising."""
        return np.flatnonzero(self.wanted.any(axis=1))

    def leave(self) -> Rescored:
        """Give the scores by vectors alone."""
        return Rescored(self.scores, np.broadcast_to(self.complete, self.scores.shape))

    def read(self, heads: Heads, texts: Sequence[str]) -> Rescored:
        """Give the scores with the composed texts of `rows`, by the same heads."""
        scores = self.scores.copy()
        if len(texts):
            rows = self.rows
            scores[rows] = np.where(self.wanted[rows], heads.score_plainly(self.vectors, texts), scores[rows])
        return Rescored(scores, self.wanted | self.complete)


def glance(heads: Heads, vectors: Vectors) -> Glance:
    """Score unit vectors (n, d), and find where a head needs the text; vectors are copied as far as needed.

    Fitted heads, half of whose evidence is words, always want the text, heads made from a definition where
    the vector says that the article may match, the plain head never. The score of a topic does not depend on
    which others are scored with it. Planted names are not discounted, as that embeds an article.
    """
    scores = heads.score_plainly(vectors, None)
    least = np.array([_least(name) for name in heads.names])
    wanted = scores >= least
    return Glance(scores, wanted, np.isinf(least), vectors[wanted.any(axis=1)])


def join_glances(glances: Sequence[Glance]) -> Glance:
    """Join what was seen of vectors that follow each other; there is at least one."""
    return Glance(
        np.concatenate([each.scores for each in glances]),
        np.concatenate([each.wanted for each in glances]),
        glances[0].complete,
        np.concatenate([each.vectors for each in glances]),
    )


def join_rescored(parts: Sequence[Rescored]) -> Rescored:
    """Join the scores of articles that follow each other; there is at least one part."""
    return Rescored(
        np.concatenate([each.scores for each in parts]), np.concatenate([each.by_text for each in parts])
    )


def _least(head: str) -> float:
    """Return the least score by the vector from which a head wants the text."""
    if head.startswith("plain-"):
        return np.inf
    return 0.0 if "fitted-" in head else FROM_SCORE
