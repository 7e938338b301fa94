"""Counts for drift: each article in its span and bin, and only scores of what scores a topic now."""

from datetime import timedelta

import numpy as np
import pytest

from storage.articles import store_articles
from storage.drift import Days, load_spans
from storage.scores import ScoreBlock, store_scores
from storage.topics import record_topics

EDGES = (0.1, 0.5)


@pytest.fixture
def days(now):
    return Days(since=(now - timedelta(days=6)).date(), until=now.date(), reference_days=28)


@pytest.fixture
def topic(con, make_topic, now):
    topic = make_topic(threshold=0.6)
    record_topics(con, [topic], run_id="run", now=now)
    return topic


@pytest.fixture
def store(con, make_article, now):
    """Store articles by their age in days; return their ids."""

    def store(ages, **changes):
        articles = [
            make_article(1000 * int(age) + number, first_seen_at=now - timedelta(days=age), **changes)
            for number, age in enumerate(ages)
        ]
        store_articles(con, "run", articles=articles, sightings=[], keys={})
        return [article.article_id for article in articles]

    return store


def put(con, ids, values, topic, now, *, head="fitted-1"):
    values = np.array(values, np.float32).reshape(-1, 1)
    store_scores(con, ScoreBlock(ids, [topic.name], [topic.version], "enc", [head], values), now)


def test_articles_fall_into_their_span_and_older_ones_into_none(con, store, days):
    store([0, 6, 7, 34, 35], language="en", outlet="A")
    before, now = load_spans(con, days, edges=EDGES)
    assert (before.articles, before.days, before.outlets) == (2, 2, {"A": 2})
    assert (now.articles, now.days, now.languages) == (2, 2, {"en": 2})


def test_an_article_without_a_language_is_counted_as_unknown(con, store, days):
    store([1])
    assert load_spans(con, days, edges=EDGES)[1].languages == {"unknown": 1}


def test_scores_are_counted_by_bin_and_an_edge_belongs_above(con, store, topic, days, now):
    put(con, store([1, 1, 1, 1]), [0.05, 0.1, 0.5, 0.9], topic, now)
    put(con, store([10, 11]), [0.6, 0.2], topic, now)
    before, after = load_spans(con, days, edges=EDGES)
    assert (after.scores, after.matches) == ({topic.name: [1, 1, 2]}, {topic.name: 1})
    assert (before.scores, before.matches) == ({topic.name: [0, 1, 1]}, {topic.name: 1})


def test_scores_of_another_head_or_definition_are_not_compared(con, store, topic, make_topic, days, now):
    put(con, store([10]), [0.9], topic, now - timedelta(days=10), head="zero_shot-1")
    put(con, store([11]), [0.9], topic, now - timedelta(days=9))
    edited = make_topic(description="Quite another thing, in other words.")
    record_topics(con, [edited], run_id="run-2", now=now)
    assert load_spans(con, days, edges=EDGES)[0].scores == {topic.name: [0, 0, 1]}
    put(con, store([1]), [0.2], edited, now)
    before, after = load_spans(con, days, edges=EDGES)
    assert before.scores == {topic.name: [0, 0, 0]}
    assert after.scores == {topic.name: [0, 1, 0]}


def test_scores_with_a_second_opinion_are_counted_with_those_of_their_head(con, store, topic, days, now):
    put(con, store([1]), [0.2], topic, now)
    put(con, store([2]), [0.7], topic, now, head="fitted-1+nli-12345678")
    put(con, store([3]), [0.7], topic, now, head="zero_shot-1+nli-12345678")
    put(con, store([0]), [0.05], topic, now + timedelta(hours=1))
    assert load_spans(con, days, edges=EDGES)[1].scores == {topic.name: [1, 1, 1]}


def test_scores_by_more_or_other_labels_are_counted_together_and_those_without_apart(
    con, store, topic, days, now
):
    put(con, store([3]), [0.2], topic, now, head="zero_shot-2")
    put(con, store([2]), [0.7], topic, now, head="few_label-1+zero_shot-2+labels-8-0a1b2c+nli-12345678")
    put(con, store([1]), [0.7], topic, now, head="few_label-1+zero_shot-2+labels-9-a0b1c2")
    put(
        con,
        store([0]),
        [0.05],
        topic,
        now + timedelta(hours=1),
        head="few_label-1+zero_shot-2+labels-9-ffffff",
    )
    assert load_spans(con, days, edges=EDGES)[1].scores == {topic.name: [1, 0, 2]}


def test_a_new_threshold_or_channel_changes_only_what_matches(con, store, topic, make_topic, days, now):
    put(con, store([10]), [0.7], topic, now - timedelta(days=10))
    moved = make_topic(threshold=0.8, channel="#other")
    record_topics(con, [moved], run_id="run-2", now=now)
    put(con, store([1]), [0.7], moved, now)
    before, after = load_spans(con, days, edges=EDGES)
    assert before.scores == after.scores == {topic.name: [0, 0, 1]}
    assert before.matches == after.matches == {topic.name: 0}


def test_a_score_that_was_replaced_is_not_counted(con, store, topic, days, now):
    ids = store([1])
    put(con, ids, [0.9], topic, now)
    put(con, ids, [0.2], topic, now, head="fitted-2")
    assert load_spans(con, days, edges=EDGES)[1].scores == {topic.name: [0, 1, 0]}


def test_an_article_scored_for_two_thresholds_is_counted_once(con, store, topic, make_topic, days, now):
    ids = store([1])
    put(con, ids, [0.7], topic, now - timedelta(hours=1))
    moved = make_topic(threshold=0.8)
    record_topics(con, [moved], run_id="run-2", now=now)
    put(con, ids, [0.7], moved, now)
    assert load_spans(con, days, edges=EDGES)[1].scores == {topic.name: [0, 0, 1]}


def test_scores_of_the_first_day_are_of_now_and_those_of_the_day_before_are_not(con, store, topic, days, now):
    put(con, store([6, 7, 34, 35]), [0.9, 0.2, 0.2, 0.2], topic, now)
    before, after = load_spans(con, days, edges=EDGES)
    assert after.scores == {topic.name: [0, 0, 1]}
    assert before.scores == {topic.name: [0, 2, 0]}


def test_an_empty_history_counts_nothing(con, days):
    before, now = load_spans(con, days, edges=EDGES)
    assert before == now
    assert (now.articles, now.scores, now.outlets) == (0, {}, {})
