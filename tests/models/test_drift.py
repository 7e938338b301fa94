"""Drift: equal shares are steady, moved ones are named, chance is allowed for, little data is admitted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.drift import EDGES, OTHERS, Mix, join_rare, judge_mix, name_bins, noise_level, stability_index

ENOUGH = (28, 7)


def judge(before, now, *, days=ENOUGH):
    names = "abcdefghij"
    return judge_mix(
        "outlets", Mix(dict(zip(names, before, strict=False)), dict(zip(names, now, strict=False))), days=days
    )


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        ([4_000, 4_000], [1_000, 1_000], "steady"),
        ([4_000, 4_000], [1_050, 950], "steady"),
        ([4_000, 4_000], [1_350, 650], "moved a little"),
        ([4_000, 4_000], [1_700, 300], "moved"),
        ([4_000, 4_000, 0], [500, 500, 1_000], "moved"),  # a group that is new
        ([40, 40], [10, 70], "too little data"),
        ([4_000, 4_000], [20, 5], "too little data"),
        ([0, 0], [500, 500], "too little data"),
        ([0, 0], [0, 0], "too little data"),
    ],
)
def test_the_verdict_says_in_words_what_the_counts_show(before, now, verdict):
    assert judge(before, now).verdict == verdict


@pytest.mark.parametrize("days", [(6, 7), (28, 2)])
def test_too_few_days_tell_nothing_however_many_articles(days):
    found = judge([4_000, 4_000], [1_700, 300], days=days)
    assert (found.verdict, found.index) == ("too little data", None)


def test_many_groups_need_more_articles_before_anything_is_said():
    assert judge([30] * 10, [6] * 9 + [12]).verdict == "too little data"
    assert judge([150, 150], [30, 36]).verdict == "steady"


def test_what_moved_most_comes_first():
    found = judge([5_000, 3_000, 2_000], [500, 300, 1_200])
    assert found.shares[0] == ("c", 0.2, 0.6)
    assert [name for name, _, _ in found.shares] == ["c", "a", "b"]


counts = st.lists(st.integers(0, 1_000), min_size=1, max_size=12)


@given(counts)
def test_the_index_of_a_count_with_itself_is_zero(items):
    assert stability_index(items, items) == pytest.approx(0)


@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)), min_size=1, max_size=12))
def test_the_index_is_symmetric_and_never_negative(pairs):
    before, now = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    assert stability_index(before, now) >= -1e-12
    assert stability_index(before, now) == pytest.approx(stability_index(now, before))


def test_chance_alone_stays_below_the_noise_about_99_times_in_100():
    rng = np.random.default_rng(0)
    shares = np.array([0.7, 0.1, 0.06, 0.05, 0.03, 0.03, 0.01, 0.01, 0.01])
    above = sum(
        stability_index(rng.multinomial(2_000, shares), rng.multinomial(500, shares))
        > noise_level(2_000, 500, len(shares))
        for _ in range(1_000)
    )
    assert above <= 30


def test_rare_groups_are_joined_unless_they_became_common():
    mix = join_rare(Mix({"a": 990, "b": 5, "c": 5}, {"a": 80, "b": 20}))
    assert mix == Mix({"a": 990, "b": 5, OTHERS: 5}, {"a": 80, "b": 20})


def test_bins_are_named_by_their_bounds():
    named = name_bins(list(range(len(EDGES) + 1)))
    assert (next(iter(named)), next(reversed(named))) == ("0 to 0.01", "0.8 to 1")
