from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.background import load_background
from models.evaluate import LabelledArticle, label_matrix
from models.held_out import LabelledSet, Within, draw_definition, measure_draw
from models.topics import default_topics

TOPICS = default_topics()[:3]


@pytest.fixture(scope="module")
def made():
    """Sixty made-up articles of three topics, each topic in a corner of its own."""
    rng = np.random.default_rng(5)
    articles = tuple(
        LabelledArticle(f"Headline {row}", "", frozenset([TOPICS[row % 3].name])) for row in range(60)
    )
    vectors = rng.normal(size=(60, 384)).astype(np.float32) * 0.03
    vectors[np.arange(60), np.arange(60) % 3] += 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = label_matrix(articles, TOPICS)
    return LabelledSet(articles, tuple(article.title for article in articles), vectors, labels)


def draw(made, **wanted):
    return draw_definition(TOPICS, 1, made, **{"examples": 4, "counters": 2, "seed": 0} | wanted)


def test_a_drawn_topic_keeps_its_description_and_takes_headlines_for_and_against(made):
    found = draw(made)
    assert found.topic.description == TOPICS[1].description
    assert len(found.topic.examples) == 4
    assert len(found.topic.counter_examples) == 2
    texts = dict(zip(made.texts, made.labels[:, 1], strict=True))
    assert {texts[text] for text in found.topic.examples} == {1}
    assert {texts[text] for text in found.topic.counter_examples} == {0}
    assert {made.texts[row] for row in found.rows} == {*found.topic.examples, *found.topic.counter_examples}


def test_a_seed_draws_the_same_and_another_seed_another(made):
    assert draw(made) == draw(made)
    assert draw(made).topic.examples != draw(made, seed=1).topic.examples


def test_what_was_drawn_and_its_copies_are_not_measured(made):
    alone = np.eye(60, 384, dtype=np.float32)
    spread = replace(made, vectors=np.where(np.arange(60)[:, None] == 7, alone[1], alone))
    far = spread.far_from([1])
    assert not far[1]
    assert not far[7]
    assert far.sum() == 58
    assert spread.far_from([]).all()


def test_a_topic_is_measured_without_the_spread_of_its_own_articles(made, encoder):
    background, within = load_background(), Within(made)
    found = draw(made)
    before = measure_draw(found, [made], encoder, background, within)
    labels = made.labels.copy()
    labels[:, 1] = np.random.default_rng(6).permutation(labels[:, 1])
    other = replace(made, labels=labels)
    np.testing.assert_array_equal(
        before[0], measure_draw(found, [other], encoder, background, Within(other))[0]
    )
    labels[:, 0] = labels[:, 1]
    assert not np.array_equal(before[0], measure_draw(found, [made], encoder, background, Within(other))[0])
