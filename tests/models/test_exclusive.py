from __future__ import annotations

import numpy as np
import pytest

from models.background import load_background
from models.exclusive import fit_exclusive, split_description
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
