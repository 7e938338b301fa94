from __future__ import annotations

import json

import numpy as np

from models.evaluate import LabelledArticle
from models.fit_zero_shot import fit_calibration, fit_logistic, label_matrix, score_left_out
from models.topics import default_topics
from models.zero_shot import PATH


def test_logistic_regression_finds_the_weights_that_made_the_labels():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(20_000, 3))
    truth = np.array([1.5, -0.5, 0.0])
    chance = 1 / (1 + np.exp(-(features @ truth - 2.0)))
    fitted = fit_logistic(features, (rng.random(20_000) < chance).astype(float))
    np.testing.assert_allclose(fitted, [*truth, -2.0], atol=0.12)


def test_a_topic_is_scored_without_its_own_labels():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(400, 3, 3)).astype(np.float32)
    labels = (features[:, :, 0] > 0).astype(float)
    before = score_left_out(features, labels, features, "r")
    labels[:, 1] = 1 - labels[:, 1]
    after = score_left_out(features, labels, features, "r")
    np.testing.assert_array_equal(before[:, 1], after[:, 1])
    assert not np.allclose(before[:, 0], after[:, 0])


def test_unsure_pairs_are_not_fitted_on():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(300, 2, 3)).astype(np.float32)
    labels = (features[:, :, 0] > 0.5).astype(float)
    labels[:50, 0] = np.nan
    without = fit_calibration(np.delete(features[:, :1], range(50), axis=0), labels[50:, :1], [0], "r")
    assert fit_calibration(features, labels, [0], "r") == without


def test_labels_are_one_zero_or_unsure():
    topics = default_topics()[:3]
    names = [topic.name for topic in topics]
    articles = [LabelledArticle("t", "", frozenset(names[:1]), frozenset(names[1:2]))]
    np.testing.assert_array_equal(label_matrix(articles, topics), [[1, np.nan, 0]])


def test_the_shipped_calibration_says_what_it_was_fitted_on():
    data = json.loads(PATH.read_text())
    assert set(data["report"]["sha256"]) == {"train.jsonl", "dev.jsonl", "history.jsonl.gz"}
    assert data["report"]["dev"]["mean_ap"] >= 0.77
    assert 0.03 < data["base_rate"] < 0.1
    assert data["prior"] == 0.1
