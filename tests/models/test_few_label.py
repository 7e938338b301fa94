from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.few_label import Label, fit_correction
from models.heads import build_heads, fit_few_label
from models.topics import default_topics
from tocsin.types import Topic

RIVERS = Topic(
    name="river_ferries", description="Ferries and other passenger boats on rivers: routes, prices."
)
YES = ("Rowing club repairs its old boathouse", "Canoe race draws a hundred crews")
NO = ("Car ferry to the islands sails again", "Ferry line raises its prices")
ASKED = [
    "Rowers win gold in the women's eight",
    "New ferry sails to the islands",
    "Ten soups for cold evenings",
]


def labels(yes=YES, no=NO):
    return [Label(text, True) for text in yes] + [Label(text, False) for text in no]


def score(head, encoder, texts=ASKED, *, with_text=True):
    return head.score(encoder.embed(texts), texts if with_text else None)[:, 0]


def odds(score):
    return np.log(score / (1 - score))


@pytest.mark.parametrize("with_text", [True, False])
def test_labels_move_scores_towards_what_people_said(encoder, with_text):
    before = score(build_heads([RIVERS], encoder), encoder, with_text=with_text)
    after = score(fit_few_label(RIVERS, labels(), encoder), encoder, with_text=with_text)
    assert after[1] < before[1]
    assert odds(after[0]) - odds(after[1]) > odds(before[0]) - odds(before[1]) + 0.5


def test_no_labels_leave_every_score_as_it_was(encoder):
    before = score(build_heads([RIVERS], encoder), encoder)
    np.testing.assert_allclose(score(fit_few_label(RIVERS, [], encoder), encoder), before, atol=2e-6)


def test_more_labels_of_one_mind_move_scores_further(encoder):
    one = score(fit_few_label(RIVERS, labels(YES[:1], ()), encoder), encoder)
    two = score(fit_few_label(RIVERS, labels(YES, ()), encoder), encoder)
    assert two[0] > one[0]


def test_a_no_to_everything_and_contradictions_stay_finite(encoder):
    both = labels() + labels(NO, YES)
    for given_labels in (both, labels((), YES + NO), labels(YES + NO, ())):
        found = score(fit_few_label(RIVERS, given_labels, encoder), encoder)
        assert ((found > 0) & (found < 1)).all()


def test_contradictions_cancel_out(encoder):
    clear = score(fit_few_label(RIVERS, labels(YES, ()), encoder), encoder)[0]
    mixed = score(fit_few_label(RIVERS, labels(YES, YES), encoder), encoder)[0]
    before = score(build_heads([RIVERS], encoder), encoder)[0]
    assert abs(mixed - 0.5) < abs(clear - 0.5) or before < mixed < clear


def test_only_the_labelled_topic_changes_and_each_head_says_its_name(encoder):
    topics = (RIVERS, *default_topics()[:2])
    plain = build_heads(topics, encoder)
    taught = build_heads(topics, encoder, labels={"river_ferries": labels(), topics[1].name: []})
    assert re.fullmatch("few_label-2[+]zero_shot-2[+]labels-4-[0-9a-f]{6}", taught.names[0])
    assert taught.names[1:] == ("fitted-2", "fitted-2")
    vectors = encoder.embed(ASKED)
    before, after = plain.score(vectors, ASKED), taught.score(vectors, ASKED)
    np.testing.assert_array_equal(before[:, 1:], after[:, 1:])
    assert not np.allclose(before[:, 0], after[:, 0])


def test_labels_correct_a_default_topic_too(encoder):
    topic = default_topics()[0]
    text = "Ministry stops exports of soybeans to its neighbour"
    taught = build_heads([topic], encoder, labels={topic.name: [Label(text, True)]})
    assert taught.names[0].startswith("few_label-2+fitted-2+labels-1-")
    assert score(taught, encoder, [text]) > score(build_heads([topic], encoder), encoder, [text])


@given(
    st.lists(st.tuples(st.floats(-14, 14), st.booleans()), min_size=1, max_size=12),
    st.floats(0.01, 20),
    st.integers(0, 99),
)
def test_a_correction_is_where_the_slope_of_its_loss_is_zero(said, scale, seed):
    before = np.array([logit for logit, _ in said])
    wanted = np.array([float(positive) for _, positive in said])
    points = np.random.default_rng(seed).normal(size=(len(said), 5)) * scale
    kernel = points @ points.T
    pull = fit_correction(kernel, before, wanted)
    chance = 1 / (1 + np.exp(-(before + kernel @ pull)))
    assert np.isfinite(pull).all()
    np.testing.assert_allclose(kernel @ pull, kernel @ (wanted - chance), atol=0.02 * max(1, scale**2))
