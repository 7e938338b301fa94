from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text import MAX_CHARACTERS, MAX_SENTENCES, clean_text, compose_text, split_sentences


@given(st.text(st.characters(codec=None), max_size=300))
def test_clean_text_is_printable_bounded_and_settled(text):
    cleaned = clean_text(text)
    assert len(cleaned) <= MAX_CHARACTERS
    assert cleaned == cleaned.strip()
    assert not any(unicodedata.category(character).startswith("C") for character in cleaned)
    assert clean_text(cleaned) == cleaned


def test_invisible_characters_vanish_and_white_space_becomes_one_blank():
    assert clean_text("ex\u200bport\u00ad con\x00trols\r\n\t rise\ud800 ") == "export controls rise"


def test_a_megabyte_of_summary_costs_no_time():
    started = time.process_time()
    text = compose_text("Title", "\u200b" * 500_000 + "word " * 100_000)
    assert time.process_time() - started < 0.1
    assert text == "Title"
    assert len(compose_text("Title", "word " * 200_000)) <= MAX_CHARACTERS


@pytest.mark.parametrize(
    ("title", "summary", "composed"),
    [
        ("Rain falls", "It is wet.", "Rain falls. It is wet."),
        ("Will it rain?", "Yes.", "Will it rain? Yes."),
        ("“Rain!”", "Said she.", "“Rain!” Said she."),
        ("Rain falls", "", "Rain falls"),
        ("", "Only a summary", "Only a summary"),
        ("Rain falls", "rain falls on the town", "rain falls on the town"),
        ("Rain falls", "Rain falls", "Rain falls"),
        ("", "", ""),
    ],
)
def test_headline_and_summary_are_joined_once(title, summary, composed):
    assert compose_text(title, summary) == composed


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One ends. Two begins! Three?", ["One ends.", "Two begins!", "Three?"]),
        (
            "The U.S. House met Sen. J. Doe on Jan. 5. He left.",
            ["The U.S. House met Sen. J. Doe on Jan. 5.", "He left."],
        ),
        ("It costs 3.5 billion. No. 4 lost.", ["It costs 3.5 billion.", "No. 4 lost."]),
        ('He said: "Stop." Then he left.', ['He said: "Stop.', "Then he left."]),
        ("芯片出口受限。股市下跌。", ["芯片出口受限。", "股市下跌。"]),
        ("no capital follows. as here", ["no capital follows. as here"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text, sentences):
    assert split_sentences(text) == sentences


@given(st.text(max_size=400))
def test_sentences_are_few_and_never_empty(text):
    sentences = split_sentences(text)
    assert len(sentences) <= MAX_SENTENCES
    assert all(sentence.strip() for sentence in sentences)


def test_a_hostile_text_splits_quickly():
    started = time.process_time()
    split_sentences("A." * 100_000)
    split_sentences('."' * 100_000 + " " * 100_000)
    assert time.process_time() - started < 0.5
