"""Figures of one topic's scores, and their means: how well they rank, whether they are probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.encode import Vectors
from models.evaluate import average_precision
from tocsin.topic import THRESHOLDS

BINS = 10
DOUBTFUL = 0.05  # pairs below it are what calibration error is easy on

Floats = npt.NDArray[np.float64]


def calibration_error(scores: Vectors, labels: Floats) -> float:
    """Return the expected calibration error in `BINS` of equal width; NaN for no scores."""
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    gaps = [abs(float((scores - labels)[places == place].sum())) for place in range(BINS)]
    return sum(gaps) / len(scores) if len(scores) else float("nan")


def describe_scores(scores: Vectors, labels: Floats) -> dict[str, float]:
    """Describe the scores (n,) of one topic; labels are 1, 0, or NaN where unsure.

    `doubtful` is the calibration error over scores of at least `DOUBTFUL`. Hits and matches at the thresholds
    of sensitivities are counts, so that their sums give precision and recall. NaN where data cannot tell.
    """
    known = ~np.isnan(labels)
    scores, labels = scores[known], labels[known]
    positive = labels == 1
    ap = average_precision(positive, scores)
    raised = scores >= DOUBTFUL
    found = {
        "ap": float("nan") if ap is None else ap,
        "ece": calibration_error(scores, labels),
        "doubtful": calibration_error(scores[raised], labels[raised]),
        "positives": float(positive.sum()),
    }
    for name, threshold in THRESHOLDS.items():
        matched = scores >= np.float32(threshold)
        found |= {f"{name}.matches": float(matched.sum()), f"{name}.hits": float((matched & positive).sum())}
    return found


def average_tables(rows: Sequence[dict[str, float]], names: Sequence[str]) -> dict[str, object]:
    """Average the rows of each topic (their `topic` is its column), then the topics.

    Precision and recall are by sensitivity, of all topics together; of single topics precision only.
    """
    by_topic = {name: [row for row in rows if row["topic"] == column] for column, name in enumerate(names)}
    tables = {name: _mean_row(mine) for name, mine in by_topic.items() if mine}
    measures = ("ap", "ece", "doubtful")
    summary: dict[str, object] = {
        f"mean_{name}": round(float(np.nanmean([table[name] for table in tables.values()])), 3)
        for name in measures
    }
    summary |= _rates(_mean_row(rows))
    summary["topics"] = {
        name: {**{measure: round(table[measure], 3) for measure in measures}, **_precisions(table)}
        for name, table in tables.items()
    }
    return summary


def _mean_row(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def _precisions(table: dict[str, float]) -> dict[str, float | None]:
    return {name: rate["precision"] for name, rate in _rates(table).items()}


def _rates(table: dict[str, float]) -> dict[str, dict[str, float | None]]:
    rates: dict[str, dict[str, float | None]] = {}
    for name in THRESHOLDS:
        hits, matches = table[f"{name}.hits"], table[f"{name}.matches"]
        rates[name] = {
            "precision": round(hits / matches, 3) if matches else None,
            "recall": round(hits / table["positives"], 3) if table["positives"] else None,
        }
    return rates
