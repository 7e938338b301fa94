"""A channel is told of a story once; what makes a told story ring again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.alerts.decide import alert_id_of, decide_alerts
from flows.alerts.rules import AlertRules, Match, stopped_by
from tocsin.types import Article, Told, Topic

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CHIPS, SAFETY = (Topic(name=name, description="Anything at all about it.") for name in ("chips", "safety"))


def match(article_id, topic=CHIPS, score=0.9, *, hours=2):
    at = NOW - timedelta(hours=hours)
    article = Article(article_id, None, f"Headline {article_id}", "", f"Outlet {article_id}", "feed", at, NOW)
    return Match(article, topic, score)


def decide(*matches, **changes):
    rules = AlertRules(now=NOW, default_channel="policy", **changes)
    return decide_alerts(matches, {}, rules)


def test_two_articles_of_a_story_are_one_alert_that_shows_the_first_and_names_all_topics():
    matches = [match(2, CHIPS, 0.7, hours=1), match(3, SAFETY, 0.8, hours=3), match(2, SAFETY, 0.95, hours=1)]
    (alert,) = decide(*matches, stories={2: 2, 3: 2}, outlets={2: 4})
    assert (alert.article_id, alert.story_id, alert.outlets, alert.cause) == (3, 2, 4, "story")
    assert [(reason.topic, reason.score) for reason in alert.reasons] == [("safety", 0.95), ("chips", 0.7)]
    assert alert.alert_id == alert_id_of(2, "policy")


def test_articles_of_two_stories_are_two_alerts():
    assert len(decide(match(2), match(3), stories={2: 2, 3: 3})) == 2


def test_an_article_of_a_told_story_does_not_ring():
    told = {(2, "policy"): Told(frozenset({"chips"}))}
    rules = AlertRules(now=NOW, default_channel="policy", stories={3: 2}, told=told)
    assert stopped_by(match(3), rules) == "story_told"
    assert decide(match(3), stories={3: 2}, told=told) == []


def test_what_one_channel_was_told_is_news_to_another():
    told = {(2, "risk"): Told(frozenset({"chips"}))}
    (alert,) = decide(match(3), stories={3: 2}, told=told)
    assert alert.cause == "story"


def test_a_further_topic_that_barely_matches_is_no_news_of_a_told_story():
    told = {(2, "policy"): Told(frozenset({"chips"}))}
    assert decide(match(3, SAFETY, 0.74), stories={3: 2}, told=told) == []
    assert len(decide(match(3, SAFETY, 0.75), stories={3: 2}, told=told)) == 1


def test_a_told_story_rings_once_more_for_a_further_topic_only():
    told = {(2, "policy"): Told(frozenset({"chips"}))}
    (alert,) = decide(match(3), match(3, SAFETY), stories={3: 2}, told=told)
    assert alert.cause == "topic"
    assert [reason.topic for reason in alert.reasons] == ["safety"]
    assert alert.alert_id != alert_id_of(2, "policy")
    again = {(2, "policy"): Told(frozenset({"chips", "safety"}))}
    assert decide(match(4), match(4, SAFETY), stories={4: 2}, told=again) == []


@pytest.mark.parametrize(
    ("told", "now", "factor", "rings"),
    [
        (2, 6, 3.0, True),
        (2, 5, 3.0, False),
        (1, 3, 3.0, False),  # from one to three is no jump
        (1, 4, 3.0, True),
        (2, 60, None, False),
    ],
)
def test_a_jump_in_coverage_rings_by_the_factor_asked_for(told, now, factor, rings):
    known = {(2, "policy"): Told(frozenset({"chips"}), outlets=told)}
    found = decide(match(3), stories={3: 2}, told=known, outlets={2: now}, coverage_jump=factor)
    assert [alert.cause for alert in found] == ["coverage"] * rings


def test_a_jump_in_coverage_rings_once():
    told = {(2, "policy"): Told(frozenset({"chips"}), outlets=1, for_coverage=True)}
    assert decide(match(3), stories={3: 2}, told=told, outlets={2: 50}, coverage_jump=2.0) == []


@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from([CHIPS, SAFETY])), max_size=12),
    st.dictionaries(st.integers(1, 9), st.integers(1, 3)),
)
def test_no_channel_hears_twice_of_a_story_however_its_articles_come(pairs, stories):
    matches = [match(article_id, topic) for article_id, topic in pairs]
    told, found = {}, []
    for each in matches:  # one batch each: the hardest case
        alerts = decide(each, stories=stories, told=told)
        found += alerts
        for alert in alerts:
            key = alert.story_id, alert.channel
            before = told.get(key, Told(frozenset()))
            told[key] = Told(before.topics | {reason.topic for reason in alert.reasons})
    heard = [(alert.story_id, reason.topic) for alert in found for reason in alert.reasons]
    assert len(heard) == len(set(heard))
    assert len({alert.alert_id for alert in found}) == len(found)
