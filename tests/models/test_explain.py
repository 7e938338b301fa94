from __future__ import annotations

import pytest

from models.explain import Match, explain_matches

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
        def embed(self, texts):
            calls.append(len(texts))
            return encoder.embed(texts)

    long = " ".join(f"Sentence number {i} is here." for i in range(500))
    explain_matches(
        Counting(), heads, [Match("A", long, "ai_safety", 0.7), Match("B", long, "censorship", 0.7)]
    )
    assert len(calls) == 1
    assert calls[0] <= 14
