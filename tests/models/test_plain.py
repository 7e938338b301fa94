"""The head for encoders that nothing was fitted for."""

import numpy as np
import pytest

from models.encode import load_encoder
from models.evaluate import evaluate_scores, read_labelled
from models.heads import build_heads
from models.plain import PlainHead
from models.text import compose_text
from models.topics import default_topics
from tocsin.types import Topic

OWN = Topic(
    name="river_ferries", description="Ferries and boats on rivers.", examples=("New ferry on the Elbe",)
)


@pytest.fixture
def other(folder_copy, edit_manifest):
    """The shipped encoder under another revision, as a stranger's would be that is as good."""
    edit_manifest(folder_copy, revision="other-1")
    return load_encoder(folder_copy)


def test_another_encoder_in_our_format_gets_the_plain_head(other):
    heads = build_heads([*default_topics(), OWN], other)
    assert set(heads.names) == {"plain-1"}
    assert heads.encoder_revision == "other-1"


def test_a_clear_case_scores_higher_than_an_ordinary_article(encoder):
    head = PlainHead([OWN, *default_topics()], encoder)
    texts = ["The ferry across the river sails again", "Striker signs a new contract until 2029"]
    scores = head.score(encoder.embed(texts))
    assert scores[0, 0] > 0.5
    assert scores[1].max() < 0.1


def test_a_topic_alone_is_scored_beside_the_default_ones(encoder):
    head = PlainHead([OWN], encoder)
    assert head.score(encoder.embed(["The ferry across the river sails again"]))[0, 0] > 0.5


def test_an_encoder_that_tells_nothing_apart_lets_nothing_ring():
    class Blind:
        revision, dimensions, languages = "blind-1", 4, frozenset()

        def embed(self, texts, *, progress=None):
            return np.tile(np.float32([1, 0, 0, 0]), (len(texts), 1))

    head = PlainHead(default_topics(), Blind())
    assert head.score(Blind().embed(["a", "b"])).max() < 0.01


def test_vectors_at_random_hardly_ring():
    class Random:
        revision, dimensions, languages = "random-1", 64, frozenset()

        def __init__(self):
            self._rng = np.random.default_rng(7)

        def embed(self, texts, *, progress=None):
            vectors = self._rng.normal(size=(len(texts), 64)) + 1  # a cone, as real ones lie in
            return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    encoder = Random()
    scores = PlainHead(default_topics(), encoder).score(encoder.embed(["text"] * 2000))
    assert (scores >= 0.6).mean() < 0.01


def test_the_plain_head_finds_most_and_is_right_mostly_on_dev(encoder, eval_folder):
    articles = read_labelled(eval_folder / "dev.jsonl")
    vectors = encoder.embed([compose_text(article.title, article.summary) for article in articles])
    found = evaluate_scores(PlainHead(default_topics(), encoder).score(vectors), articles, default_topics())
    assert found.mean["ap"] >= 0.74
    assert found.mean["precision"] >= 0.85
    assert found.mean["recall"] >= 0.3
