from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from models.evaluate import LabelledArticle, label_matrix
from models.fit_zero_shot import Measured, calibrate_without, fit_calibration, fit_logistic
from models.held_out import Draw
from models.topics import default_topics
from models.zero_shot import PATH


def test_logistic_regression_finds_the_weights_that_made_the_labels():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(20_000, 3))
    truth = np.array([1.5, -0.5, 0.0])
    chance = 1 / (1 + np.exp(-(features @ truth - 2.0)))
    fitted = fit_logistic(features, (rng.random(20_000) < chance).astype(float))
    np.testing.assert_allclose(fitted, [*truth, -2.0], atol=0.12)


def made_draws(rng: np.random.Generator, labels: np.ndarray) -> list[Measured]:
    """Draws whose features say what the labels are, with noise."""
    measured = []
    for column, truth in enumerate(labels.T):
        topic = default_topics()[column]
        features = rng.normal(size=(len(labels), 4)).astype(np.float32) + np.nan_to_num(truth)[:, None] * 2
        measured.append(Measured(Draw(column, topic, ()), features, features, ~np.isnan(truth)))
    return measured


def test_a_topic_is_calibrated_without_its_own_labels():
    rng = np.random.default_rng(2)
    labels = (rng.random((400, 3)) < 0.3).astype(float)
    measured = made_draws(rng, labels)
    before = calibrate_without(measured, labels, "r")
    labels[:, 1] = 1 - labels[:, 1]
    after = calibrate_without(measured, labels, "r")
    assert before[1] == after[1]
    assert before[0] != after[0]


def test_unsure_pairs_are_not_fitted_on():
    rng = np.random.default_rng(3)
    labels = (rng.random((300, 2)) < 0.3).astype(float)
    labels[:50, 0] = np.nan
    measured = made_draws(rng, labels)
    changed = replace(measured[0], train=measured[0].train.copy())
    changed.train[:50] += 100
    assert fit_calibration(measured, labels, "r") == fit_calibration([changed, measured[1]], labels, "r")


def test_labels_are_one_zero_or_unsure():
    topics = default_topics()[:3]
    names = [topic.name for topic in topics]
    articles = [LabelledArticle("t", "", frozenset(names[:1]), frozenset(names[1:2]))]
    np.testing.assert_array_equal(label_matrix(articles, topics), [[1, np.nan, 0]])


def test_the_shipped_calibration_says_what_it_was_fitted_on_and_how_good_it_is():
    data = json.loads(PATH.read_text())
    report = data["report"]
    assert set(report["sha256"]) == {"train.jsonl", "dev.jsonl", "history.jsonl.gz", "pool.jsonl.gz"}
    unseen = report["8 examples, 0 counter-examples"]["dev"]
    assert unseen["mean_ap"] >= 0.82
    assert max(topic["ece"] for topic in unseen["topics"].values()) <= 0.05
    for name, precision in {"fewer": 0.9, "balanced": 0.8, "more": 0.7}.items():
        assert unseen[name]["precision"] >= precision
    assert data["prior"] == data["base_rate"]
