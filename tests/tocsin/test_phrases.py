"""Phrases are whole words, whatever their capitals, accents and punctuation."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.phrases import find_phrase, fold_phrase, fold_text


@pytest.mark.parametrize(
    ("phrase", "text", "said"),
    [
        ("Baltic Sea", "Cable cut in the BALTIC\n sea, again", True),
        ("Baltic Sea", "Baltic Seas", False),
        ("EU", "The EU's rule", True),
        ("EU", "Neutral", False),
        ("São Paulo", "fire in sao paulo.", True),
        ("sao paulo", "SÃO PAULO", True),
        ("state-of-the-art", "a state of the art fab", True),
        ("ﬁne", "a fine of millions", True),
        ("straße", "die STRASSE", True),
        ("台湾", "关于台湾海峡的消息", True),
        ("cable", "", False),
    ],
)
def test_a_phrase_is_found_as_whole_words(phrase, text, said):
    assert (find_phrase([phrase], text) == phrase) is said


def test_the_first_phrase_that_is_said_is_named_and_none_is_none():
    assert find_phrase(["never there", "ship", "cable"], "A ship and a cable") == "ship"
    assert find_phrase([], "anything") is None


@given(st.text(min_size=1, max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_what_stands_between_spaces_is_found_and_folding_twice_changes_nothing(phrase, before, after):
    assert fold_text(fold_text(phrase)) == fold_text(phrase)
    if fold_phrase(phrase):
        assert find_phrase([phrase], f"{before} {phrase} {after}") == phrase


WORDS = st.text(alphabet="abcXYZ éüÄñ-,.!'\n019", min_size=1, max_size=40)


@given(WORDS)
def test_sql_folds_common_texts_as_python_does(text):
    from storage.budgets import _FOLDED

    (folded,) = duckdb.execute(
        f"SELECT {_FOLDED} FROM (SELECT ? AS title, '' AS summary, NULL AS full_text)", [text]
    ).fetchone()
    assert " ".join(folded.split()) == fold_text(text).strip()
