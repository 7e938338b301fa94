"""Digests in the history: what a period brought, and that each is asked for and delivered once."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from storage.articles import store_articles
from storage.digests import (
    DigestOutbox,
    ask_for_digest,
    chart_days,
    load_digest_states,
    load_topic_digests,
    load_waiting,
)
from storage.scores import ScoreBlock, store_scores
from storage.stories import store_ties
from storage.topics import record_topics
from tocsin.errors import StorageError
from tocsin.telling import Digest, Period, TopStory
from tocsin.types import Delivery, StoryTie

MONDAY = datetime(2025, 1, 20, tzinfo=UTC)
WEEK = Period("weekly", "2025-W04", MONDAY, MONDAY + timedelta(days=7))
TOPICS = ["chips", "privacy"]


@pytest.fixture
def put(con, make_article, make_topic, now):
    """Store an article: id, story, outlet, days after that Monday, scores, how old it claims to be."""
    versions = record_topics(con, [make_topic(name) for name in TOPICS], run_id="run", now=now)

    def run(number, story, outlet, day, chips=0.9, privacy=0.0, *, age=0.0):
        seen_at = MONDAY + timedelta(days=day)
        article = replace(
            make_article(number),
            outlet=outlet,
            first_seen_at=seen_at,
            published_at=seen_at - timedelta(days=age),
        )
        store_articles(con, "run", articles=[article], sightings=(), keys={})
        store_ties(con, "run", [StoryTie(number, story, None)] if story else [])
        values = np.array([[chips, privacy]], np.float32)
        found = [versions[name] for name in TOPICS]
        store_scores(con, ScoreBlock([number], TOPICS, found, "rev", ["head", "head"], values), seen_at)

    return run


def test_a_topic_counts_its_stories_against_the_week_before(con, put):
    put(1, 1, "Alpha", 0)
    put(2, 1, "Beta", 1)
    put(3, 3, "Alpha", 6.99)
    put(4, None, "Gamma", 2, chips=0.4, privacy=0.8)  # belongs to no story: one of its own
    put(5, 5, "Alpha", -0.01)
    put(6, 5, "Beta", -7)
    put(7, 7, "Alpha", -7.01)
    put(8, 8, "Alpha", 7)
    chips, privacy = load_topic_digests(con, TOPICS, WEEK, top=3)
    assert (chips.topic, chips.stories, chips.stories_before, chips.articles) == ("chips", 2, 1, 3)
    assert (privacy.topic, privacy.stories, privacy.stories_before) == ("privacy", 1, 0)
    assert chips.daily == (1, 1, 0, 0, 0, 0, 1)
    assert privacy.daily == (0, 0, 1, 0, 0, 0, 0)
    assert [story.story_id for story in privacy.top] == [4]


def test_the_foremost_stories_have_most_outlets_then_the_best_score(con, put):
    put(1, 1, "Alpha", 0, 0.99)
    put(2, 2, "Alpha", 0.5, 0.70, age=0.2)
    put(3, 2, "Beta", 0.4, 0.80)
    put(4, 2, "beta", 0.6, 0.60)
    put(5, 5, "Alpha", 1, 0.95)
    (chips,) = load_topic_digests(con, ["chips"], WEEK, top=2)
    assert [(story.story_id, story.outlets, round(story.score, 2)) for story in chips.top] == [
        (2, 2, 0.8),
        (1, 1, 0.99),
    ]
    title = "Ministry widens chip licences, part 2"  # published first, though seen later
    assert chips.top[0] == TopStory(2, title, "https://news.example/2", "Alpha", 2, chips.top[0].score)


def test_a_feeds_past_is_no_news_of_the_week_that_we_first_saw_it_in(con, put):
    put(1, 1, "Alpha", 1, age=6.9)
    put(2, 2, "Alpha", 1, age=7.1)
    (chips,) = load_topic_digests(con, ["chips"], WEEK, top=3)
    assert (chips.stories, [story.story_id for story in chips.top]) == (1, [1])


def test_a_topic_without_matches_is_there_with_nothing(con, put):
    (only,) = load_topic_digests(con, ["unheard_of"], WEEK, top=3)
    assert (only.stories, only.stories_before, only.articles, only.top, only.daily) == (0, 0, 0, (), (0,) * 7)


def test_a_days_chart_shows_the_week_that_ends_with_it(con, put):
    put(1, 1, "Alpha", -4)
    put(2, 2, "Alpha", 2)
    day = Period("daily", "2025-01-22", MONDAY + timedelta(days=2), MONDAY + timedelta(days=3))
    (chips,) = load_topic_digests(con, ["chips"], day, top=3)
    assert (chips.stories, chips.daily) == (1, (1, 0, 0, 0, 0, 0, 1))
    assert chart_days(day)[0], chart_days(day)[-1] == (date(2025, 1, 16), date(2025, 1, 22))


@pytest.fixture
def digest():
    return Digest("id-1", "policy", WEEK, (), chart_days(WEEK))


def test_a_digest_is_asked_for_once_and_stays_delivered(database, digest, now):
    for minute in (0, 5):
        with database.write() as con:
            ask_for_digest(con, f"run-{minute}", digest, now + timedelta(minutes=minute))
    outbox = DigestOutbox(database, ["id-1"])
    (stand_in,) = outbox.load_due(now)
    assert (stand_in.alert_id, stand_in.channel, stand_in.decided_at) == ("id-1", "policy", now)
    outbox.record(Delivery("id-1", now, "sending"))
    outbox.record(Delivery("id-1", now, "sending", None, "no answer", now + timedelta(hours=1)))
    (stand_in,) = outbox.load_due(now)  # whoever asks again does not wait
    assert (stand_in.state, stand_in.attempts) == ("sending", 1)
    with database.read() as con:
        assert load_waiting(con, now - timedelta(days=9)) == [("policy", WEEK)]
        assert load_waiting(con, WEEK.until + timedelta(seconds=1)) == []
    outbox.record(Delivery("id-1", now, "delivered", "1.0"))
    outbox.record(Delivery("id-1", now, "failed", None, "late"))
    assert outbox.load_due(now) == []
    with database.read() as con:
        assert load_digest_states(con, ["id-1", "id-2"]) == {"id-1": ("delivered", None)}
        assert load_waiting(con, now - timedelta(days=9)) == []


def test_an_outbox_holds_the_digests_that_were_asked_for_and_no_others(database, digest, now):
    with database.write() as con:
        ask_for_digest(con, "run", digest, now)
    assert DigestOutbox(database, []).load_due(now) == []
    with pytest.raises(StorageError, match="never asked for"):
        DigestOutbox(database, []).record(Delivery("id-9", now, "sending"))
