from __future__ import annotations

import math

import numpy as np
import pytest

from models.topic_report import average_tables, calibration_error, describe_scores


def test_scores_that_come_true_as_often_as_they_say_have_no_calibration_error():
    scores = np.repeat([0.25, 0.75], 4).astype(np.float32)
    assert calibration_error(scores, np.array([1, 0, 0, 0, 1, 1, 1, 0.0])) == pytest.approx(0)


def test_scores_that_promise_too_much_have_the_gap_as_error():
    assert calibration_error(np.full(10, 0.8, np.float32), np.r_[np.ones(5), np.zeros(5)]) == pytest.approx(
        0.3
    )


def test_unsure_articles_count_neither_way():
    scores = np.array([0.9, 0.9, 0.1], np.float32)
    found = describe_scores(scores, np.array([1, np.nan, 0]))
    assert found["positives"] == 1
    assert found["balanced.matches"] == found["balanced.hits"] == 1
    assert found["ap"] == 1


def test_without_positives_the_data_cannot_tell():
    assert math.isnan(describe_scores(np.array([0.5], np.float32), np.zeros(1))["ap"])


def test_precision_is_of_all_matches_together_and_topics_are_averaged():
    good = describe_scores(np.array([0.9, 0.9, 0.0], np.float32), np.array([1, 1, 0.0]))
    bad = describe_scores(np.array([0.9, 0.0, 0.7], np.float32), np.array([0, 1, 0.0]))
    table = average_tables([{"topic": 0} | good, {"topic": 1} | bad], ["one", "two"])
    assert table["balanced"]["precision"] == pytest.approx(0.5)
    assert table["balanced"]["recall"] == pytest.approx(2 / 3, abs=1e-3)
    assert table["fewer"]["precision"] == pytest.approx(2 / 3, abs=1e-3)
    assert table["mean_ap"] == pytest.approx((1 + 1 / 3) / 2, abs=1e-3)
    assert table["topics"]["one"]["ap"] == 1
    assert table["topics"]["two"]["balanced"] == 0
