"""Fits what the zero-shot head shares over all topics: python -m models.fit_zero_shot --data FOLDER.

FOLDER holds train.jsonl (fitted on), dev.jsonl (reported on) and history.jsonl.gz (background, no labels).
Writes background.npy and zero_shot.json, from which no text can be read back. Same data, same figures.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.background import PATH as BACKGROUND
from models.background import load_background, measure_background, save_background
from models.encode import Encoder, Vectors, load_encoder
from models.evaluate import LabelledArticle, evaluate_scores, read_labelled
from models.text import compose_text
from models.topics import default_topics
from models.zero_shot import FEATURES, PATH, Calibration, TopicFeatures, save_calibration
from tocsin.types import THRESHOLDS, Topic

BACKGROUND_ARTICLES = 12_000
# The labelled data have matches in 6 of 100 (article, topic) pairs, the rest being mostly near misses.
# Scores assume 10, as among feeds that were chosen for the domain: then 0.6 has a precision of 0.8 on dev.
PRIOR = 0.1
RIDGE = 0.01  # of the logistic regression: next to nothing, so that the scales of features do not matter
SEED = 0

Floats = npt.NDArray[np.float64]


def read_background(path: Path, *, seed: int = SEED) -> list[str]:
    """Return the texts of a random sample of the English articles in `path` (JSON lines, gzip)."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        articles = [data for data in map(json.loads, lines) if data.get("lang") == "en"]
    chosen = random.Random(seed).sample(articles, min(BACKGROUND_ARTICLES, len(articles)))  # noqa: S311 - a sample
    return [compose_text(data["title"], data.get("summary") or "") for data in chosen]


def label_matrix(articles: Sequence[LabelledArticle], topics: Sequence[Topic]) -> Floats:
    """Return labels (articles, topics): 1, 0, or NaN where unsure."""
    return np.array(
        [
            [
                np.nan if topic.name in article.unsure else float(topic.name in article.topics)
                for topic in topics
            ]
            for article in articles
        ]
    )


def fit_logistic(features: Floats, labels: Floats, *, ridge: float = RIDGE) -> Floats:
    """Fit weights and, last, the intercept, by Newton's method on the ridge-penalised likelihood."""
    design = np.column_stack([features, np.ones(len(features))])
    penalty = np.diag([ridge] * features.shape[1] + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-(design @ weights).clip(-30, 30)))
        gradient = design.T @ (labels - chance) - penalty @ weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + penalty
        step: Floats = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    return weights


def fit_calibration(features: Vectors, labels: Floats, topics: Sequence[int], revision: str) -> Calibration:
    """Fit on the labelled pairs of the topics (columns) `topics`; features (n, all topics, 3)."""
    pairs = [(features[sure, j], labels[sure, j]) for j in topics for sure in [~np.isnan(labels[:, j])]]
    known = np.concatenate([pair[1] for pair in pairs])
    *weights, intercept = fit_logistic(np.concatenate([pair[0] for pair in pairs]).astype(np.float64), known)
    return Calibration(
        encoder_revision=revision,
        weights=tuple(round(float(weight), 4) for weight in weights),
        intercept=round(float(intercept), 4),
        base_rate=round(float(known.mean()), 4),
        prior=PRIOR,
    )


def score_left_out(train: Vectors, labels: Floats, others: Vectors, revision: str) -> Vectors:
    """Score each topic (column) of `others` by a calibration fitted on train without that topic."""
    count = labels.shape[1]
    columns = []
    for j in range(count):
        fitted = fit_calibration(train, labels, [k for k in range(count) if k != j], revision)
        columns.append(fitted.probability(others[:, j]))
    return np.stack(columns, axis=1)


def summarize(
    scores: Vectors, articles: Sequence[LabelledArticle], topics: Sequence[Topic]
) -> dict[str, Any]:
    """Return AP by topic, and the mean figures at each of the thresholds that sensitivities stand for."""
    summary: dict[str, Any] = {}
    for sensitivity, threshold in THRESHOLDS.items():
        level = [topic.model_copy(update={"threshold": threshold}) for topic in topics]
        result = evaluate_scores(scores, articles, level)
        summary[sensitivity] = {name: _rounded(value) for name, value in result.mean.items() if name != "ap"}
        summary["ap"] = {name: _rounded(figures.ap) for name, figures in result.topics.items()}
        summary["mean_ap"] = _rounded(result.mean["ap"])
    return summary


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def fit(data: Path, encoder: Encoder, *, keep_background: bool) -> Calibration:
    """Measure the background unless it is kept, fit on train, report with each topic left out in turn."""
    if not keep_background:
        save_background(
            measure_background(encoder.embed(read_background(data / "history.jsonl.gz"))), BACKGROUND
        )
    topics = default_topics()
    measured = TopicFeatures(topics, encoder, load_background())
    sets = {name: read_labelled(data / f"{name}.jsonl") for name in ("train", "dev")}
    texts = {name: [compose_text(a.title, a.summary) for a in articles] for name, articles in sets.items()}
    features = {name: measured.measure(encoder.embed(texts[name])) for name in sets}
    labels = label_matrix(sets["train"], topics)
    report: dict[str, Any] = {
        name: summarize(
            score_left_out(features["train"], labels, features[name], encoder.revision), sets[name], topics
        )
        for name in sets
    }
    report["sha256"] = {
        f.name: _digest(f) for f in (data / "train.jsonl", data / "dev.jsonl", data / "history.jsonl.gz")
    }
    report.update(
        seed=SEED, features=FEATURES, note="each topic scored by a calibration fitted on the other topics"
    )
    fitted = fit_calibration(features["train"], labels, range(len(topics)), encoder.revision)
    return replace(fitted, report=report)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Fit from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.fit_zero_shot", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with train.jsonl, dev.jsonl, history.jsonl.gz"
    )
    parser.add_argument(
        "--keep-background", action="store_true", help="fit again on the background that is there"
    )
    arguments = parser.parse_args()
    calibration = fit(arguments.data, load_encoder(), keep_background=arguments.keep_background)
    save_calibration(calibration, PATH)
    sys.stdout.write(json.dumps(calibration.report, indent=2) + "\n")


if __name__ == "__main__":
    main()
