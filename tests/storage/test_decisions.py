"""The trail of decisions in a real database, what waits in it, and the past that budgets are fitted on."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from storage.alerts import store_alerts
from storage.articles import store_articles
from storage.budgets import PastQuestion, TopicFilter, load_past, load_rung_since
from storage.decisions import load_waiting, store_decisions
from storage.feeds import save_states
from storage.scores import ScoreBlock, store_scores
from storage.stories import store_ties
from storage.topics import record_topics
from tocsin.decisions import Decision, StoryScore
from tocsin.phrases import fold_phrase
from tocsin.types import Alert, Article, FeedState, Reason, StoryTie, Topic

CHIPS = Topic(name="chips", description="Anything at all about it.")


def decision(article_id, now, rule="few_outlets", **changes):
    return Decision(
        **{
            "article_id": article_id,
            "topic": "chips",
            "topic_version": CHIPS.version,
            "channel": "policy",
            "story_id": 1,
            "rule": rule,
            "score": 0.7,
            "threshold": 0.5,
            "decided_at": now,
            "explanation": "It waits.",
            **changes,
        }
    )


def article(article_id, now, *, outlet="A", feed="f", age=timedelta(hours=1)):
    return Article(article_id, None, f"T{article_id}", "", outlet, feed, now - age, now)


def store(con, *articles):
    store_articles(con, "run", articles=articles, sightings=[], keys={})


def test_a_decision_is_stored_once_a_run_and_the_last_one_is_final(con, now):
    store(con, article(1, now))
    store_decisions(con, "run-1", [decision(1, now), decision(1, now, topic="safety")])
    store_decisions(con, "run-1", [decision(1, now)])
    later = now + timedelta(hours=1)
    store_decisions(con, "run-2", [decision(1, later, "rings", alert_id="a1", hold_until=later)])
    trail = con.execute(
        "SELECT topic, rule, rings, title, explanation, is_final FROM decision_trail "
        "ORDER BY topic, decided_at"
    ).fetchall()
    assert trail == [
        ("chips", "few_outlets", False, "T1", "It waits.", False),
        ("chips", "rings", True, "T1", "It waits.", True),
        ("safety", "few_outlets", False, "T1", "It waits.", True),
    ]


def test_what_waits_is_what_was_last_told_to_wait_in_the_stories_asked_for(con, now):
    said = replace(article(1, now), language="en", full_text="All of it.", url="https://a.example/1")
    store(con, said, article(2, now), article(3, now))
    waiting = [decision(1, now), decision(2, now, "rings"), decision(3, now, "low_tier", story_id=3)]
    store_decisions(con, "run-1", waiting)
    (found,) = load_waiting(con, [1, 2])
    assert (found.article, found.topic, found.score, found.rule, found.story_id) == (
        said,
        "chips",
        0.7,
        "few_outlets",
        1,
    )
    store_decisions(con, "run-2", [decision(1, now + timedelta(hours=1), "story_told")])
    assert load_waiting(con, [1, 2]) == []
    assert [found.rule for found in load_waiting(con, [3])] == ["low_tier"]


@pytest.fixture
def fill(con, now):
    """Store articles with their scores for a topic, as scored by a version, encoder and head."""

    def store_scored(found, *, of=CHIPS, revision="enc", head="zero-1"):
        store(con, *(each for each, _ in found))
        values = np.array([[score] for _, score in found], np.float32)
        ids = [each.article_id for each, _ in found]
        store_scores(con, ScoreBlock(ids, [of.name], [of.version], revision, [head], values), now)

    return store_scored


def ask(now, **changes):
    return PastQuestion(
        **{
            "since": now - timedelta(days=30),
            "until": now,
            "encoder_revision": "enc",
            "floors": {"chips": 0.5},
            "heads": {"chips": "zero-1"},
            "max_age": timedelta(days=7),
            **changes,
        }
    )


def scores_of(con, asked):
    return [round(each.score, 3) for each in load_past(con, asked)[0]]


def test_the_past_has_each_story_once_with_its_best_score_and_all_its_outlets(con, now, fill):
    record_topics(con, [CHIPS], run_id="run", now=now)
    day = now - timedelta(days=2)
    fill([(article(1, day), 0.6), (article(2, day, outlet="B"), 0.75), (article(3, day, outlet="C"), 0.25)])
    fill([(article(4, day - timedelta(days=1), outlet="D"), 0.5)])
    store_ties(con, "run", [StoryTie(1, 1), StoryTie(2, 1, 0.9), StoryTie(3, 1, 0.9)])
    past, since = load_past(con, ask(now))
    assert past == [
        StoryScore("chips", 1, 0.75, frozenset("abc")),
        StoryScore("chips", 4, 0.5, frozenset("d")),
    ]
    assert since == {"chips": day - timedelta(days=1)}


def test_what_could_not_ring_then_is_no_past(con, now, fill):
    record_topics(con, [CHIPS], run_id="run", now=now)
    day = now - timedelta(days=2)
    save_states(con, [FeedState("quiet", baseline_at=day)])
    fill(
        [
            (article(1, day, feed="quiet"), 0.6),
            (article(2, day + timedelta(hours=1), feed="quiet"), 0.7),
            (article(3, day, outlet="Spam"), 0.8),
            (article(4, day, age=timedelta(days=8)), 0.9),
            (article(5, now - timedelta(days=31)), 0.95),
            (article(6, now), 0.97),
        ]
    )
    assert scores_of(con, ask(now, muted=["spam"])) == [0.7]
    assert scores_of(con, ask(now, muted=["spam"], baseline=False)) == [0.6, 0.7]
    assert scores_of(con, ask(now, max_age=None)) == [0.7, 0.8, 0.9]


def test_what_a_topic_asks_of_its_articles_counts_for_its_past_too(con, now, fill):
    record_topics(con, [CHIPS], run_id="run", now=now)
    day = now - timedelta(days=2)
    fill([(article(1, day), 0.6), (article(2, day, outlet="Wire"), 0.7), (article(3, day), 0.8)])
    con.execute("UPDATE articles SET title = 'Fire in SÃO-PAULO!' WHERE article_id = 1")
    con.execute("UPDATE articles SET title = 'Sao Paulos' WHERE article_id = 3")
    con.execute("UPDATE articles SET language = 'de' WHERE article_id = 2")

    def asked(**filters):
        return scores_of(con, ask(now, filters={"chips": TopicFilter(**filters)}))

    said = [fold_phrase("São Paulo")]
    assert asked() == [0.6, 0.7, 0.8]
    assert asked(must=said) == [0.6]
    assert asked(never=said) == [0.7, 0.8]
    assert asked(outlets=["wire"]) == [0.7]
    assert 0.7 not in asked(languages=["en"])
    assert 0.7 in asked(languages=["de"])


def test_what_rang_in_two_channels_at_once_spends_a_budget_once(con, now):
    reasons = (Reason("chips", 0.9, ""),)
    told = [Alert(f"a{c}", 1, c, "T", None, "A", None, now, reasons, story_id=1) for c in ("asia", "europe")]
    store_alerts(con, "run", told)
    assert load_rung_since(con, now) == {"chips": (0.9,)}


def test_scores_of_another_definition_encoder_or_head_are_not_compared(con, now, fill):
    day = now - timedelta(days=2)
    louder = CHIPS.model_copy(update={"daily_budget": 3, "threshold": 0.4})
    other = CHIPS.model_copy(update={"description": "Something else entirely."})
    record_topics(con, [CHIPS], run_id="run-1", now=day)
    fill([(article(1, day), 0.6)])
    record_topics(con, [other], run_id="run-2", now=day)
    fill([(article(2, day), 0.7)], of=other)
    record_topics(con, [louder], run_id="run-3", now=now)
    fill([(article(3, day), 0.8)], of=louder, head="zero-1+nli-2")
    fill([(article(4, day), 0.9)], of=louder, revision="older")
    fill([(article(5, day), 0.95)], of=louder, head="few-1")
    assert scores_of(con, ask(now)) == [0.6, 0.8]


def test_an_alert_counts_for_every_topic_that_it_names_since_the_day_began(con, now):
    def alert(number, at, *reasons):
        return Alert(f"a{number}", number, "policy", "T", None, "A", None, at, reasons)

    both = alert(1, now, Reason("chips", 0.9, ""), Reason("safety", 0.6, ""))
    told = [
        both,
        alert(2, now, Reason("chips", 0.7, "")),
        alert(3, now - timedelta(seconds=1), Reason("chips", 1, "")),
    ]
    store_alerts(con, "run", told)
    found = load_rung_since(con, now)
    assert {topic: sorted(scores) for topic, scores in found.items()} == {
        "chips": [0.7, 0.9],
        "safety": [0.6],
    }


def test_an_alert_that_is_held_is_due_when_its_hold_ends(database, now):
    from storage.alerts import DuckOutbox

    until = now + timedelta(hours=7)
    held = Alert("a1", 1, "policy", "T", None, "A", None, now, (Reason("chips", 0.9, ""),), hold_until=until)
    with database.write() as con:
        store_alerts(con, "run", [held])
    outbox = DuckOutbox(database)
    assert outbox.load_due(until - timedelta(seconds=1)) == []
    assert outbox.load_due(until) == [held]
