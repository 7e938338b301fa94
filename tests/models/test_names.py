"""A topic's name alone makes no match, and costs an article that says more of the topic nothing."""

from __future__ import annotations

import numpy as np
import pytest

from models.heads import build_heads
from models.names import LEAST, NameCheck, _pattern, leave_out
from models.topics import default_topics
from tocsin.types import Topic

PRIVACY = next(topic for topic in default_topics() if topic.name == "data_privacy")
SAFETY = next(topic for topic in default_topics() if topic.name == "ai_safety")
OTHER = Topic(name="river_ferries", description="Ferries and other passenger boats on rivers.")


class CountingEncoder:
    """Embeds a text as its length, and counts what it was asked."""

    def __init__(self):
        self.asked = []

    def embed(self, texts):
        self.asked += texts
        return np.array([[len(text)] for text in texts], np.float32)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Lentils, data privacy and lemon", "Lentils, and lemon"),
        ("DATA-PRIVACY: Data  privacy", ":"),
        ("Data privacy laws, metadata privacyx", "laws, metadata privacyx"),
        ("Nothing of it", "Nothing of it"),
    ],
)
def test_a_name_is_left_out_wherever_it_stands_as_words(text, left):
    assert leave_out(_pattern("data_privacy"), text) == left


@pytest.mark.parametrize(
    ("named", "without", "found"), [(0.9, 0.1, 0.608), (0.9, 0.9, 0.9), (0.6, 0.95, 0.6), (0.99, 0.01, 0.715)]
)
def test_a_score_falls_part_of_the_way_to_that_without_the_name_and_never_rises(named, without, found):
    check = NameCheck([PRIVACY], [PRIVACY], CountingEncoder())
    scores = np.array([[named]], np.float32)
    (got,) = check.discount(
        scores, ["On data privacy"], lambda vectors, texts: np.full((len(texts), 1), without, np.float32)
    )
    assert got[0] == pytest.approx(found, abs=1e-3)


def test_only_checked_topics_that_could_ring_are_looked_at_and_each_text_once():
    encoder = CountingEncoder()
    check = NameCheck([OTHER, PRIVACY], [PRIVACY], encoder)
    texts = ["River ferries", "Data privacy", "data  privacy", "Data privacy", "Privacy"]
    scores = np.array([[0.9, 0.9], [0.9, LEAST + 0.01], [0, 0.9], [0, LEAST - 0.01], [0, 0.9]], np.float32)
    check.discount(scores, texts, lambda vectors, asked: np.zeros((len(asked), 2), np.float32))
    assert encoder.asked == [""]


def test_an_article_that_says_more_than_the_name_still_matches_and_a_recipe_does_not(encoder):
    heads = build_heads([SAFETY], encoder)
    texts = [
        "Chatbot jailbreak shows limits of AI safety: models gave weapon recipes",
        "Slow-cooked lentils with lemon and thyme AI safety",
    ]
    vectors = encoder.embed(texts)
    plainly, scores = heads.score_plainly(vectors, texts)[:, 0], heads.score(vectors, texts)[:, 0]
    assert plainly.min() > 0.5
    assert scores[0] > 0.5 > scores[1]


def test_without_texts_or_in_topics_of_ones_own_no_name_is_discounted(encoder):
    texts = ["Slow-cooked lentils with lemon and thyme data privacy", "River ferries sail again"]
    heads = build_heads([PRIVACY, OTHER], encoder)
    vectors = encoder.embed(texts)
    np.testing.assert_array_equal(heads.score(vectors), heads.score_plainly(vectors, None))
    own = heads.score(vectors, texts)[1] - heads.score_plainly(vectors, texts)[1]
    assert own.tolist() == [0, 0]
