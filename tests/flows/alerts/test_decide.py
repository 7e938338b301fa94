"""Which matches ring, and in what order."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.alerts.decide import alert_id_of, decide_alerts, select_matches
from flows.alerts.rules import AlertRules, find_matches, stopped_by
from tocsin.types import Article, Reason, Score, Topic

DESCRIPTION = "Anything at all that is about this topic."


@pytest.fixture
def article(now):
    def make(article_id=1, *, age=timedelta(hours=2), feed_url="https://feed.example/rss"):
        return Article(
            article_id=article_id,
            url=f"https://news.example/{article_id}",
            title=f"Headline {article_id}",
            summary="",
            outlet="The Example",
            feed_url=feed_url,
            published_at=None if age is None else now - age,
            first_seen_at=now,
        )

    return make


@pytest.fixture
def rules(now):
    def make(**changes):
        return AlertRules(**{"now": now, "default_channel": "policy", **changes})

    return make


def topic(name="export_controls", **changes):
    return Topic(name=name, description=DESCRIPTION, **changes)


def score(article_id, of, value):
    return Score(article_id, of.name, of.version, "rev", "zero_shot", value)


@pytest.mark.parametrize(
    ("threshold", "value", "matches"),
    [
        (0.5, 0.5, True),
        (0.5, 0.4999, False),
        (0.0, 0.0, True),
        (1.0, 1.0, True),
        (None, 0.5, True),
        (None, 0.49, False),
        (0.0, float("nan"), False),
    ],
)
def test_a_match_is_a_score_at_or_above_the_threshold(article, threshold, value, matches):
    chips = topic(threshold=threshold)
    assert bool(find_matches([article()], [score(1, chips, value)], [chips])) is matches


def test_scores_of_other_articles_topics_and_versions_match_nothing(article):
    chips, older = topic(), topic(threshold=0.1)
    scores = [score(2, chips, 0.9), score(1, older, 0.9), score(1, topic("other_topic"), 0.9)]
    assert find_matches([article()], scores, [chips]) == []


def test_the_highest_of_several_scores_counts(article):
    chips = topic()
    found = find_matches([article()], [score(1, chips, value) for value in (0.7, 0.9, 0.8)], [chips])
    assert [match.score for match in found] == [0.9]


@pytest.mark.parametrize(
    ("age", "changes", "stopped"),
    [
        (timedelta(hours=2), {}, None),
        (timedelta(hours=2), {"quiet_feeds": frozenset({"https://feed.example/rss"})}, "baseline"),
        (timedelta(hours=2), {"quiet_feeds": frozenset({"https://other.example/rss"})}, None),
        (timedelta(days=3), {"max_age": timedelta(days=2)}, "too_old"),
        (timedelta(days=2), {"max_age": timedelta(days=2)}, None),
        (timedelta(days=-3), {"max_age": timedelta(days=2)}, None),
        (timedelta(days=3), {"max_age": None}, None),
        (None, {"max_age": timedelta(days=2)}, None),
        (timedelta(hours=2), {"already_alerted": {(1, "policy")}}, "already_alerted"),
        (timedelta(hours=2), {"already_alerted": {(1, "other"), (2, "policy")}}, None),
    ],
)
def test_each_rule_stops_what_it_should_and_nothing_else(article, rules, age, changes, stopped):
    (match,) = find_matches([article(age=age)], [score(1, topic(), 0.9)], [topic()])
    assert stopped_by(match, rules(**changes)) == stopped
    assert bool(select_matches([match], rules(**changes))) is (stopped is None)
    assert bool(decide_alerts([match], {}, rules(**changes))) is (stopped is None)


def test_topics_of_one_channel_share_an_alert_and_another_channel_has_its_own(article, rules):
    here, also_here, there = topic("aa"), topic("bb", channel="#policy"), topic("cc", channel="#other")
    scores = [score(1, here, 0.7), score(1, also_here, 0.9), score(1, there, 0.8)]
    matches = find_matches([article()], scores, [here, also_here, there])
    alerts = decide_alerts(matches, {(1, "bb"): Reason("bb", 0.9, "Because.", words=("exports",))}, rules())
    assert [(alert.channel, [reason.topic for reason in alert.reasons]) for alert in alerts] == [
        ("other", ["cc"]),
        ("policy", ["bb", "aa"]),
    ]
    assert [(reason.score, reason.sentence) for reason in alerts[1].reasons] == [(0.9, "Because."), (0.7, "")]
    assert alerts[1].reasons[0].words == ("exports",)


def test_alerts_come_in_order_of_publication_and_undated_or_future_ones_last(article, rules):
    ages = {
        1: None,
        2: timedelta(hours=1),
        3: timedelta(hours=5),
        4: timedelta(days=-9),
        5: timedelta(hours=5),
    }
    articles = [article(number, age=age) for number, age in ages.items()]
    matches = find_matches(articles, [score(number, topic(), 0.9) for number in ages], [topic()])
    assert [alert.article_id for alert in decide_alerts(matches, {}, rules())] == [3, 5, 2, 1, 4]


def test_an_alert_carries_what_people_need_and_starts_as_pending(article, rules, now):
    matches = find_matches([article()], [score(1, topic(), 0.9)], [topic()])
    (alert,) = decide_alerts(matches, {}, rules())
    assert (alert.title, alert.url, alert.outlet) == ("Headline 1", "https://news.example/1", "The Example")
    assert (alert.decided_at, alert.state, alert.attempts) == (now, "pending", 0)
    assert alert.alert_id == alert_id_of(1, "policy")


@given(st.integers(0, 2**63 - 1), st.text(max_size=20), st.integers(0, 2**63 - 1), st.text(max_size=20))
def test_alert_ids_differ_exactly_when_the_article_or_the_channel_does(one, here, other, there):
    assert (alert_id_of(one, here) == alert_id_of(other, there)) is ((one, here) == (other, there))
    assert set(alert_id_of(one, here)) <= set("0123456789abcdef")


@given(st.permutations(range(6)))
def test_the_order_of_scores_changes_nothing(order):
    from datetime import UTC, datetime

    moment = datetime(2026, 3, 2, tzinfo=UTC)
    topics = [topic("aa"), topic("bb", channel="other"), topic("cc")]
    articles = [Article(n, None, "t", "", "o", "f", None, moment) for n in (1, 2)]
    scores = [score(n, of, 0.7 + n / 10) for n in (1, 2) for of in topics]
    rules = AlertRules(now=moment, default_channel="policy")
    expected = decide_alerts(find_matches(articles, scores, topics), {}, rules)
    shuffled = [scores[index] for index in order]
    assert decide_alerts(find_matches(articles[::-1], shuffled, topics[::-1]), {}, rules) == expected
    assert len(expected) == 4
