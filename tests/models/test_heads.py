from __future__ import annotations

import json
import math
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from models.background import PATH as BACKGROUND
from models.background import TERMS, load_background, save_background
from models.heads import build_heads
from models.text import compose_text
from models.topics import default_topics
from models.zero_shot import PATH, TopicFeatures, load_calibration
from tocsin.errors import ModelError, TopicError
from tocsin.types import Topic

RIVERS = Topic(
    name="river_ferries",
    description="Ferries and other passenger boats on rivers: routes, accidents, prices, new boats.",
    examples=("Night ferry across the river returns after ten years", "City buys two electric river boats"),
)
NEWS = {
    "export_controls": "Commerce ministry refuses licences for shipping high-end AI chips to Chinese buyers",
    "data_privacy": "Data-protection authority fines a dating app that sold users' locations without consent",
    "open_weights": "A Paris start-up releases the weights of its new language model for free download",
    "ai_regulation": "Lawmakers pass a bill that obliges AI developers to test their models before release",
    "compute_infrastructure": "New data centre with 100,000 GPUs will get a gas power plant of its own",
    "ai_safety": "Study: chatbots can be tricked into giving advice on making dangerous pathogens",
    "censorship": "Authorities block news sites and jail two reporters ahead of the vote",
    "market_impact": "Shares of AI chip makers plunge as investors fear that the AI bubble is bursting",
    "device_bans": "Parliament votes to ban TikTok from all government phones",
    "us_china_rivalry": "China closes in on the United States in the race for artificial intelligence",
}
ORDINARY = [
    "The village choir won the regional contest for the third time in a row",
    "Heavy snow closes mountain passes; trains are delayed",
    "Striker signs a new contract until 2029",
    "Ten soups for cold evenings",
    "Museum shows water colours from the nineteenth century",
]


def log_odds(score):
    return math.log(score / (1 - score))


@pytest.mark.parametrize("name", NEWS)
def test_plain_news_of_a_topic_scores_highest_for_it_and_matches(encoder, heads, name):
    scores = heads.score(encoder.embed([NEWS[name]]))[0]
    names = [topic.name for topic in heads.topics]
    assert names[int(scores.argmax())] == name
    assert scores.max() >= 0.6


def test_ordinary_news_matches_nothing(encoder, heads):
    assert heads.score(encoder.embed(ORDINARY)).max() < 0.1


def test_scores_are_float32_probabilities_one_column_a_topic(encoder, heads):
    scores = heads.score(encoder.embed([*NEWS.values(), *ORDINARY, "", "x"]))
    assert scores.dtype == np.float32
    assert scores.shape == (17, 10)
    assert ((scores > 0) & (scores < 1)).all()
    assert heads.score(np.empty((0, 384), np.float32)).shape == (0, 10)


def test_scores_do_not_depend_on_other_articles_or_topics(encoder, heads):
    vectors = encoder.embed([*NEWS.values(), *ORDINARY])
    together = heads.score(vectors)
    np.testing.assert_allclose(np.vstack([heads.score(row[None]) for row in vectors]), together, atol=1e-5)
    two = build_heads((RIVERS, default_topics()[3]), encoder)
    np.testing.assert_allclose(two.score(vectors)[:, 1], together[:, 3], atol=1e-5)


def test_a_topic_of_ones_own_works_without_labels(encoder):
    heads = build_heads([RIVERS], encoder)
    texts = ["The river ferry gets a new boat and a later timetable", *ORDINARY]
    scores = heads.score(encoder.embed(texts), texts)[:, 0]
    assert scores[0] > 0.9
    assert scores[1:].max() < 0.5


def test_a_description_alone_is_enough_to_rank(encoder):
    bare = build_heads([RIVERS.model_copy(update={"examples": ()})], encoder)
    texts = ["The river ferry gets a new boat and a later timetable", *ORDINARY]
    scores = bare.score(encoder.embed(texts), texts)[:, 0]
    assert scores.argmax() == 0
    assert scores[0] > 0.4


def test_a_counter_example_lowers_the_score_of_what_is_like_it(encoder):
    text = "Harbour festival with historic river boats and fireworks"
    against = RIVERS.model_copy(
        update={"counter_examples": ("Festival of historic river boats in the harbour",)}
    )
    before, after = (
        build_heads([topic], encoder).score(encoder.embed([text]))[0, 0] for topic in (RIVERS, against)
    )
    assert log_odds(after) < log_odds(before) - 1


def test_an_example_raises_the_score_of_what_is_like_it(encoder):
    text = "Rowing club renovates its boathouse"
    more = RIVERS.model_copy(update={"examples": (*RIVERS.examples, "Rowing club repairs its old boathouse")})
    before, after = (
        build_heads([topic], encoder).score(encoder.embed([text]))[0, 0] for topic in (RIVERS, more)
    )
    assert log_odds(after) > log_odds(before) + 1


def test_repeating_a_keyword_does_not_make_an_article_certain(encoder, heads):
    spam = compose_text("Ten soups for cold evenings", "export controls " * 500)
    plain = NEWS["export_controls"]
    column = [topic.name for topic in heads.topics].index("export_controls")
    scores = heads.score(encoder.embed([spam, plain]))[:, column]
    assert scores[0] <= scores[1] + 0.05


def test_a_hundred_topics_cost_little_more_than_ten(encoder):
    many = [RIVERS.model_copy(update={"name": f"topic_{i}"}) for i in range(100)]
    heads = build_heads(many, encoder)
    vectors = np.repeat(encoder.embed(["a text"]), 2_000, axis=0)
    heads.score(vectors[:10])
    started = time.process_time()
    heads.score(vectors)
    # Encoding one article takes about 5 ms; scoring it for a hundred topics must be far below a tenth.
    assert (time.process_time() - started) / len(vectors) < 0.000_3


def test_every_topic_has_the_name_of_its_head_and_its_threshold(heads):
    assert heads.names == ("fitted-2",) * 10
    np.testing.assert_allclose(heads.thresholds, 0.5)


def test_no_topics_give_no_columns(encoder):
    assert build_heads([], encoder).score(encoder.embed(["a", "b"])).shape == (2, 0)


def test_two_topics_of_one_name_are_refused(encoder):
    with pytest.raises(TopicError, match="topic river_ferries is defined 2 times"):
        build_heads([RIVERS, RIVERS], encoder)


def test_vectors_of_another_encoder_are_refused(heads):
    with pytest.raises(ModelError, match=r"shape \(3, 768\) do not fit encoder minilm"):
        heads.score(np.zeros((3, 768), np.float32))


@pytest.fixture
def fitted_copy(tmp_path):
    shutil.copy(PATH, tmp_path)
    shutil.copy(BACKGROUND, tmp_path)
    shutil.copy(BACKGROUND.with_name(TERMS), tmp_path)
    return tmp_path / PATH.name


def test_a_calibration_of_another_encoder_is_refused(encoder, fitted_copy):
    fitted_copy.write_text(json.dumps({**json.loads(fitted_copy.read_text()), "encoder_revision": "other"}))
    with pytest.raises(ModelError, match=r"was fitted for encoder other, but encoder minilm.*fit_zero_shot"):
        build_heads([RIVERS], encoder, calibration=fitted_copy)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"with_text": "abc"}', '{"with_text": [1], "without_text": [2]}']
)
def test_a_damaged_calibration_is_named(encoder, fitted_copy, text):
    fitted_copy.write_text(text)
    with pytest.raises(ModelError, match=r"zero_shot\.json cannot be read.*git checkout"):
        build_heads([RIVERS], encoder, calibration=fitted_copy)


def test_a_calibration_with_too_few_weights_is_refused(encoder, fitted_copy):
    fitted_copy.write_text(json.dumps({**json.loads(fitted_copy.read_text()), "with_text": [1.0]}))
    with pytest.raises(ModelError, match="has 1 weights, not 9"):
        build_heads([RIVERS], encoder, calibration=fitted_copy)


@pytest.mark.parametrize("damage", ["missing", "text", "shape", "terms missing", "terms cut"])
def test_a_damaged_background_is_named(encoder, fitted_copy, damage):
    path = fitted_copy.parent / BACKGROUND.name
    if damage == "missing":
        path.unlink()
    if damage == "text":
        path.write_bytes(b"no array")
    if damage == "shape":
        with np.load(path) as stored:
            np.savez(path, **{**stored, "within": np.zeros((3, 3))})
    if damage == "terms missing":
        path.with_name(TERMS).unlink()
    if damage == "terms cut":
        path.with_name(TERMS).write_text("one\ntwo\n")
    with pytest.raises(ModelError, match=r"background\.npz .*git checkout"):
        build_heads([RIVERS], encoder, calibration=fitted_copy)


def test_a_background_survives_being_saved(tmp_path):
    shipped = load_background()
    save_background(shipped, tmp_path / BACKGROUND.name)
    again = load_background(tmp_path / BACKGROUND.name)
    for name in ("mean", "covariance", "within"):
        np.testing.assert_array_equal(getattr(again, name), getattr(shipped, name))
    assert again.lexicon.terms == shipped.lexicon.terms
    np.testing.assert_array_equal(again.neighbourhoods.counts, shipped.neighbourhoods.counts)
    for name in (BACKGROUND.name, TERMS):  # byte for byte, so that a refit shows what changed
        assert (tmp_path / name).read_bytes() == BACKGROUND.with_name(name).read_bytes()


def test_the_background_holds_no_single_text():
    near = load_background().neighbourhoods
    assert near.counts.min() >= 2
    assert near.sizes.min() >= 0


def test_the_prior_moves_all_scores_the_same_way(encoder):
    calibration = load_calibration(revision=encoder.revision)
    features = np.array([[[4.0, 0.2, 0.5, 0.0]], [[0.0, 0.0, 0.0, 0.1]]], dtype=np.float32)
    examples = np.array([2.0])
    rare = replace(calibration, prior=calibration.prior / 5)
    logits, rarer = (each.log_odds(features, examples, has_text=True) for each in (calibration, rare))
    odds = calibration.prior / (1 - calibration.prior) * (1 - rare.prior) / rare.prior
    np.testing.assert_allclose(logits - rarer, np.log(odds), rtol=1e-4)


def test_the_evidence_is_what_its_names_say(encoder):
    against = "Festival of historic boats"
    topic = RIVERS.model_copy(update={"counter_examples": (against,)})
    background = load_background()
    features = TopicFeatures([topic], encoder, background)
    texts = [topic.examples[0], against, "Striker signs a new contract until 2029"]
    own, other, ordinary = features.measure(encoder.embed(texts), texts)[:, 0]
    middle = features.measure(background.mean[None])[0, 0]
    assert middle[0] == pytest.approx(0, abs=1e-5)
    assert own[0] > other[0] > ordinary[0]
    assert own[1] > other[1] > ordinary[1] >= 0
    assert own[2] > ordinary[2]
    assert own[3] == 0
    assert other[3] > 0.1


def test_an_article_that_shares_a_rare_name_with_a_topic_scores_higher(encoder):
    topic = RIVERS.model_copy(update={"description": "Whatever the shipping line Quorvexa does."})
    head = build_heads([topic], encoder)
    texts = ["Quorvexa opens an office", "Braltonic opens an office"]
    vectors = encoder.embed(texts)
    assert np.diff(head.score(np.repeat(vectors[:1], 2, axis=0), texts)[:, 0])[0] < -0.005


def test_words_of_one_topic_change_no_score_of_another(encoder):
    other = Topic(name="whimsy", description="Zyxomma, quorvexa and other words that nobody says.")
    text = ["The zyxomma of Quorvexa takes the river ferry"]
    alone, beside = (build_heads(topics, encoder) for topics in ([RIVERS], [RIVERS, other]))
    vectors = encoder.embed(text)
    np.testing.assert_allclose(alone.score(vectors, text)[:, 0], beside.score(vectors, text)[:, 0], atol=1e-6)


def test_a_text_without_any_known_word_is_scored(encoder):
    head = build_heads([RIVERS], encoder)
    texts = ["", "xqzt", "x"]
    assert np.isfinite(head.score(encoder.embed(texts), texts)).all()
