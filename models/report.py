"""The report of an evaluation as plain JSON values: figures, intervals, worst errors, comparison, scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.compare import Comparison, Difference
from models.evaluate import BINS, Evaluation, Floats, Scored
from models.intervals import (
    LEVEL,
    RESAMPLES,
    SEED,
    Interval,
    Sample,
    average_topics,
    find_intervals,
    resample,
)
from models.mistakes import Mistake


@dataclass(frozen=True)
class Intervals:
    """The intervals of the measures, by topic and of the means."""

    topics: dict[str, dict[str, Interval | None]]
    mean: dict[str, Interval | None]


def measure_intervals(scored: Scored) -> Intervals:
    """Measure how sure the figures of `Scored.evaluate` are."""
    topics = scored.heads.topics
    sample = Sample(scored.scores, scored.labels(), [topic.effective_threshold for topic in topics])
    measured = resample(sample)
    by_topic = {topic.name: find_intervals(measured[:, column]) for column, topic in enumerate(topics)}
    return Intervals(by_topic, find_intervals(average_topics(measured)))


def write_report(evaluation: Evaluation, intervals: Intervals, mistakes: Sequence[Mistake]) -> dict[str, Any]:
    """Return the evaluation as JSON values, each topic with its intervals, and the worst errors."""
    report = evaluation.to_json()
    for name, figures in report["topics"].items():
        figures["intervals"] = intervals.topics[name]
    report["mean_intervals"] = intervals.mean
    report["method"] = {"resamples": RESAMPLES, "seed": SEED, "level": LEVEL, "ece_bins": BINS}
    report["errors"] = [asdict(mistake) for mistake in mistakes]
    return report


def write_scores(scored: Scored) -> dict[str, list[float]]:
    """Return by topic the scores in the file's order, which read back as the same float32."""
    columns = zip(scored.heads.topics, scored.scores.T, strict=True)
    return {topic.name: [float(str(score)) for score in column] for topic, column in columns}


def write_comparison(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON values."""

    def plain(differences: dict[str, Difference]) -> dict[str, Any]:
        return {name: {**asdict(each), "is_clear": each.is_clear} for name, each in differences.items()}

    return {
        "encoder_revision": comparison.before.encoder_revision,
        "heads": comparison.before.heads,
        "topics": {name: plain(differences) for name, differences in comparison.topics.items()},
        "mean": plain(comparison.mean),
        "changes": [asdict(change) for change in comparison.changes],
    }


@dataclass(frozen=True)
class Curve:
    """Precision and recall (k,) at each score that occurs, from the highest down."""

    topic: str
    precision: Floats
    recall: Floats
    positives: int
    ap: float
    at_threshold: tuple[float, float] | None
    """Recall and precision at the threshold; None if nothing matches."""


def trace_curves(scored: Scored) -> list[Curve]:
    """Trace the curve of every topic that has positives."""
    figures = scored.evaluate().topics
    labels = scored.labels()
    curves = []
    for column, topic in enumerate(scored.heads.topics):
        found = figures[topic.name]
        if found.ap is None:
            continue
        known = ~np.isnan(labels[:, column])
        precision, recall = _trace(labels[known, column], scored.scores[known, column].astype(np.float64))
        at = None if found.precision is None or found.recall is None else (found.recall, found.precision)
        curves.append(Curve(topic.name, precision, recall, found.positives, found.ap, at))
    return curves


def _trace(labels: Floats, scores: Floats) -> tuple[Floats, Floats]:
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    hits = labels[order].cumsum()[ends]
    return hits / (ends + 1), hits / hits[-1]
