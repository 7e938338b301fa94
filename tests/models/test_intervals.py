"""Intervals: resampled measures agree with the plain ones, are seeded, and cover what they should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluate import MEASURES, measure
from models.intervals import Sample, _Column, average_topics, find_intervals, resample


def one_topic(scores, labels, threshold=0.5) -> Sample:
    return Sample(np.array([scores], np.float32).T, np.array([labels], np.float64).T, [threshold])


cases = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.72, 1.0]),
        st.sampled_from([1.0, 0.0, np.nan]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=30,
)


@given(cases)
@settings(max_examples=200)
def test_weighted_measures_are_those_of_articles_repeated_so_often(items):
    scores = np.array([item[0] for item in items], np.float32)
    labels = np.array([item[1] for item in items])
    times = np.array([item[2] for item in items])
    found = _Column(scores, labels, 0.5).measure(times[None].astype(np.float32))[0]
    repeated = np.repeat(np.arange(len(items)), times)
    repeated = repeated[~np.isnan(labels[repeated])]
    plain = measure(labels[repeated] == 1, scores[repeated], 0.5)
    for name, value in zip(MEASURES, found, strict=True):
        expected = getattr(plain, name)
        if expected is None:
            assert np.isnan(value), name
        else:
            assert value == pytest.approx(expected, abs=1e-5), name


def test_resamples_repeat_for_a_seed_and_differ_between_seeds():
    rng = np.random.default_rng(1)
    sample = one_topic(rng.random(60), (rng.random(60) < 0.4).astype(float))
    assert np.array_equal(resample(sample, resamples=50), resample(sample, resamples=50))
    assert not np.array_equal(resample(sample, resamples=50), resample(sample, resamples=50, seed=1))


def test_a_large_file_is_drawn_in_parts_with_as_many_resamples(monkeypatch):
    monkeypatch.setattr("models.intervals.CELLS", 100)
    sample = one_topic([0.9, 0.2, 0.7] * 10, [1, 0, 0] * 10)
    assert resample(sample, resamples=8).shape == (8, 1, len(MEASURES))


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    # Precision of a scorer that is right 70 times in 100: of 100 samples of 80 articles.
    rng = np.random.default_rng(7)
    covered = 0
    for seed in range(100):
        labels = (rng.random(80) < 0.7).astype(float)
        low, high = find_intervals(resample(one_topic([0.9] * 80, labels), resamples=200, seed=seed)[:, 0])[
            "precision"
        ]
        covered += low <= 0.7 <= high
    assert 86 <= covered <= 100


def test_what_most_resamples_cannot_tell_has_no_interval():
    found = find_intervals(resample(one_topic([0.1, 0.2, 0.3], [0, 0, 0]), resamples=20)[:, 0])
    assert found["ap"] is None
    assert found["precision"] is None
    assert found["brier"] is not None


def test_the_mean_leaves_out_the_topics_that_cannot_tell():
    measured = np.array([[[0.5, np.nan], [np.nan, np.nan]]])
    assert np.array_equal(average_topics(measured), [[0.5, np.nan]], equal_nan=True)


def test_the_interval_of_the_calibration_error_holds_it_though_noise_only_adds():
    sample = one_topic([0.25] * 80, [1.0] * 20 + [0.0] * 60)  # perfectly calibrated: the error is 0
    low, high = find_intervals(resample(sample)[:, 0])["ece"]
    assert low == 0
    assert 0 < high < 0.1
