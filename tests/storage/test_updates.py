"""Updates of messages in the history: what a message shows, and what became of its updates."""

from dataclasses import replace
from datetime import timedelta

import pytest

from storage.alerts import DuckOutbox, store_alerts
from storage.articles import store_articles
from storage.stories import store_ties
from storage.updates import load_told_messages, record_updates
from tocsin.telling import UpdateStep
from tocsin.types import Delivery, StoryTie


@pytest.fixture
def story(database, make_article, now):
    """Put articles of one story (id 1) into the history, one for each outlet."""

    def put(*outlets, first=1):
        articles = [
            replace(make_article(number), outlet=outlet) for number, outlet in enumerate(outlets, start=first)
        ]
        with database.write() as con:
            store_articles(con, "run", articles=articles, sightings=(), keys={})
            store_ties(con, "run", [StoryTie(each.article_id, 1, None) for each in articles])

    return put


@pytest.fixture
def tell(database, make_alert, now):
    """Store an alert and have it delivered as the message with that ts."""

    def run(alert_id="a", *, ts="1.0", at=None, outlets=1, **changes):
        made = replace(make_alert(alert_id), **{"story_id": 1, "article_id": 1, "outlet": "Alpha"} | changes)
        with database.write() as con:
            store_alerts(con, "run", [made])
        outbox = DuckOutbox(database)
        outbox.record(Delivery(alert_id, at or now, "sending", outlets=outlets))
        outbox.record(Delivery(alert_id, at or now, "delivered", ts))

    return run


@pytest.fixture
def load(database, now):
    def run(since=timedelta(days=7)):
        with database.read() as con:
            return load_told_messages(con, now - since)

    return run


def test_a_message_shows_what_it_named_when_it_was_sent_whatever_came_between(story, tell, load, now):
    story("Alpha", "Beta")
    tell(outlets=2)
    story("Gamma", "beta", first=3)
    (told,) = load()
    assert (told.alert.also_in, told.outlets, told.shown) == (("Beta", "Gamma"), 3, 2)
    assert (told.message_ts, told.told_at, told.shown_at, told.state) == ("1.0", now, now, None)


def test_only_first_messages_of_one_story_are_brought_up_to_date(story, tell, load, now):
    story("Alpha", "Beta")
    tell("old", at=now - timedelta(days=8))
    tell("topic", ts="2.0", article_id=2, cause="topic")
    tell("warning", ts="3.0", article_id=3, story_id=None)
    for number, name in enumerate(("list-1", "list-2"), start=4):
        tell(name, ts="4.0", article_id=number, story_id=number)
    assert load() == []
    tell("first", ts="5.0", article_id=6)
    assert [each.alert.alert_id for each in load()] == ["first"]


def test_a_step_is_remembered_until_the_next(database, story, tell, load, now):
    story("Alpha", "Beta", "Gamma")
    tell()

    def record(state, minutes, **changes):
        step = UpdateStep("a", now + timedelta(minutes=minutes), state, **{"outlets": 3} | changes)
        with database.write() as con:
            record_updates(con, [step])
        return load()

    (told,) = record("pending", 20)
    assert (told.state, told.shown, told.shown_at) == ("pending", 1, now)
    retry_at = now + timedelta(minutes=30)
    (told,) = record("pending", 21, error="Slack channel policy: wait", retry_at=retry_at)
    assert (told.state, told.shown, told.retry_at) == ("pending", 1, retry_at)
    (told,) = record("shown", 31)
    assert (told.state, told.shown, told.shown_at, told.retry_at) == (
        "shown",
        3,
        now + timedelta(minutes=31),
        None,
    )
    assert record("ended", 50, error="Slack channel policy: deleted") == []
    with database.read() as con:
        rows = con.execute("SELECT state, attempts, error FROM message_updates").fetchall()
    assert rows == [("ended", 3, "Slack channel policy: deleted")]


def test_a_development_is_loaded_with_the_message_that_told_the_story(database, tell, make_alert, now):
    tell("first")
    tell("list-1", ts="2.0", article_id=2, story_id=2)
    tell("list-2", ts="2.0", article_id=3, story_id=3)
    further = {
        "same": {"story_id": 1, "cause": "topic"},
        "elsewhere": {"story_id": 1, "cause": "topic", "channel": "other"},
        "of-a-list": {"story_id": 2, "cause": "coverage"},
        "untold": {"story_id": 9, "cause": "topic"},
        "new": {"story_id": 8, "cause": "story"},
    }
    made = [
        replace(make_alert(name), article_id=number, **changes)
        for number, (name, changes) in enumerate(further.items(), start=10)
    ]
    with database.write() as con:
        store_alerts(con, "run", made)
    threads = {alert.alert_id: alert.thread_ts for alert in DuckOutbox(database).load_due(now)}
    assert threads == {"same": "1.0", "elsewhere": None, "of-a-list": None, "untold": None, "new": None}
