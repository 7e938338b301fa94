"""Every close article has one final rule with its numbers; and what holds whatever comes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.alerts.decide import decide_alerts, judge_matches
from flows.alerts.rules import AlertRules, Match, find_close, find_matches
from flows.alerts.tiers import OutletTiers
from flows.alerts.trail import record_decisions
from tocsin.decisions import RULES, WAITING_RULES
from tocsin.types import Article, Score, Told, Topic

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TIERS = OutletTiers(first=frozenset({"wire"}), low=frozenset({"blog", "forum"}), muted=frozenset({"spam"}))


def topic(name="chips", **changes):
    return Topic(name=name, description="Anything at all about it.", **changes)


def match(article_id=1, score=0.7, of=None, *, outlet="The Example", days=0, feed="f"):
    at = NOW - timedelta(days=days, hours=article_id % 5)
    return Match(Article(article_id, None, "Headline", "", outlet, feed, at, NOW), of or topic(), score)


def rules(**changes):
    return AlertRules(**{"now": NOW, "default_channel": "policy", "tiers": TIERS, **changes})


def decide(found, given_rules):
    alerts = decide_alerts(found, {}, given_rules)
    return record_decisions(found, alerts, given_rules)


TOLD = {"stories": {1: 9}, "told": {(9, "policy"): Told(frozenset({"chips"}), outlets=3)}}
SPENT = {"told_today": {"chips": (0.6,)}}


@pytest.mark.parametrize(
    ("found", "changes", "rule", "said"),
    [
        (match(score=0.45), {}, "below_threshold", "Score 0.450, threshold 0.500."),
        (match(), {"quiet_feeds": frozenset({"f"})}, "baseline", "first poll"),
        (match(days=9), {"max_age": timedelta(days=7)}, "too_old", "dated 2026-02-21 11:00 UTC, more than 7"),
        (
            match(of=topic(mute_until=NOW + timedelta(hours=1))),
            {},
            "topic_muted",
            "Until 2026-03-02 13:00 UTC",
        ),
        (match(of=topic(mute_until=NOW)), {}, "rings", "Score 0.700"),
        (match(outlet="SPAM"), {}, "outlet_muted", "It is SPAM."),
        (match(), {"already_alerted": {(1, "policy")}}, "already_alerted", "this very article"),
        (match(), TOLD, "story_told", "told of story 9 on chips, when 3 outlets had it"),
        (match(of=topic(min_outlets=2)), {}, "few_outlets", "1 outlet so far, 2 needed."),
        (match(of=topic(min_outlets=2)), {"outlets": {1: 2}}, "rings", ""),
        (match(of=topic(min_outlets=5), outlet="Wire"), {}, "rings", ""),
        (match(outlet="Blog"), {}, "low_tier", "Score 0.700, threshold 0.500."),
        (match(outlet="Blog", score=0.75), {}, "rings", ""),
        (match(outlet="Blog"), {"outlets": {1: 2}, "standings": {1: "low"}}, "rings", ""),
        (match(), {"fitted": {"chips": 0.8}}, "below_budget", "raised to 0.800 by the daily budget"),
        (
            match(of=topic(daily_budget=1)),
            SPENT,
            "budget_spent",
            "1 rang today before this run, the budget is 1",
        ),
        (match(), {}, "rings", "It rings. Score 0.700, threshold 0.500."),
        (
            match(),
            {"hold_until": NOW + timedelta(hours=7)},
            "rings_later",
            "Held until 2026-03-02 19:00 UTC.",
        ),
    ],
)
def test_each_rule_stops_what_it_should_and_says_so_with_its_numbers(found, changes, rule, said):
    given_rules = rules(**changes)
    (decision,) = decide([found], given_rules)
    assert decision.rule == rule
    assert decision.explanation.startswith(RULES[rule])
    assert said in decision.explanation
    assert bool(decide_alerts([found], {}, given_rules)) is decision.rings
    assert (decision.alert_id is not None) is decision.rings
    assert decision.hold_until == (given_rules.hold_until if decision.rings else None)


def test_every_rule_is_named_and_said_in_a_sentence():
    assert all(sentence.endswith(".") and sentence[0].isupper() for sentence in RULES.values())
    assert set(RULES) >= WAITING_RULES


def test_only_what_is_a_fifth_or_less_under_the_threshold_is_close():
    chips, strict = topic(threshold=0.5), topic("strict", threshold=1.0)
    article = match().article
    scores = [
        Score(1, of.name, of.version, "rev", "h", value) for of, value in ((chips, 0.4), (strict, 0.79))
    ]
    assert [found.key for found in find_close([article], scores, [chips, strict])] == [(1, "chips")]
    assert find_matches([article], scores, [chips, strict]) == []


def test_what_waits_on_for_the_same_rule_is_not_recorded_again():
    waiting = match(of=topic(min_outlets=3))
    assert record_decisions([waiting], [], rules(), before={(1, "chips"): "few_outlets"}) == []
    (decision,) = record_decisions([waiting], [], rules(outlets={1: 3}), before={(1, "chips"): "few_outlets"})
    assert decision.rule == "rings"


TOPICS = (
    topic("plain"),
    topic("thrifty", daily_budget=2, sensitivity="more"),
    topic("cautious", min_outlets=2, channel="#risk"),
    topic("muted", mute_until=NOW + timedelta(days=1)),
)


@st.composite
def batches(draw):
    """Some articles with a score for each topic, their stories, and facts of all kinds."""
    count = draw(st.integers(1, 8))
    outlets = [draw(st.sampled_from(["Wire", "Blog", "Forum", "Spam", "Other"])) for _ in range(count)]
    stories = {number: draw(st.integers(0, number)) for number in range(count)}
    close = [
        match(number, draw(st.sampled_from([0.25, 0.41, 0.5, 0.62, 0.8, 0.97])), of, outlet=outlets[number])
        for number in range(count)
        for of in TOPICS
    ]
    close = [found for found in close if found.score >= 0.8 * found.topic.effective_threshold]
    hold = draw(st.sampled_from([None, NOW + timedelta(hours=8)]))
    sizes = {story: draw(st.integers(1, 6)) for story in set(stories.values())}
    return close, {"stories": stories, "outlets": sizes, "hold_until": hold, "fitted": {"thrifty": 0.6}}


@given(batches())
def test_nothing_rings_under_its_threshold_and_every_close_pair_has_one_final_rule(batch):
    close, facts = batch
    decisions = decide(close, rules(**facts))
    assert [(each.article_id, each.topic) for each in decisions] == [found.key for found in close]
    assert all(each.score >= each.threshold for each in decisions if each.rings)
    alerts = decide_alerts(close, {}, rules(**facts))
    least = {topic.name: topic.effective_threshold for topic in TOPICS}
    assert all(reason.score >= least[reason.topic] for alert in alerts for reason in alert.reasons)
    assert {each.alert_id for each in decisions if each.rings} == {alert.alert_id for alert in alerts}


@given(batches(), st.randoms())
def test_the_order_of_articles_changes_no_decision(batch, shuffler):
    close, facts = batch
    shuffled = list(close)
    shuffler.shuffle(shuffled)
    given_rules = rules(**facts)
    assert decide_alerts(shuffled, {}, given_rules) == decide_alerts(close, {}, given_rules)
    by_key = {(each.article_id, each.topic): each for each in decide(close, given_rules)}
    assert {(each.article_id, each.topic): each for each in decide(shuffled, given_rules)} == by_key


@given(batches())
def test_quiet_hours_delay_alerts_and_lose_none(batch):
    close, facts = batch
    awake = decide_alerts(close, {}, rules(**{**facts, "hold_until": None}))
    until = NOW + timedelta(hours=8)
    quiet = decide_alerts(close, {}, rules(**{**facts, "hold_until": until}))
    assert [alert.alert_id for alert in quiet] == [alert.alert_id for alert in awake]
    assert all(alert.hold_until == until for alert in quiet)
    assert all(alert.hold_until is None for alert in awake)


@given(st.lists(batches(), min_size=2, max_size=4))
def test_over_runs_a_channel_hears_of_a_story_once_unless_topic_or_coverage_says_so(runs):
    told, today, causes = {}, {}, {}
    for close, facts in runs:
        given_rules = rules(**facts, told=told, told_today=today, coverage_jump=2.0)
        for alert in decide_alerts(close, {}, given_rules):
            key = (alert.story_id, alert.channel)
            causes.setdefault(key, []).append(alert.cause)
            known = told.get(key, Told(frozenset()))
            topics = known.topics | {reason.topic for reason in alert.reasons}
            coverage = known.for_coverage or alert.cause == "coverage"
            told = {**told, key: Told(topics, max(alert.outlets, known.outlets), coverage)}
            for reason in alert.reasons:
                today = {**today, reason.topic: (*today.get(reason.topic, ()), reason.score)}
    for heard in causes.values():
        assert heard[0] == "story"
        assert "story" not in heard[1:]
        assert heard.count("coverage") <= 1


def test_verdicts_come_in_the_order_of_the_matches():
    assert judge_matches([match(1, 0.45), match(2, 0.9)], rules()) == ["below_threshold", None]
