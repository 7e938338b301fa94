"""A daily budget: the threshold fitted on the past, the day that is full, and a replay of months."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.alerts.budget import MOST, fit_threshold, over_budget
from flows.alerts.decide import judge_matches
from flows.alerts.rules import AlertRules, Match
from flows.alerts.tiers import OutletTiers
from tocsin.decisions import StoryScore
from tocsin.types import Article, Topic

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TIERS = OutletTiers(first=frozenset({"wire"}), low=frozenset({"blog"}), muted=frozenset({"spam"}))


def topic(**changes):
    return Topic(name="chips", description="Anything at all about it.", **{"daily_budget": 2, **changes})


def past(*scores, outlets=("the example",)):
    return [StoryScore("chips", number, score, frozenset(outlets)) for number, score in enumerate(scores)]


def match(story, score, of):
    return Match(Article(story, None, f"Headline {story}", "", "The Example", "f", NOW, NOW), of, score)


def rules(**changes):
    return AlertRules(**{"now": NOW, "default_channel": "policy", **changes})


@pytest.mark.parametrize(
    ("scores", "days", "fitted"),
    [
        ((0.9, 0.8, 0.7, 0.6), 7, 0.8),
        ((0.6, 0.9, 0.7, 0.8, 0.55), 14, 0.6),
        ((0.9, 0.8), 7, 0.5),  # all of the past fits
        ((0.9, 0.4, 0.3), 7, 0.5),  # what is under the topic's own threshold never counts
        ((), 30, 0.5),
        ((0.9, 0.8, 0.7, 0.6), 6.9, 0.5),  # less than a week says too little
    ],
)
def test_the_threshold_is_the_score_that_would_have_kept_the_budget(scores, days, fitted):
    assert fit_threshold(topic(), past(*scores * 7), days, OutletTiers()) == fitted


@pytest.mark.parametrize(("sensitivity", "floor"), [("fewer", 0.8), ("balanced", 0.5), ("more", 0.3)])
def test_a_budget_never_lowers_the_threshold_of_the_sensitivity(sensitivity, floor):
    generous = topic(daily_budget=1000, sensitivity=sensitivity)
    assert fit_threshold(generous, past(*[0.1 * n for n in range(11)]), 7, OutletTiers()) == floor


def test_stories_that_other_rules_would_have_stopped_do_not_raise_the_threshold():
    strong, weak = past(*[0.99] * 30, outlets=("spam",)), past(0.7, 0.6)
    blog = past(*[0.74] * 30, outlets=("blog",))
    other = [StoryScore("safety", 1, 0.99, frozenset({"x"})) for _ in range(30)]
    assert fit_threshold(topic(), strong + blog + weak + other, 7, TIERS) == 0.5
    waiting = topic(min_outlets=2)
    assert fit_threshold(waiting, past(*[0.9] * 30), 7, TIERS) == 0.5
    assert fit_threshold(waiting, past(*[0.9] * 30, outlets=("wire",)), 7, TIERS) == 0.9


def test_a_topic_without_a_budget_keeps_its_threshold():
    assert fit_threshold(topic(daily_budget=None), past(*[0.9] * 30), 7, TIERS) == 0.5


@pytest.mark.parametrize(
    ("told", "scores", "stopped"),
    [
        ((), (0.6, 0.7), set()),
        ((), (0.8, 0.6, 0.7), {1}),  # the strongest of a batch ring, not the first
        ((0.6, 0.7), (0.75,), {0}),
        ((0.6, 0.7), (0.8,), set()),  # half way from 0.6 to 1: clearly above the weakest of today
        ((0.6, 0.7, 0.9), (0.85, 0.9), {0}),  # one place is left of twice the budget
        ((0.6, 0.7, 0.9, 0.9), (1.0,), {0}),  # twice the budget is the end
    ],
)
def test_a_full_day_lets_through_only_what_is_clearly_stronger(told, scores, stopped):
    chips = topic()
    matches = [match(number, score, chips) for number, score in enumerate(scores)]
    found = over_budget(matches, rules(told_today={"chips": told}))
    assert found == {(number, "chips") for number in stopped}


def test_the_copies_of_a_story_take_one_place():
    chips = topic(daily_budget=1)
    copies = [match(number, 0.9, chips) for number in range(5)]
    assert over_budget(copies, rules(stories=dict.fromkeys(range(5), 0))) == frozenset()


def test_what_is_under_the_fitted_threshold_is_stopped_by_the_budget():
    verdicts = judge_matches([match(1, 0.6, topic()), match(2, 0.7, topic())], rules(fitted={"chips": 0.65}))
    assert verdicts == ["below_budget", None]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.floats(0.5, 1)), max_size=20),
    st.lists(st.floats(0.5, 1), max_size=6),
    st.integers(1, 4),
    st.randoms(),
)
def test_the_day_never_exceeds_twice_its_budget_in_any_order(found, told, budget, shuffler):
    chips = topic(daily_budget=budget)
    matches = [match(number, score, chips) for number, (_, score) in enumerate(found)]
    stories = {number: story for number, (story, _) in enumerate(found)}
    given_rules = rules(stories=stories, told_today={"chips": tuple(told)})
    stopped = over_budget(matches, given_rules)
    rung = {stories[each.article.article_id] for each in matches if each.key not in stopped}
    assert not rung or len(told) + len(rung) <= MOST * budget
    shuffled = list(matches)
    shuffler.shuffle(shuffled)
    assert over_budget(shuffled, given_rules) == stopped
    assert over_budget([each for each in matches if each.key not in stopped], given_rules) == frozenset()


def replay(budget, *, per_day, days=90, seed=1, batches=24):
    """Replay synthetic days: bursty numbers of stories, most of them weak; give the alerts of each day."""
    rng, chips = random.Random(seed), topic(daily_budget=budget, sensitivity="more")
    history, sent, story = [], [], 0
    for number in range(days):
        mean = per_day * rng.lognormvariate(0, 0.35) * (0.5 if number % 7 in {5, 6} else 1.2)
        fitted = fit_threshold(
            chips, [story for day in history[-30:] for story in day], min(number, 30), OutletTiers()
        )
        today, told = [], ()
        for _ in range(batches):
            count = sum(rng.random() < mean / batches / 20 for _ in range(20))
            new = [match(story + n, rng.betavariate(0.4, 1.2), chips) for n in range(count)]
            story += count
            facts = rules(fitted={"chips": fitted}, told_today={"chips": told})
            rings = [each for each, stop in zip(new, judge_matches(new, facts), strict=True) if stop is None]
            told += tuple(each.score for each in rings)
            today += past(*[each.score for each in new])
        history.append(today)
        sent.append(len(told))
    return sent


@pytest.mark.parametrize("budget", [3, 5, 10])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_over_months_about_as_many_alerts_ring_as_the_budget_says(budget, seed):
    sent = replay(budget, per_day=60, seed=seed)[30:]
    assert 0.7 * budget <= sum(sent) / len(sent) <= 1.15 * budget
    assert max(sent) <= MOST * budget
