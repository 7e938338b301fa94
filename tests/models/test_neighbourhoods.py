from __future__ import annotations

import numpy as np
import pytest

from models.lexical import build_lexicon
from models.neighbourhoods import gather_neighbourhoods

SIDES = {0: "the ferry crosses the river", 1: "the bank lends money"}


@pytest.fixture(scope="module")
def gathered():
    """Six hundred articles on two sides of a plane, told apart by vector and by words."""
    rng = np.random.default_rng(4)
    sides = np.arange(600) % 2
    vectors = rng.normal(size=(600, 3)).astype(np.float32) * 0.05
    vectors[:, 0] += np.where(sides == 0, 1, -1)
    texts = [f"{SIDES[side]} unique{row}" for row, side in enumerate(sides)]
    lexicon = build_lexicon(texts, least=1)
    return lexicon, gather_neighbourhoods(vectors, texts, lexicon, count=4, seed=0)


def test_companions_are_the_words_used_along_the_direction(gathered):
    lexicon, near = gathered
    along, against = near.companions(np.array([[1, -1], [0, 0], [0, 0]], np.float32)).T
    weight = dict(zip(lexicon.terms, zip(along, against, strict=True), strict=True))
    assert weight["ferry"][0] > 0.5
    assert weight["ferry"][1] == 0
    assert weight["bank"][0] == 0
    assert weight["bank"][1] > 0.5
    assert weight["the"] == pytest.approx((0, 0), abs=0.2)


def test_a_word_of_a_single_article_is_not_counted_anywhere(gathered):
    lexicon, near = gathered
    counted = {lexicon.terms[row] for row in near.terms}
    assert not [term for term in counted if "unique" in term]
    assert near.counts.min() >= 2


def test_every_article_is_in_one_neighbourhood(gathered):
    lexicon, near = gathered
    assert near.sizes.sum() == 600
    assert near.starts[0] == 0
    assert near.starts[-1] == len(near.terms) == len(near.counts)
    assert near.totals[lexicon.terms.index("ferry")] == 300


def test_no_direction_has_no_companions(gathered):
    lexicon, near = gathered
    assert near.companions(np.zeros((3, 0), np.float32)).shape == (len(lexicon.terms), 0)
