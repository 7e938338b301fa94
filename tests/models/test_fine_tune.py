"""Fine-tuning, on a tiny model of random weights; needs torch."""

import math
import random

import numpy as np
import pytest

from models.encode import FOLDER
from models.evaluate import LabelledArticle
from models.topics import default_topics

torch = pytest.importorskip("torch", reason="torch is only in the environment that rebuilds the encoder")
transformers = pytest.importorskip("transformers")

from models.fine_tune import Lessons, Recipe, Tuner, deal_batches, make_lessons, pace, tune  # noqa: E402


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A BERT of 16 dimensions with the shipped vocabulary."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(1)
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    transformers.BertModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "special_tokens_map.json", "tokenizer_config.json"):
        (folder / name).write_bytes((FOLDER / name).read_bytes())
    return folder


LESSONS = Lessons(
    ["chips banned from export", "the choir won a contest"] * 16,
    np.array([[1.0, np.nan], [0.0, 0.0]] * 16),
)


def run(source, **changes):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tuner = Tuner(source, Recipe(**{"batch": 4, "learning_rate": 1e-3, **changes}), np.array([0.3, 0.3]))
    losses = list(tune(tuner, LESSONS))
    return tuner, losses


def test_what_is_taught_is_learned_and_unknown_labels_teach_nothing(source):
    tuner, losses = run(source, anchor=0.0, epochs=10)
    assert losses[-1] < losses[0] / 2
    vectors = tuner.embed_all(tuner.tokenize(LESSONS.texts[:2]))
    logits = tuner.head(vectors * tuner.recipe.scale)[:, 0]
    assert logits[0] > 0 > logits[1]
    np.testing.assert_allclose(vectors.norm(dim=1).numpy(), 1, atol=1e-5)


def test_the_same_seed_gives_the_same_weights(source):
    first, again = run(source)[0], run(source)[0]
    for one, other in zip(first.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_anchor_keeps_vectors_near_what_they_were(source):
    def turned(anchor):
        fresh = Tuner(source, Recipe(), np.array([0.3, 0.3]))
        tokens = fresh.tokenize(LESSONS.texts[:2])
        before, after = fresh.embed_all(tokens), run(source, anchor=anchor)[0].embed_all(tokens)
        return float((1 - (before * after).sum(dim=1)).mean())

    assert turned(20.0) < turned(0.0) / 2


def test_every_row_is_dealt_once_and_batches_hold_like_lengths():
    lengths = [random.Random(3).randrange(5, 90) for _ in range(1_000)]
    batches = deal_batches(lengths, 16, random.Random(4))
    assert sorted(row for batch in batches for row in batch) == list(range(1_000))
    spread = np.mean([max(lengths[row] for row in b) - min(lengths[row] for row in b) for b in batches])
    assert spread < 10


def test_the_rate_rises_then_falls_to_zero():
    rates = [pace(step, 100, 0.1) for step in range(101)]
    assert rates[0] < rates[5] < rates[9]
    assert rates[20] > rates[60] > rates[100] == 0
    assert all(0 <= rate <= 1 and math.isfinite(rate) for rate in rates)


def test_a_phrase_speaks_for_its_own_topic_only():
    topics = default_topics()[:2]
    article = LabelledArticle("A", "", frozenset({topics[1].name}), frozenset({topics[0].name}))
    lessons = make_lessons([article], topics)
    np.testing.assert_array_equal(lessons.labels[0], [np.nan, 1])
    row = lessons.texts.index(topics[0].examples[0])
    np.testing.assert_array_equal(lessons.labels[row], [1, np.nan])
