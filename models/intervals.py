"""How sure the figures of an evaluation are: measures on bootstrap resamples of the articles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.encode import Vectors
from models.evaluate import BINS, MEASURES, Floats, calibration_bins

RESAMPLES = 1_000
SEED = 0
LEVEL = 0.95
CELLS = 2_000_000  # weights held at a time, which bounds the memory for large files

Interval = tuple[float, float]


@dataclass(frozen=True)
class Sample:
    """Scores (articles, topics), labels (same; 1, 0, NaN unknown) and the threshold of each topic."""

    scores: Vectors
    labels: Floats
    thresholds: Sequence[float]


def resample(sample: Sample, *, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Return the measures of each topic on each resample: (resamples, topics, `MEASURES`).

    Articles are drawn with replacement, the same for all topics, so that means can be taken within one.
    Samples with equally many articles see the same draws, so that they can be compared pair by pair.
    NaN: the resample cannot tell.
    """
    columns = [
        _Column(scores, labels, threshold)
        for scores, labels, threshold in zip(sample.scores.T, sample.labels.T, sample.thresholds, strict=True)
    ]
    parts = [
        np.stack([column.measure(weights) for column in columns], axis=1)
        for weights in _draw(len(sample.scores), resamples, seed)
    ]
    if not columns:
        return np.empty((resamples, 0, len(MEASURES)))
    once = np.ones((1, len(sample.scores)), dtype=np.float32)
    return _centre(np.concatenate(parts), np.concatenate([column.measure(once) for column in columns]))


def _centre(measured: Floats, figures: Floats) -> Floats:
    """Shift the calibration errors so that they lie around the one measured (topics, `MEASURES`).

    An average of absolute gaps grows with noise, and a resample is noisier than the articles it was drawn
    from: uncorrected, the interval may lie above the figure that it is for.
    """
    place = MEASURES.index("ece")
    excess = measured[:, :, place].mean(axis=0) - figures[:, place]
    measured[:, :, place] = np.maximum(measured[:, :, place] - excess, 0)
    return measured


def _draw(articles: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield how often each resample holds each article, a few resamples at a time."""
    rng = np.random.default_rng(seed)
    step = max(1, CELLS // articles)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = rng.integers(articles, size=(count, articles)) + articles * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * articles).reshape(count, -1).astype(np.float32)


class _Column:
    """One topic, sorted by score, ready to be measured with any weights of its articles."""

    def __init__(self, scores: Vectors, labels: Floats, threshold: float) -> None:
        known = np.flatnonzero(~np.isnan(labels))
        self._order = known[np.argsort(-scores[known], kind="stable")]
        ranked = scores[self._order]
        self._positive = labels[self._order].astype(np.float32)
        self._ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True][: len(ranked)])
        self._matches = int((ranked >= np.float32(threshold)).sum())
        error = (ranked - self._positive).astype(np.float32)
        bins = np.eye(BINS, dtype=np.float32)[calibration_bins(ranked)]
        self._errors = np.column_stack([error**2, error[:, None] * bins])  # Brier's, then one for each bin

    def measure(self, weights: npt.NDArray[np.float32]) -> Floats:
        """Return `MEASURES` for each row of weights (resamples, articles)."""
        weights = weights[:, self._order]
        total = weights.cumsum(axis=1)
        found = (weights * self._positive).cumsum(axis=1)
        count, positives = _at(total, len(self._order)), _at(found, len(self._order))
        matches, hits = _at(total, self._matches), _at(found, self._matches)
        errors = (weights @ self._errors).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            measured = {
                "ap": self._average_precision(total, found) / positives,
                "precision": hits / matches,
                "recall": hits / positives,
                "f1": np.where(positives > 0, 2 * hits / (matches + positives), np.nan),
                "brier": errors[:, 0] / count,
                "ece": np.abs(errors[:, 1:]).sum(axis=1) / count,
            }
        return np.stack([measured[name] for name in MEASURES], axis=1)

    def _average_precision(self, total: Vectors, found: Vectors) -> Floats:
        """Sum precision over the positives; equal scores share a rank, as in `average_precision`."""
        total, found = total[:, self._ends], found[:, self._ends]
        gained = np.diff(found, axis=1, prepend=0)
        return np.asarray((found / np.maximum(total, 1) * gained).sum(axis=1), dtype=np.float64)


def _at(sums: Vectors, rows: int) -> Floats:
    """Return running sums (n, rows) after so many rows."""
    return (sums[:, rows - 1] if rows else np.zeros(len(sums))).astype(np.float64)


def find_intervals(measured: Floats, *, level: float = LEVEL) -> dict[str, Interval | None]:
    """Return each measure's percentile interval over resamples (n, `MEASURES`); None if most cannot tell."""
    tails = [50 * (1 - level), 50 * (1 + level)]
    found: dict[str, Interval | None] = {}
    for name, column in zip(MEASURES, measured.T, strict=True):
        known = column[~np.isnan(column)]
        enough = len(known) > len(column) / 2
        found[name] = _pair(np.percentile(known, tails)) if enough else None
    return found


def _pair(values: Floats) -> Interval:
    return round(float(values[0]), 6), round(float(values[1]), 6)


def average_topics(measured: Floats) -> Floats:
    """Return the mean over the topics that a resample can tell: (resamples, topics, k) to (resamples, k)."""
    known = ~np.isnan(measured)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(measured, axis=1) / known.sum(axis=1))
