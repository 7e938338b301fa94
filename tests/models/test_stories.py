"""Which articles tell of one event: with the shipped rule, the real encoder and its vectors."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.background import load_background
from models.stories import LONGEST, Known, load_storyteller
from models.story_rule import read_rule
from models.story_words import StoryWords, Weights, are_twins, have_other_names, read_amounts, stem
from models.text import compose_text
from tocsin.errors import ModelError
from tocsin.types import StoryArticle

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOTHING = Known([], np.empty((0, 384), dtype=np.float32))

FINE = (
    "Dutch regulator fines Gracenote 40 million euros over children's data",
    "The Dutch data protection authority fined Gracenote for using data of children without consent.",
)
SAME_FINE = (
    "Gracenote must pay €40m in the Netherlands for misuse of children's data",
    "The data protection authority of the Netherlands says Gracenote used children's data without consent.",
)
OTHER_FINE = (
    "Dutch regulator fines Meridian 40 million euros over children's data",
    "The Dutch data protection authority fined Meridian for using data of children without consent.",
)
PLAIN = ("Swimming pool reopens after a year of repairs", "Families queued for the first swim on Saturday.")


@pytest.fixture(scope="module")
def storyteller():
    return load_storyteller()


@pytest.fixture(scope="module")
def weights():
    return Weights(load_background().lexicon)


@pytest.fixture
def article():
    def make(text, number=1, *, hours=0.0, outlet=None, language="en"):
        at = NOON + timedelta(hours=hours)
        return StoryArticle(number, *text, outlet or f"Outlet {number}", at, language)

    return make


@pytest.fixture
def tie(storyteller, encoder):
    """Tie articles to stories; give the story of each."""

    def tie(*articles, known=NOTHING):
        return [found.story_id for found in storyteller.tie(articles, embed(encoder, articles), known)]

    return tie


def embed(encoder, articles):
    return encoder.embed([compose_text(article.title, article.summary) for article in articles])


def test_two_outlets_with_one_event_are_one_story_and_other_news_is_another(tie, article):
    assert tie(article(FINE, 1), article(SAME_FINE, 2, hours=2), article(PLAIN, 3, hours=3)) == [1, 1, 3]


def test_two_fines_on_two_firms_stay_two_stories(tie, article):
    assert tie(article(FINE, 1), article(OTHER_FINE, 2, hours=1)) == [1, 2]


def test_other_sums_in_one_currency_are_another_event(tie, article):
    one = ("Gracenote pays $40 million to settle privacy case", "The firm settles with the regulator.")
    other = ("Gracenote pays $3 million to settle privacy case", "The firm settles with the regulator.")
    assert tie(article(one, 1), article(other, 2, hours=1)) == [1, 2]
    assert tie(article(one, 1), article(one, 2, hours=1)) == [1, 1]


def test_the_next_issue_of_an_outlets_series_is_another_story(tie, article):
    report = ("Seoul shares open higher on chip rally", "The index rose as investors bought chip makers.")
    assert tie(article(report, 1, outlet="A"), article(report, 2, outlet="A", hours=24)) == [1, 2]
    assert tie(article(report, 1, outlet="A"), article(report, 2, outlet="A", hours=1)) == [1, 1]


def test_a_story_waits_three_days_for_its_next_article(tie, article):
    assert tie(article(FINE, 1), article(FINE, 2, hours=71)) == [1, 1]
    assert tie(article(FINE, 1), article(FINE, 2, hours=73)) == [1, 2]


def test_a_story_is_never_longer_than_a_week(tie, article):
    articles = [article(FINE, number, hours=48 * number) for number in range(6)]
    found = tie(*articles)
    spans = [48 * (max(rows) - min(rows)) for rows in ([n for n in range(6) if found[n] == s] for s in found)]
    assert max(spans) <= LONGEST / timedelta(hours=1)
    assert len(set(found)) == 2


def test_an_article_joins_a_story_that_is_known_already_and_says_how_likely_that_is(
    storyteller, encoder, article
):
    old = replace(article(FINE, 7), story_id=5)
    new = [article(SAME_FINE, 9, hours=2)]
    (found,) = storyteller.tie(new, embed(encoder, new), Known([old], embed(encoder, [old])))
    assert found.story_id == 5
    assert 0.8 < found.likelihood < 1


def test_a_known_article_without_a_story_begins_one(tie, article, encoder):
    old = article(FINE, 7)
    assert tie(article(SAME_FINE, 9, hours=2), known=Known([old], embed(encoder, [old]))) == [7]


def test_the_order_in_which_feeds_give_articles_does_not_matter(tie, article):
    articles = [
        article(text, number, hours=number / 2)
        for number, text in enumerate([FINE, OTHER_FINE, SAME_FINE, PLAIN, FINE, SAME_FINE], start=1)
    ]
    wanted = dict(zip([each.article_id for each in articles], tie(*articles), strict=True))
    for seed in range(5):
        shuffled = random.Random(seed).sample(articles, k=len(articles))
        assert tie(*shuffled) == [wanted[each.article_id] for each in shuffled]


def test_outside_english_only_copies_in_one_language_join(tie, article):
    assert tie(article(FINE, 1, language="nl"), article(SAME_FINE, 2, hours=2, language="nl")) == [1, 2]
    assert tie(article(FINE, 1, language="nl"), article(FINE, 2, hours=2, language="nl")) == [1, 1]
    assert tie(article(FINE, 1, language="nl"), article(FINE, 2, hours=2, language="de")) == [1, 2]


def test_no_articles_have_no_stories(storyteller):
    assert storyteller.tie([], NOTHING.vectors, NOTHING) == []


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("fined €1.2 billion", {("€", 1.2e9)}),
        ("raises $40M and $3,500", {("$", 40e6), ("$", 3500.0)}),
        ("fined £14m, not 14 people", {("£", 14e6)}),
        ("$1.2.3 is no sum", set()),
        ("nothing at all", set()),
    ],
)
def test_sums_of_money_are_read_with_their_sign(text, amounts):
    assert set(read_amounts(text)) == amounts


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("bans", "ban"),
        ("companies", "company"),
        ("breaches", "breach"),
        ("press", "press"),
        ("trump's", "trump"),
    ],
)
def test_endings_are_taken_off(word, wanted):
    assert stem(word) == wanted


def test_names_differ_only_if_each_article_lacks_the_others(weights, article):
    def differ(one, other):
        return have_other_names(StoryWords(article(one), weights), StoryWords(article(other), weights))

    assert differ(FINE, OTHER_FINE)
    assert not differ(FINE, SAME_FINE)
    assert not differ(FINE, ("Regulator fines a firm over children's data", FINE[1]))


def test_headlines_that_differ_only_in_who_or_how_much_are_twins(weights, article):
    def twins(one, other):
        return are_twins(StoryWords(article(one), weights), StoryWords(article(other), weights))

    assert twins(FINE, OTHER_FINE)
    assert not twins(FINE, SAME_FINE)
    assert not twins(FINE, FINE)
    more = ("Dutch regulator fines Gracenote $90 million over children's data", "The sum is a record.")
    less = ("Dutch regulator fines Gracenote $20 million over children's data", "The sum is a record.")
    assert twins(more, less)


def test_a_rule_that_cannot_be_read_says_how_to_restore_it(tmp_path):
    (tmp_path / "stories.json").write_text('{"weights": {}}')
    with pytest.raises(ModelError, match="git checkout"):
        read_rule(tmp_path / "stories.json")
    with pytest.raises(ModelError, match="git checkout"):
        read_rule(tmp_path / "absent.json")


def test_the_rule_was_fitted_for_the_shipped_encoder(encoder):
    assert read_rule().encoder_revision == encoder.revision, "run `python -m models.fit_stories`"


def test_what_one_outlet_writes_twice_joins_only_as_a_copy(tie, article):
    assert tie(article(FINE, 1, outlet="A"), article(SAME_FINE, 2, outlet="A", hours=1)) == [1, 2]
    assert tie(article(FINE, 1, outlet="A"), article(SAME_FINE, 2, outlet="B", hours=1)) == [1, 1]
