"""What a topic would have sent: the rules of a run, stories once, budgets and suggestions."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.alerts.foresee import Candidate, Span, count_heard, foresee, suggest_threshold
from flows.alerts.rules import AlertPolicy
from flows.alerts.tiers import OutletTiers
from tocsin.types import Article, Topic

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
TOPIC = Topic(name="cables", description="Cuts of undersea cables.", threshold=0.5)


def candidate(number, score, *, hours=1.0, story=None, outlet="The Example", age=timedelta(0), **changes):
    at = SINCE + timedelta(hours=hours)
    article = Article(number, None, f"Title {number}", "", outlet, "feed", at - age, at)
    return Candidate(article, number if story is None else story, score, **changes)


def span(candidates=(), *, days=10, policy=None):
    policy = policy or AlertPolicy()
    outlets = {}
    for each in candidates:
        outlets[each.story_id] = outlets.get(each.story_id, frozenset()) | {each.article.outlet.lower()}
    heard = count_heard(outlets, policy.tiers)
    return Span(SINCE, SINCE + timedelta(days=days), policy, outlets=outlets, heard=heard)


def test_a_story_rings_once_by_the_first_article_that_may():
    given_ = [candidate(1, 0.4, story=9), candidate(2, 0.6, story=9), candidate(3, 0.9, story=9, hours=5)]
    found = foresee(TOPIC, given_, span(given_))
    assert {story: each.article.article_id for story, each in found.rings.items()} == {9: 2}
    assert found.stops == {1: "below_threshold", 3: "story_told"}


@pytest.mark.parametrize(
    ("changes", "policy", "rule"),
    [
        ({"is_baseline": True}, AlertPolicy(), "baseline"),
        ({"age": timedelta(days=8)}, AlertPolicy(), "too_old"),
        ({"age": timedelta(days=8)}, AlertPolicy(max_age=None), None),
        ({}, AlertPolicy(tiers=OutletTiers(muted=frozenset({"the example"}))), "outlet_muted"),
        ({}, AlertPolicy(tiers=OutletTiers(low=frozenset({"the example"}))), "low_tier"),
    ],
)
def test_the_rules_of_a_run_stop_articles_of_the_past(changes, policy, rule):
    given_ = [candidate(1, 0.6, **changes)]
    assert foresee(TOPIC, given_, span(given_, policy=policy)).stops.get(1) == rule


def test_a_topic_that_waits_for_outlets_rings_when_its_story_has_them():
    topic = TOPIC.model_copy(update={"min_outlets": 2})
    alone, pair = candidate(1, 0.9), [candidate(2, 0.9, story=2), candidate(3, 0.1, story=2, outlet="B")]
    found = foresee(topic, [alone, *pair], span([alone, *pair]))
    assert set(found.rings) == {2}
    assert found.stops[1] == "few_outlets"


def test_a_mute_counts_for_nothing_as_a_preview_is_of_what_comes_after_it():
    topic = TOPIC.model_copy(update={"mute_until": SINCE + timedelta(days=99)})
    assert set(foresee(topic, [candidate(1, 0.9)], span()).rings) == {1}


def test_a_budget_raises_the_bar_and_no_day_has_more_than_twice_of_it():
    crowd = [candidate(n, 0.5 + n / 1000, hours=24 * (n % 10) + n / 100) for n in range(200)]
    crowd.sort(key=lambda each: each.article.first_seen_at)
    found = foresee(TOPIC.model_copy(update={"daily_budget": 3}), crowd, span(crowd))
    assert found.bar == pytest.approx(0.67)
    assert len(found.rings) == 30
    busy = [candidate(n, 0.51 + n / 1000, hours=5 + n / 100) for n in range(100)]
    held = foresee(TOPIC.model_copy(update={"daily_budget": 3}), busy, span(busy))
    assert max(held.count_days(span(busy)).values()) == 3
    assert set(held.stops.values()) == {"below_budget", "budget_spent"}


def test_alerts_are_counted_on_every_day_of_the_span_also_where_there_are_none():
    given_ = [candidate(1, 0.9), candidate(2, 0.9, hours=30), candidate(3, 0.9, hours=31)]
    days = foresee(TOPIC, given_, span(given_, days=3)).count_days(span(given_, days=3))
    assert list(days.values()) == [1, 2, 0, 0]


scores = st.lists(st.floats(0, 1), max_size=60)


@given(scores, st.floats(0.1, 4))
def test_a_suggested_threshold_sends_what_was_wished_as_far_as_there_are_stories(values, per_day):
    given_ = [candidate(number, value, hours=number) for number, value in enumerate(values)]
    over = span(given_)
    threshold, found = suggest_threshold(TOPIC, given_, over, per_day=per_day)
    wanted = round(per_day * over.days)
    ties = values.count(min((v for v in values if v >= threshold), default=0.0))
    assert min(wanted, len(values)) <= len(found.rings) <= wanted + max(ties, 1) - 1 or wanted == 0
    again = foresee(TOPIC.model_copy(update={"threshold": threshold}), given_, over)
    assert again.rings == found.rings


@given(scores, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_rings_more(values, one, other):
    given_ = [
        candidate(number, value, hours=number, story=number // 2) for number, value in enumerate(values)
    ]
    low, high = sorted((one, other))
    rung = [
        set(foresee(TOPIC.model_copy(update={"threshold": bar}), given_, span(given_)).rings)
        for bar in (low, high)
    ]
    assert rung[1] <= rung[0]
