from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.background import load_background
from models.exclusive import OFFSET_RIDGE, TEMPERATURE, fit_exclusive, fit_offsets, split_description
from models.few_label import Label
from tocsin.types import Topic

TOPICS = (
    Topic(name="sports", description="Sports: matches, teams, players and championships."),
    Topic(name="food", description="Food: recipes, kitchens, cooks and restaurants."),
    Topic(name="weather", description="Weather: storms, snow, heat and forecasts."),
)
ARTICLES = [
    ("Late goal sends hosts through to the semi-final", "sports"),
    ("Slow-cooked lentils with lemon and thyme", "food"),
    ("Gale closes two mountain passes for the night", "weather"),
    ("Rowers win gold in the women's eight", "sports"),
]


@pytest.fixture(scope="module")
def lexicon():
    return load_background().lexicon


@pytest.fixture
def choose(encoder, lexicon):
    """Name the topic chosen for each text."""

    def choose(topics, labels, texts):
        head = fit_exclusive(topics, labels, encoder, lexicon)
        return [topics[place].name for place in head.choose(encoder.embed(texts), texts)]

    return choose


def test_descriptions_alone_choose_between_clear_cases(choose):
    assert choose(TOPICS, {}, [text for text, _ in ARTICLES]) == [name for _, name in ARTICLES]


def test_labels_choose_where_descriptions_say_nothing(choose):
    topics = tuple(Topic(name=topic.name, description="News of one kind.") for topic in TOPICS)
    labels = {
        "sports": [Label("Striker scores twice in the final", True), Label("Crew wins the regatta", True)],
        "food": [Label("Soup of roasted carrots", True), Label("Bean stew for a cold evening", True)],
        "weather": [Label("Storm warning for the hills", True), Label("Heavy snow blocks the road", True)],
    }
    assert choose(topics, labels, [text for text, _ in ARTICLES]) == [name for _, name in ARTICLES]


def test_a_no_is_left_aside_and_an_order_of_topics_changes_nothing(encoder, lexicon, choose):
    text = ARTICLES[0][0]
    labels = {"food": [Label(text, False)]}
    assert choose(TOPICS, labels, [text]) == choose(TOPICS[::-1], labels, [text]) == ["sports"]


def test_a_label_draws_its_neighbours_to_its_topic(encoder, lexicon):
    asked = ["Ferry sails to the islands again"]
    label = Label("Ferry to the islands sails once more", True)
    before, after = (
        fit_exclusive(TOPICS, labels, encoder, lexicon).nearness(encoder.embed(asked), asked)[0]
        for labels in ({}, {"weather": [label]})
    )
    assert after[2] > before[2] + 0.1
    np.testing.assert_allclose(after[:2], before[:2], atol=1e-6)


def test_offsets_are_learned_from_centres_made_without_the_article(encoder, lexicon):
    told = {topic.name: [Label(text, True)] for topic, (text, _) in zip(TOPICS, ARTICLES[1:], strict=True)}
    texts = [text for text, _ in ARTICLES]
    vectors = encoder.embed(texts)

    def column(place, labels):
        """How near the texts are to one class, by a head too ignorant of the others for offsets."""
        return fit_exclusive(TOPICS, labels, encoder, lexicon).nearness(vectors, texts)[:, place]

    plain = np.stack([column(place, {name: told[name]}) for place, name in enumerate(told)], axis=1)
    left_out = plain[1:].copy()
    np.fill_diagonal(left_out, [column(place, {})[place + 1] for place in range(3)])
    offsets = TEMPERATURE * fit_offsets(left_out / TEMPERATURE, np.arange(3))
    assert np.abs(offsets).max() > 0.001
    found = fit_exclusive(TOPICS, told, encoder, lexicon).nearness(vectors, texts)
    np.testing.assert_allclose(found, plain + offsets, atol=1e-5)


def test_a_class_whose_articles_lie_far_from_its_centre_is_raised():
    near, far = [2.0, 0.0], [0.5, 0.4]
    offsets = fit_offsets(np.array([near, near, far, far]), np.array([0, 0, 1, 1]))
    assert offsets[1] > 0.1
    assert offsets[0] == pytest.approx(-offsets[1])


def test_classes_that_are_alike_get_no_offsets_however_many_articles_each_has():
    offsets = fit_offsets(np.array([[1.0, 0.0]] * 9 + [[0.0, 1.0]]), np.array([0] * 9 + [1]))
    np.testing.assert_allclose(offsets, 0, atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 40), st.floats(0.1, 30))
def test_offsets_lie_where_the_penalised_likelihood_is_level(seed, classes, each, scale):
    rng = np.random.default_rng(seed)
    wanted = np.repeat(np.arange(classes), each)
    logits = scale * rng.normal(size=(len(wanted), classes))
    offsets = fit_offsets(logits, wanted)
    raised = np.exp(logits + offsets - (logits + offsets).max(axis=1, keepdims=True))
    missing = each - (raised / raised.sum(axis=1, keepdims=True)).sum(axis=0)
    np.testing.assert_allclose(missing, OFFSET_RIDGE * offsets, atol=0.02 * each)


@pytest.mark.parametrize(
    ("description", "parts"),
    [
        ("Sports: games, matches and leagues.", ["Sports", "games", "matches", "leagues"]),
        ("Ferries", ["Ferries"]),
        ("snow; ice or hail, ice", ["snow", "ice", "hail"]),
        ("...", ["..."]),
    ],
)
def test_a_description_is_parted_into_what_it_lists(description, parts):
    assert split_description(description) == parts
