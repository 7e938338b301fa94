from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from models.fit_heads import (
    FOLDS,
    Examples,
    apply_line,
    calibration_error,
    deal_folds,
    fit,
    fit_line,
    fit_wide,
    phrase_examples,
)
from models.fitted import PATH, hash_definition
from models.pool import POOL_LABELS
from models.topics import default_topics


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_wide_fit_finds_the_least_penalised_loss_of_each_topic_on_its_known_rows():
    rng = np.random.default_rng(4)
    design = rng.normal(size=(40, 90)).astype(np.float32)
    labels = (rng.random((40, 2)) < 0.4).astype(float)
    labels[:9, 1] = np.nan
    weights = fit_wide(design, labels, ridge=0.5)
    for column, rows in ((0, slice(None)), (1, slice(9, None))):
        bordered = np.column_stack([design, np.ones(40)])[rows].astype(float)
        chance = 1 / (1 + np.exp(-(bordered @ weights[:, column])))
        np.testing.assert_allclose(
            bordered.T @ (labels[rows, column] - chance), 0.5 * weights[:, column], atol=1e-3
        )


def test_articles_of_one_event_share_a_fold():
    rng = np.random.default_rng(5)
    events = unit(rng.normal(size=(60, 50)))
    twice = np.vstack([events, unit(events + 0.01 * rng.normal(size=events.shape))])
    folds = deal_folds(twice)
    np.testing.assert_array_equal(folds[:60], folds[60:])
    assert set(folds) == set(range(FOLDS))


def test_phrases_speak_for_their_own_topic_only(encoder):
    topics = default_topics()[:2]
    phrases = phrase_examples(topics, encoder)
    first = phrases.texts.index(topics[0].examples[0])
    against = phrases.texts.index(topics[1].counter_examples[0])
    np.testing.assert_array_equal(phrases.labels[[first, against]], [[1, np.nan], [np.nan, 0]])
    assert phrases.articles == []


def test_scores_are_probabilities_and_keep_the_order_of_the_log_odds():
    rng = np.random.default_rng(6)
    logits = rng.normal(-3, 3, size=20_000).astype(np.float32)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * logits + 1)))).astype(float)
    scores = apply_line(logits[:, None], fit_line(logits[:, None], labels[:, None]))
    assert calibration_error(scores, labels[:, None]) < 0.01
    assert (np.diff(scores[np.argsort(logits), 0]) >= 0).all()


def test_the_calibration_error_is_the_mean_gap():
    scores = np.array([[0.9], [0.9], [0.1], [0.1], [0.5]], np.float32)
    labels = np.array([[1.0], [0.0], [0.0], [0.0], [np.nan]])
    assert calibration_error(scores, labels) == pytest.approx((2 * 0.4 + 2 * 0.1) / 4)


@pytest.fixture(scope="module")
def fitting():
    rng = np.random.default_rng(7)

    def examples(count):
        vectors = unit(rng.normal(size=(count, 8)))
        labels = (vectors[:, :2] > 0.2).astype(float)
        words = [("chip " if a else "") + ("river " if b else "") + "news today" for a, b in labels > 0]
        labels[rng.random(labels.shape) < 0.05] = np.nan
        return Examples(words, vectors, labels, np.arange(count) % FOLDS)

    phrases = examples(10)
    return fit(
        examples(300),
        examples(150),
        Examples(phrases.texts, phrases.vectors, phrases.labels, np.full(10, -1)),
    )


def test_what_is_fitted_scores_articles_it_never_saw(fitting):
    known = ~np.isnan(fitting.dev.labels)
    right = (fitting.score_dev(0) >= 0.6) == (fitting.dev.labels == 1)
    assert right[known].mean() > 0.97
    assert np.isfinite(fitting.score_dev(1)).all()


def test_a_score_of_dev_does_not_depend_on_its_own_label(fitting):
    before = fitting.score_dev(0)
    labels = fitting.dev.labels.copy()
    fold = fitting.dev.folds == 0
    labels[fold] = 1 - labels[fold]
    dev = Examples(fitting.dev.texts, fitting.dev.vectors, labels, fitting.dev.folds)
    after = type(fitting)(**{**vars(fitting), "dev": dev}).score_dev(0)
    np.testing.assert_array_equal(before[fold], after[fold])
    assert not np.allclose(before[~fold], after[~fold])


def test_the_shipped_heads_say_what_they_were_fitted_on():
    data = json.loads(PATH.read_text())
    assert set(data["report"]["sha256"]) == {
        "train.jsonl",
        "pool.jsonl.gz",
        "pool_labels.jsonl",
        "dev.jsonl",
    }
    assert data["report"]["dev"]["mean_ap"] >= 0.94
    assert [(item["name"], item["definition"]) for item in data["topics"]] == [
        (topic.name, hash_definition(topic)) for topic in default_topics()
    ]


def test_the_shipped_heads_were_fitted_on_the_data_that_are_here(eval_folder):
    for name, digest in json.loads(PATH.read_text())["report"]["sha256"].items():
        file = POOL_LABELS if name == POOL_LABELS.name else eval_folder / name
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
