from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lexical import Lexicon, TermTable, build_lexicon, split_terms
from models.queries import Wording
from tocsin.types import Topic

TEXTS = ["Chips for China", "Chips for Europe", "chips, chips and rivers", "Rivers rise"]


def test_terms_are_small_words_of_two_letters_and_their_pairs():
    assert split_terms("The U.S. bans AI-chips") == [
        "the", "bans", "ai", "chips", "the bans", "bans ai", "ai chips"
    ]  # fmt: skip


def test_only_terms_that_enough_texts_hold_are_kept():
    assert build_lexicon(TEXTS, least=2).terms == ("chips", "chips for", "for", "rivers")
    assert build_lexicon(TEXTS, least=3).terms == ("chips",)


def test_rare_terms_weigh_more_and_all_together_have_length_one():
    lexicon = build_lexicon(TEXTS, least=2)
    rows, weights = lexicon.weigh("chips and rivers")
    found = dict(zip((lexicon.terms[row] for row in rows), weights, strict=True))
    assert set(found) == {"chips", "rivers"}
    assert found["rivers"] > found["chips"]
    assert np.linalg.norm(weights) == pytest.approx(1)


def test_repetition_counts_as_its_logarithm():
    lexicon = Lexicon(("chips", "rivers"), np.ones(2, np.float32))
    weights = lexicon.weigh_all(["chips rivers chips chips"])[0]
    assert weights[0] / weights[1] == pytest.approx(1 + np.log(3))


@given(st.text(max_size=300))
def test_any_text_has_finite_weights_of_length_one_or_none(text):
    rows, weights = build_lexicon(TEXTS, least=1).weigh(text)
    assert len(rows) == len(set(rows)) == len(weights)
    assert np.isfinite(weights).all()
    assert np.linalg.norm(weights) == pytest.approx(1 if len(rows) else 0, abs=1e-5)


def test_projecting_is_the_product_with_the_weights_of_all_terms():
    lexicon = build_lexicon(TEXTS, least=1)
    weights = np.random.default_rng(0).normal(size=(len(lexicon.terms), 3)).astype(np.float32)
    texts = [*TEXTS, "", "nothing known"]
    np.testing.assert_allclose(lexicon.project(texts, weights), lexicon.weigh_all(texts) @ weights, atol=1e-5)


def test_a_megabyte_costs_what_a_page_does():
    started = time.process_time()
    terms = split_terms("chips " * 200_000)
    assert len(terms) < 2_000
    assert time.process_time() - started < 0.1


def test_terms_in_many_texts_are_counted_as_those_of_each_are():
    words = ("chips", "china", "for", "rivers", "rise", "x1", "unknown")
    terms = ("chips", "chips for", "for", "for china", "rise chips", "rivers", "x1 x1")
    table, lexicon = TermTable(terms), Lexicon(terms, np.ones(len(terms), np.float32))
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(words, rng.integers(0, 9))) for _ in range(300)]
    found = table.count(texts)
    for number, text in enumerate(texts):
        said = split_terms(text)
        mine = found.texts == number
        counted = dict(zip((terms[row] for row in found.rows[mine]), found.times[mine].tolist(), strict=True))
        assert counted == {term: said.count(term) for term in terms if term in said}
    assert lexicon.project([], np.ones((len(terms), 2), np.float32)).shape == (0, 2)


_SIGNS = (
    "chips",
    "Rivers",
    "x",
    "_",
    "END",
    "end",
    "“chips”",
    "rivers—rise",
    "ŉ",
    "µ",
    "²",
    "Straße",
    "é",
    "\u200b",
    "\n",
)


@given(st.lists(st.lists(st.sampled_from(_SIGNS)).map("".join) | st.text(max_size=40), max_size=6))
def test_whatever_texts_are_written_in_their_terms_are_those_of_each(texts):
    said = [split_terms(text) for text in texts]
    terms = tuple(dict.fromkeys(term for each in said for term in each))
    found = TermTable(terms).count(texts)
    assert {
        (text, terms[row]): times
        for text, row, times in zip(
            found.texts.tolist(), found.rows.tolist(), found.times.tolist(), strict=True
        )
    } == {(text, term): each.count(term) for text, each in enumerate(said) for term in each}


def test_the_wording_of_topics_projects_texts_as_it_weighs_them():
    topic = Topic(name="zyx_cables", description="Zyx chips for the sea.")
    wording = Wording(build_lexicon(TEXTS, least=1), [topic])
    weights = np.random.default_rng(0).normal(size=(wording.size, 3)).astype(np.float32)
    texts = [*TEXTS, "", "Zyx zyx chips for cables", "zyx"]
    wanted = [values @ weights[rows] for rows, values in map(wording.weigh, texts)]
    np.testing.assert_allclose(wording.project(texts, weights), wanted, atol=1e-5)
