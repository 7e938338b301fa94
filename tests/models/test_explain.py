from __future__ import annotations

import time

import numpy as np
import pytest

from models.explain import LEAST_DROP, Match, _heaviest, explain_matches
from models.few_label import Label
from models.heads import build_heads
from models.topics import default_topics
from tocsin.types import Topic

SUMMARY = (
    "The weather was fine in the capital on Monday. "
    "Officials will require licences for all exports of advanced AI chips to China. "
    "Lunch was served in the garden."
)


def test_the_reason_is_the_sentence_about_the_topic(encoder, heads):
    matches = [Match("Ministers meet again", SUMMARY, "export_controls", 0.91)]
    (reason,) = explain_matches(encoder, heads, matches)
    assert reason.sentence == "Officials will require licences for all exports of advanced AI chips to China."
    assert (reason.topic, reason.score) == ("export_controls", 0.91)


def test_the_headline_can_be_the_reason(encoder, heads):
    match = Match("Parliament bans TikTok from government phones", "Lunch was served.", "device_bans", 0.8)
    (reason,) = explain_matches(encoder, heads, [match])
    assert reason.sentence == match.title


def test_each_topic_of_an_article_has_its_own_reason_in_order(encoder, heads):
    summary = "The firm may no longer export AI chips to China. Shares of AI firms fell on Wall Street."
    topics = ["market_impact", "export_controls", "market_impact"]
    reasons = explain_matches(encoder, heads, [Match("Hard day", summary, topic, 0.7) for topic in topics])
    assert [reason.topic for reason in reasons] == topics
    assert "Shares" in reasons[0].sentence
    assert "export" in reasons[1].sentence
    assert reasons[0] == reasons[2]


def test_a_summary_that_repeats_the_headline_gives_the_headline(encoder, heads):
    match = Match("Chips may not be exported", "Chips may not be exported", "export_controls", 0.7)
    assert explain_matches(encoder, heads, [match])[0].sentence == "Chips may not be exported"


@pytest.mark.parametrize(("title", "summary"), [("", ""), ("\u200b", "\x00")])
def test_a_match_without_text_has_an_empty_sentence(encoder, heads, title, summary):
    assert explain_matches(encoder, heads, [Match(title, summary, "ai_safety", 0.7)])[0].sentence == ""


def test_no_matches_have_no_reasons(encoder, heads):
    assert explain_matches(encoder, heads, []) == []


def test_sentences_are_embedded_in_one_batch_and_bounded(encoder, heads):
    calls: list[int] = []

    class Counting:
        def embed_tokens(self, texts):
            calls.append(len(texts))
            return encoder.embed_tokens(texts)

        def embed(self, texts):
            return encoder.embed(texts)

    long = " ".join(f"Sentence number {i} is here." for i in range(500))
    explain_matches(
        Counting(), heads, [Match("A", long, "ai_safety", 0.7), Match("B", long, "censorship", 0.7)]
    )
    assert len(calls) == 1
    assert calls[0] <= 14


# ---------------------------------------------------------------- words, example, head


def explain(encoder, heads, title, summary, topic):
    (reason,) = explain_matches(encoder, heads, [Match(title, summary, topic, 0.9)])
    return reason


@pytest.mark.parametrize(
    ("title", "topic", "word"),
    [
        ("Ministers widen export controls on advanced chips", "export_controls", "export"),
        ("Regulator fines a bank after customers' personal data leaked", "data_privacy", "data"),
        ("Lab publishes the weights of its open model", "open_weights", "open"),
        ("Court overturns internet censorship order", "censorship", "censorship"),
    ],
)
def test_the_words_that_carried_a_match_are_named(encoder, heads, title, topic, word):
    reason = explain(encoder, heads, title, "", topic)
    assert word in [each.casefold() for each in reason.words]
    assert set(reason.words) <= set(title.split())
    assert len(reason.words) <= 3


def test_words_come_from_the_sentence_that_carried_the_match(encoder, heads):
    reason = explain(encoder, heads, "Ministers meet again", SUMMARY, "export_controls")
    assert reason.words
    assert all(word in reason.sentence for word in reason.words)


def test_small_words_are_not_shown(encoder, heads):
    reason = explain(encoder, heads, "It is for the AI that they are in the house", "", "ai_safety")
    assert not {"it", "is", "for", "the", "that"} & {word.casefold() for word in reason.words}


def test_a_word_said_twice_is_named_once_and_a_weightless_one_never():
    logits = np.array([2.0, 1.0, 1.5, 2.0, 2.0 - LEAST_DROP / 2])
    assert _heaviest(["Chips", "chips", "rain", "sun"], logits) == ("Chips",)
    assert _heaviest([], np.empty(0)) == ()


def test_the_nearest_example_of_the_topic_is_named_with_its_cosine(encoder, heads):
    topic = next(topic for topic in default_topics() if topic.name == "device_bans")
    reason = explain(encoder, heads, topic.examples[1], "Lunch was served.", "device_bans")
    assert reason.example == topic.examples[1]
    assert reason.likeness == pytest.approx(1, abs=1e-3)
    vectors = encoder.embed([reason.sentence, reason.example])
    assert reason.likeness == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-3)


def test_a_topic_without_examples_is_compared_with_its_description(encoder):
    topic = Topic(name="cables", description="Cables under the sea: cuts, repairs, sabotage, new routes.")
    heads = build_heads([topic], encoder)
    reason = explain(encoder, heads, "Ship cut an undersea cable, officials say", "", "cables")
    assert reason.example == topic.description
    assert "cable" in reason.words
    assert reason.head.startswith("zero_shot-")


FERRIES = Topic(name="ferries", description="Ferries and other passenger boats on rivers: routes, prices.")
ROWING = [
    Label(
        "Rowing club repairs its old boathouse. Paint was given.",
        True,
        title="Rowing club repairs its boathouse",
    ),
    Label("New ferry sails to the islands", True, title="New ferry sails to the islands"),
    Label("Ferry to the islands sails again", False, title="Ferry to the islands sails again"),
]


@pytest.mark.parametrize(
    ("title", "nearest"),
    [
        ("Old boathouse of the rowing club is being repaired", "Rowing club repairs its boathouse"),
        ("Another ferry sails to the islands", "New ferry sails to the islands"),
        ("New ferry sails to the islands", "Rowing club repairs its boathouse"),
    ],
)
def test_the_nearest_article_that_people_called_relevant_is_named(encoder, title, nearest):
    reason = explain(
        encoder, build_heads([FERRIES], encoder, labels={"ferries": ROWING}), title, "", "ferries"
    )
    assert reason.labelled == nearest
    text = next(label.text for label in ROWING if label.title == nearest)
    vectors = encoder.embed([title, text])
    assert reason.labelled_likeness == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-3)


@pytest.mark.parametrize("labels", [{}, {"ferries": ROWING[2:]}])
def test_where_nothing_was_called_relevant_no_labelled_article_is_named(encoder, labels):
    reason = explain(encoder, build_heads([FERRIES], encoder, labels=labels), "Ferry sinks", "", "ferries")
    assert (reason.labelled, reason.labelled_likeness) == ("", None)


def test_the_head_and_the_encoder_that_scored_are_named(encoder, heads):
    reason = explain(encoder, heads, "AI act enters into force", "", "ai_regulation")
    assert reason.head == "fitted-2"
    assert reason.encoder_revision == encoder.revision


def test_tokens_average_to_the_vector_of_the_text(encoder):
    text = "Exports of AI chips need licences."
    (tokens,) = encoder.embed_tokens([text])
    mean = tokens.states.mean(axis=0)
    assert mean / np.linalg.norm(mean) == pytest.approx(encoder.embed([text])[0], abs=1e-6)
    assert tokens.spans[0] == (0, 0)
    assert [text[start:end] for start, end in tokens.spans[1:3]] == ["Exports", "of"]


def test_an_explanation_costs_about_what_embedding_does(encoder, heads):
    matches = [Match(f"Chip exports, part {i}", SUMMARY, "export_controls", 0.9) for i in range(40)]
    texts = [f"{match.title}. {match.summary}" for match in matches]
    explain_matches(encoder, heads, matches[:2])
    started = time.process_time()
    encoder.embed(texts)
    embedding = time.process_time() - started
    started = time.process_time()
    explain_matches(encoder, heads, matches)
    assert time.process_time() - started < 4 * embedding
