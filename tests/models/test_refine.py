"""The second opinion: who gets one, what it is worth, and where it ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.heads import Heads
from models.refine import BAND, Refiner, find_doubtful, mix_opinions
from tocsin.types import Topic

FIRST = Topic(name="chips", description="Exports of chips. And tools.", threshold=0.6)
SECOND = Topic(name="ferries", description="Ferries on rivers", threshold=0.8)


class Head:
    names, topics = ("fitted-1",) * 2, (FIRST, SECOND)


class Model:
    """Answers always the same and keeps what it was asked."""

    name = "nli-12345678"

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def judge(self, pairs):
        self.asked += pairs
        return np.full(len(pairs), self.answer)


@pytest.fixture
def heads():
    return Heads((FIRST, SECOND), (Head(),), 4, "enc-1")


SCORES = np.array([[0.62, 0.1], [0.95, 0.75], [0.31, 0.99], [0.29, 0.2]], dtype=np.float32)
TEXTS = ["a", "b", "c", "d"]


def test_only_scores_near_their_own_threshold_are_doubtful_nearest_first():
    assert find_doubtful(SCORES, np.float32([0.6, 0.8])) == [(0, 0), (1, 1), (2, 1), (2, 0)]


def test_the_model_sees_text_and_topic_and_its_part_is_named(heads):
    model = Model(0.9)
    found = Refiner(model, heads).refine(SCORES, TEXTS)
    assert model.asked[:2] == [
        ("a", FIRST),
        ("b", SECOND),
    ]
    assert found.heads == dict.fromkeys([(0, 0), (1, 1), (2, 1), (2, 0)], "fitted-1+nli-12345678")
    untouched = [(0, 1), (1, 0), (3, 0), (3, 1)]
    assert all(found.scores[place] == SCORES[place] for place in untouched)
    assert found.scores[0, 0] > SCORES[0, 0]
    assert SCORES[0, 0] == np.float32(0.62)  # what was given is left as it is


def test_a_run_asks_no_more_than_its_limit_and_says_when_it_ends(heads, caplog):
    model = Model(0.9)
    refiner = Refiner(model, heads, limit=5)
    assert len(refiner.refine(SCORES, TEXTS).heads) == 4
    assert caplog.text == ""
    second = refiner.refine(SCORES, TEXTS)
    assert list(second.heads) == [(0, 0)]
    assert "cross_encoder.limit_reached asked=1 left_out=3" in caplog.text
    third = refiner.refine(SCORES, TEXTS)
    assert third.heads == {}
    np.testing.assert_array_equal(third.scores, SCORES)
    assert len(model.asked) == 5


def test_nothing_doubtful_asks_nobody(heads):
    model = Model(0.9)
    sure = np.float32([[0.01, 0.02]])
    np.testing.assert_array_equal(Refiner(model, heads).refine(sure, ["a"]).scores, sure)
    assert model.asked == []


@pytest.mark.parametrize(("opinion", "mixed"), [(1.0, 0.766), (0.0, 0.351), (0.6, 0.6), (0.5, 0.571)])
def test_an_opinion_weighs_three_tenths_in_log_odds_however_sure_it_is(opinion, mixed):
    assert mix_opinions(np.float32([0.6]), np.array([opinion]))[0] == pytest.approx(mixed, abs=0.002)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_opinion_never_lowers_a_score(score, one, other):
    low, high = sorted([one, other])
    first, second = mix_opinions(np.float32([score, score]), np.array([low, high]))
    assert 0 <= first <= second <= 1


def test_scores_are_doubtful_where_the_documentation_says():
    assert BAND == 0.3
