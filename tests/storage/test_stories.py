"""Stories in the history: rows are only added; what is compared with new articles, what was told."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from storage.alerts import DuckOutbox, load_told, store_alerts
from storage.articles import store_articles
from storage.database import Database
from storage.scores import store_embeddings
from storage.stories import load_outlets, load_recent, store_ties
from tocsin.types import Alert, Reason, StoryTie, Told


@pytest.fixture
def put(con, make_article, now):
    """Store articles of (id, outlet, hours ago), each with a vector of its own."""

    def put(*wanted):
        articles = [
            replace(
                make_article(article_id),
                outlet=outlet,
                published_at=now - timedelta(hours=hours),
                first_seen_at=now,
            )
            for article_id, outlet, hours in wanted
        ]
        store_articles(con, "run", articles=articles, sightings=(), keys={})
        vectors = np.eye(384, dtype=np.float32)[[article_id for article_id, _, _ in wanted]]
        store_embeddings(con, "rev", [article.article_id for article in articles], vectors)

    return put


def alert(now, alert_id="a", *, story=1, topics=("chips",), **changes):
    fields = {
        "alert_id": alert_id,
        "article_id": story,
        "channel": "policy",
        "title": "Headline",
        "url": None,
        "outlet": "Alpha",
        "published_at": None,
        "decided_at": now,
        "reasons": tuple(Reason(topic, 0.9, "") for topic in topics),
        "story_id": story,
    }
    return Alert(**fields | changes)


def ask(con, query):
    return con.execute(query).fetchall()


def test_a_story_counts_its_articles_and_each_outlet_once(con, put):
    put((1, "Alpha", 5), (2, "Beta", 4), (3, "ALPHA", 3), (4, "Gamma", 2))
    assert (
        store_ties(con, "run", [StoryTie(1, 1), StoryTie(2, 1, 0.9), StoryTie(3, 1, 0.8), StoryTie(4, 4)])
        == 4
    )
    found = ask(con, "SELECT story_id, outlet, articles, outlets FROM stories ORDER BY story_id")
    assert found == [(1, "Alpha", 3, 2), (4, "Gamma", 1, 1)]
    assert load_outlets(con, [1, 9]) == {1: {"alpha", "beta"}}


def test_an_article_keeps_its_story_when_a_run_is_repeated(con, put):
    put((1, "Alpha", 5), (2, "Beta", 4))
    ties = [StoryTie(1, 1), StoryTie(2, 1, 0.9)]
    assert store_ties(con, "run", ties) == 2
    assert store_ties(con, "again", ties) == 0
    assert store_ties(con, "other", [StoryTie(2, 2)]) == 0
    assert ask(con, "SELECT DISTINCT story_id, run_id FROM story_articles") == [(1, "run")]


def test_an_article_from_before_there_were_stories_begins_one_when_another_joins_it(con, put):
    put((1, "Alpha", 5), (2, "Beta", 4))
    assert store_ties(con, "run", [StoryTie(2, 1, 0.9)]) == 1
    assert ask(con, "SELECT article_id, likelihood FROM story_articles ORDER BY ALL") == [(1, None), (2, 0.9)]


def test_recent_articles_come_oldest_first_with_their_vectors_and_stories(con, put, now):
    put((1, "Alpha", 5), (2, "Beta", 4), (3, "Gamma", 300))
    store_ties(con, "run", [StoryTie(1, 1)])
    articles, vectors = load_recent(con, "rev", now - timedelta(days=10))
    assert [(article.article_id, article.outlet, article.story_id) for article in articles] == [
        (1, "Alpha", 1),
        (2, "Beta", None),
    ]
    assert articles[0].at == now - timedelta(hours=5)
    assert vectors.dtype == np.float32
    assert vectors.argmax(axis=1).tolist() == [1, 2]


def test_of_too_many_recent_articles_the_newest_are_loaded(con, put, now):
    put((1, "Alpha", 5), (2, "Beta", 4), (3, "Gamma", 3))
    articles, vectors = load_recent(con, "rev", now - timedelta(days=10), limit=2)
    assert [article.article_id for article in articles] == [2, 3]
    assert vectors.argmax(axis=1).tolist() == [2, 3]


def test_articles_of_another_encoder_are_not_compared(con, put, now):
    put((1, "Alpha", 5))
    articles, vectors = load_recent(con, "newer", now - timedelta(days=10))
    assert articles == []
    assert vectors.shape == (0, 384)


def test_a_date_in_the_future_counts_as_when_we_saw_it(con, put, now):
    put((1, "Alpha", -48))
    (article,), _ = load_recent(con, "rev", now - timedelta(days=1))
    assert article.at == now


def test_a_channel_was_told_all_topics_of_all_alerts_of_a_story(con, now):
    first = alert(now, "a", topics=("chips", "safety"), outlets=2)
    further = alert(now, "b", topics=("privacy",), outlets=5, cause="topic", article_id=7)
    elsewhere = alert(now, "c", channel="risk", topics=("chips",), cause="coverage")
    assert store_alerts(con, "run", [first, further, elsewhere]) == 3
    assert load_told(con, [1, 2]) == {
        (1, "policy"): Told(frozenset({"chips", "safety", "privacy"}), outlets=5),
        (1, "risk"): Told(frozenset({"chips"}), outlets=1, for_coverage=True),
    }


def test_an_alert_from_before_there_were_stories_tells_the_story_of_its_article(con, now):
    store_alerts(con, "run", [alert(now, story=1, article_id=1)])
    con.execute("UPDATE alerts SET story_id = NULL, cause = NULL, outlets = NULL")
    assert load_told(con, [1]) == {(1, "policy"): Told(frozenset({"chips"}))}


def test_an_alert_in_the_outbox_names_the_other_outlets_of_its_story(make_article, now):
    outbox = DuckOutbox(Database(None))
    names = ["Alpha", "alpha", "Gamma", "Beta", "BETA"]
    articles = [replace(make_article(number), outlet=name) for number, name in enumerate(names, start=1)]
    with outbox._database.write() as con:
        store_articles(con, "run", articles=articles, sightings=(), keys={})
        store_ties(con, "run", [StoryTie(number, 1) for number in range(1, 6)])
        store_alerts(con, "run", [alert(now)])
    (found,) = outbox.load_due(now)
    assert [name.lower() for name in found.also_in] == ["beta", "gamma"]


def test_the_top_story_of_a_day_is_the_one_of_most_outlets(con, put, now):
    put((1, "Alpha", 5), (2, "Beta", 4), (3, "Gamma", 3))
    store_ties(con, "run", [StoryTie(1, 1), StoryTie(3, 1, 0.9), StoryTie(2, 2)])
    con.execute("INSERT INTO topics VALUES ('chips', 'v', '{}', 0.5, ?, 'run', NULL)", [now])
    for article_id, score in ((1, 0.6), (2, 0.95), (3, 0.7)):
        con.execute(
            "INSERT INTO scores VALUES (?, 'chips', 'v', 'rev', 'head', ?, ?, CAST(? AS DATE), true)",
            [article_id, score, now, now],
        )
    found = ask(con, "SELECT position, story_id, outlets, matches FROM top_stories ORDER BY position")
    assert found == [(1, 1, 2, 2), (2, 2, 1, 1)]
