"""What a topic asks of its articles beside a score, and topics that ring in several channels."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.alerts.decide import decide_alerts, judge_matches
from flows.alerts.rules import AlertRules, Match, may_stop, spread_channels, stopped_by
from flows.alerts.tiers import OutletTiers
from flows.alerts.trail import record_decisions
from tocsin.decisions import RULES
from tocsin.types import Article, Told, Topic

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def topic(name="chips", **changes):
    return Topic(name=name, description="Anything at all about it.", **changes)


def article(number=1, *, title="Ministry widens chip licences", outlet="The Example", language="en", **more):
    return Article(number, None, title, "In März.", outlet, "f", NOW, NOW, language=language, **more)


def rules(**changes):
    return AlertRules(**{"now": NOW, "default_channel": "#policy", **changes})


def decide(of, about, **facts):
    found = spread_channels([Match(about, of, 0.9)], rules(**facts))
    alerts = decide_alerts(found, {}, rules(**facts))
    return alerts, record_decisions(found, alerts, rules(**facts))


@pytest.mark.parametrize(
    ("changes", "about", "rule", "said"),
    [
        ({"must": ["Taiwan", "maerz"]}, article(), "lacks_phrase", "Asked for: Taiwan, maerz."),
        ({"must": ["Taiwan", "marz"]}, article(), "rings", ""),
        ({"must": ["licences"], "never": ["MÄRZ"]}, article(), "never_phrase", "It says: MÄRZ."),
        ({"never": ["licence"]}, article(), "rings", ""),
        ({"must": ["wafers"]}, article(full_text="Of wafers."), "rings", ""),
        ({"must": [f"word {n}" for n in range(5)]}, article(), "lacks_phrase", "word 2 and 2 more."),
        ({"outlets": ["Wire"]}, article(), "other_outlet", "It is The Example."),
        ({"outlets": ["Wire", "the  EXAMPLE"]}, article(), "rings", ""),
        ({"languages": ["de", "fr"]}, article(), "other_language", "It is in en; asked for: de, fr."),
        ({"languages": ["en"]}, article(), "rings", ""),
        ({"languages": ["de"]}, article(language=None), "rings", ""),
    ],
)
def test_what_a_topic_asks_for_is_a_rule_of_the_trail(changes, about, rule, said):
    alerts, (decision,) = decide(topic(**changes), about)
    assert decision.rule == rule
    assert decision.explanation.startswith(RULES[rule])
    assert said in decision.explanation
    assert len(alerts) == (rule == "rings")


def test_every_channel_of_a_topic_is_told_of_a_story_once():
    many = topic(channel="#policy", channels=["#asia", "policy", "webhook:desk"])
    alerts, decisions = decide(many, article())
    assert [alert.channel for alert in alerts] == ["asia", "policy", "webhook:desk"]
    assert len({alert.alert_id for alert in alerts}) == 3
    assert [each.channel for each in decisions] == ["policy", "asia", "webhook:desk"]
    assert [each.alert_id is not None for each in decisions] == [True] * 3


def test_a_channel_that_knows_the_story_is_left_out_and_the_others_are_told():
    told = {(1, "asia"): Told(frozenset({"chips"}))}
    alerts, decisions = decide(topic(channels=["#asia", "#europe"]), article(), told=told)
    assert [alert.channel for alert in alerts] == ["europe"]
    assert {each.channel: each.rule for each in decisions} == {"asia": "story_told", "europe": "rings"}


def test_two_channels_spend_a_budget_once():
    pair = topic(channels=["#asia", "#europe"], daily_budget=1)
    found = spread_channels([Match(article(1), pair, 0.9), Match(article(2), pair, 0.6)], rules())
    assert judge_matches(found, rules()) == [None, None, "budget_spent", "budget_spent"]


def test_a_topic_without_channels_alerts_the_default_one():
    assert [alert.channel for alert in decide(topic(), article())[0]] == ["policy"]


def maybe(usual, other):
    return st.sampled_from([usual, usual, usual, usual, other])


_TOPICS = st.builds(
    Topic,
    name=st.just("cables"),
    description=st.just("Cuts of undersea cables."),
    threshold=st.sampled_from([None, 0.0, 0.5, 0.7]),
    mute_until=maybe(None, NOW + timedelta(hours=1)),
    min_outlets=st.integers(1, 3),
    must=maybe((), ("cable",)),
    never=maybe((), ("cable",)),
    outlets=maybe((), ("The Example",)),
    languages=maybe((), ("de",)),
)
_RULES = st.builds(
    AlertRules,
    now=st.just(NOW),
    default_channel=st.just("#news"),
    quiet_feeds=maybe(frozenset(), frozenset({"feed"})),
    already_alerted=maybe(frozenset(), frozenset({(1, "news")})),
    max_age=maybe(None, timedelta(days=1)),
    told=maybe({}, {(1, "news"): Told(frozenset({"cables"}))}),
    outlets=st.sampled_from([{}, {1: 0}, {1: 5}]),
    tiers=st.builds(
        OutletTiers,
        low=st.sampled_from([frozenset(), frozenset({"b"})]),
        muted=maybe(frozenset(), frozenset({"b"})),
    ),
    fitted=maybe({}, {"cables": 0.6}),
)


@settings(max_examples=500)
@given(
    _TOPICS,
    _RULES,
    st.sampled_from([0.4, 0.5, 0.55, 0.65, 0.9]),
    st.sampled_from([("The Example", "en"), ("B", None), ("B", "de")]),
    st.sampled_from(["A cable is cut", "Rain"]),
    st.sampled_from([timedelta(0), timedelta(days=3)]),
)
def test_rules_that_are_said_to_stop_nothing_of_a_topic_stop_nothing(topic, rules, score, who, title, age):
    match = Match(Article(1, None, title, "", who[0], "feed", NOW - age, NOW, who[1]), topic, score)
    assert stopped_by(match, rules, among=may_stop(topic, rules)) == stopped_by(match, rules)
