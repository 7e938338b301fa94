"""Which words ordinary news uses near a direction: counts by neighbourhood, never of single texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.encode import Vectors
from models.lexical import Lexicon

# Chosen on train with each topic left out in turn, and confirmed on dev.
SHARE = 0.01  # of the background that is taken for a topic's companions
LEAST = 3  # companions that must use a term for it to count
MOST = 4.0  # log-odds that one term can earn

Counts = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Neighbourhoods:
    """Background articles by nearness: `centres` (k, d) are means of vectors, `sizes` (k,) articles.

    Of neighbourhood i, `terms[starts[i]:starts[i + 1]]` are rows of a lexicon, and `counts` in how many of
    its articles each stands. Counts of one are left out. `totals` are those of all articles.
    """

    centres: Vectors
    sizes: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    terms: npt.NDArray[np.int32]
    counts: Counts
    totals: npt.NDArray[np.int32]

    def companions(self, directions: Vectors) -> Vectors:
        """Weigh terms by how much commoner they are far along each of `directions` (d, k): (terms, k).

        Log-odds of a term among the hundredth of articles that lie farthest, against all others; zero for
        terms that are rarer there. It is pseudo-relevance feedback, on words only.
        """
        weights = np.zeros((len(self.totals), directions.shape[1]), dtype=np.float32)
        for column, places in zip(weights.T, (self.centres @ directions).T, strict=True):
            column[:] = self._log_odds(self._take(places))
        return weights

    def _take(self, places: Vectors) -> Vectors:
        """Return the share of each neighbourhood that is among the farthest."""
        order = np.argsort(-places, kind="stable")
        sizes = self.sizes[order].astype(np.float64)
        before = np.cumsum(sizes) - sizes
        taken = np.zeros(len(places), dtype=np.float32)
        taken[order] = np.clip((SHARE * sizes.sum() - before) / np.maximum(sizes, 1), 0, 1)
        return taken

    def _log_odds(self, taken: Vectors) -> Vectors:
        owner = np.repeat(taken, np.diff(self.starts))
        near = np.bincount(self.terms, weights=owner * self.counts, minlength=len(self.totals))
        articles, chosen = float(self.sizes.sum()), float((taken * self.sizes).sum())
        far = np.maximum(self.totals - near, 0)
        expected = self.totals / articles
        share_near = (near + expected + 0.3) / (chosen + 1.6)
        share_far = (far + 0.5) / (articles - chosen + 1)
        gained = np.log(share_near / share_far).clip(0, MOST)
        return np.asarray(gained * (near >= LEAST), dtype=np.float32)


def gather_neighbourhoods(
    vectors: Vectors, texts: Sequence[str], lexicon: Lexicon, *, count: int, seed: int
) -> Neighbourhoods:
    """Group articles by their vectors (n, d) and count the terms of each group."""
    owners = _group(vectors - vectors.mean(axis=0), count, seed)
    present = np.bincount(owners, minlength=count)
    held: list[list[npt.NDArray[np.intp]]] = [[] for _ in range(count)]
    for text, owner in zip(texts, owners, strict=True):
        held[owner].append(lexicon.weigh(text)[0])
    totals = np.zeros(len(lexicon.terms), dtype=np.int32)
    terms: list[npt.NDArray[np.intp]] = []
    counts: list[npt.NDArray[np.intp]] = []
    for rows in held:
        found, times = np.unique(np.concatenate([*rows, np.empty(0, np.intp)]), return_counts=True)
        totals[found] += times
        terms.append(found[times > 1])
        counts.append(times[times > 1])
    centres = [vectors[owners == i].mean(axis=0) if present[i] else vectors[0] * 0 for i in range(count)]
    return Neighbourhoods(
        centres=np.stack(centres).astype(np.float32),
        sizes=present.astype(np.int32),
        starts=np.cumsum([0, *(len(rows) for rows in terms)]).astype(np.int32),
        terms=np.concatenate(terms).astype(np.int32),
        counts=np.concatenate(counts).astype(np.uint16),
        totals=totals,
    )


def _group(points: Vectors, count: int, seed: int, *, rounds: int = 12) -> npt.NDArray[np.intp]:
    """Return each point's group by spherical k-means from `count` of the points."""
    centres = points[np.random.default_rng(seed).permutation(len(points))[:count]]
    for _ in range(rounds):
        owners = np.concatenate(
            [(points[i : i + 4096] @ centres.T).argmax(axis=1) for i in range(0, len(points), 4096)]
        )
        sums = np.zeros_like(centres)
        np.add.at(sums, owners, points)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 1e-6, sums / np.maximum(lengths, 1e-9), centres)
    return np.asarray(owners)
