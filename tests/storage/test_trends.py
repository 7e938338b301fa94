"""Trends: right counts, corrected for feeds that died or joined, the same from aggregates and from scores."""

from datetime import date, timedelta

import numpy as np
import pytest

from storage.articles import store_articles
from storage.history_file import read_published
from storage.publish import publish
from storage.scores import ScoreBlock, store_scores
from storage.topics import record_topics
from storage.trends import load_trends

FEW, MANY = 0.1, 0.8  # shares of matches in ordinary feeds, and in the one that dies or joins
DAYS = 84


@pytest.fixture
def tell(con, make_article, make_topic, now):
    """Store days of news: for each feed a function from the day's number to (articles, matches)."""

    def tell(feeds, *, days=DAYS, topic="chips"):
        chosen = make_topic(topic)
        record_topics(con, [chosen], run_id="run", now=now)
        articles, values = [], []
        for name, habit in feeds.items():
            for day in range(days):
                count, matches = habit(day)
                for number in range(count):
                    seen_at = now - timedelta(days=days - 1 - day)
                    articles.append(
                        make_article(
                            1 + len(articles), first_seen_at=seen_at, feed_url=name, outlet=name.upper()
                        )
                    )
                    values.append(0.9 if number < matches else 0.1)
        store_articles(con, "run", articles=articles, sightings=(), keys={})
        block = ScoreBlock(
            [article.article_id for article in articles],
            [chosen.name],
            [chosen.version],
            "encoder",
            ["head"],
            np.array(values, np.float32)[:, None],
        )
        store_scores(con, block, now)
        return load_trends(con)

    return tell


def steady(day):
    return 20, 2


def around(trend, day):
    """The weeks before and after a day: (last of the week before it, a week into what came then)."""
    return trend[day - 1], trend[day + 7]


@pytest.mark.parametrize("event", ["died", "joined"])
def test_a_feed_that_died_or_joined_is_no_trend(event, tell):
    def shifting(day):
        is_there = day < 60 if event == "died" else day >= 60
        return (20, 16) if is_there else (0, 0)

    trend = tell({"a": steady, "b": steady, "c": steady, "shifting": shifting})
    before, after = around(trend, 60)
    raw = sum(after.matches for after in trend[60:67]) / sum(each.articles for each in trend[60:67])
    was = sum(each.matches for each in trend[53:60]) / sum(each.articles for each in trend[53:60])
    assert max(raw, was) > 2.5 * min(raw, was)  # uncorrected it looks like a trend
    assert after.corrected_share_7d == pytest.approx(before.corrected_share_7d, rel=0.05)
    assert all(abs(each.corrected_change_7d) < 0.05 for each in trend[54:74])
    assert all(abs(each.z_score) < 1 for each in trend[56:])


def test_a_feed_that_dies_within_the_newest_weeks_is_no_trend_either(tell):
    def dying(day):
        return (20, 16) if day < 74 else (0, 0)

    trend = tell({"a": steady, "b": steady, "dying": dying})
    assert trend[73].share > 3 * trend[74].share
    assert all(abs(each.corrected_change_7d) < 0.03 for each in trend[60:])
    assert {round(each.corrected_share / trend[30].corrected_share, 1) for each in trend} == {1.0}


def test_a_feed_that_posts_more_is_no_trend_but_more_matches_in_it_are(tell):
    quiet = tell({"a": steady, "loud": lambda day: (10, 8) if day < 70 else (40, 32)})
    assert quiet[80].share > 1.3 * quiet[60].share
    assert quiet[80].corrected_share == pytest.approx(quiet[60].corrected_share, rel=0.05)


def test_a_true_rise_in_every_feed_is_a_trend(tell):
    def rising(day):
        return 20, 2 if day < 77 else 6

    trend = tell({"a": rising, "b": rising})
    assert trend[83].corrected_change_7d == pytest.approx(2.0, abs=0.05)
    assert trend[77].z_score > 3
    assert trend[76].z_score == pytest.approx(0)


def test_counts_averages_and_changes_are_those_of_the_days(tell):
    trend = tell({"a": lambda day: (10, day % 7)}, days=35)
    last = trend[-1]
    assert (last.articles, last.matches, last.share) == (10, 34 % 7, pytest.approx(0.1 * (34 % 7)))
    assert last.matches_7d == pytest.approx(3)
    assert last.matches_28d == pytest.approx(3)
    assert last.corrected_change_7d == pytest.approx(0)
    assert [each.matches_7d is None for each in trend[:8]] == [True] * 6 + [False] * 2
    assert [each.matches_28d is None for each in trend[25:29]] == [True, True, False, False]


def test_days_of_feeds_that_are_all_gone_say_that_nothing_can_be_compared(tell):
    def old(day):
        return (9, 3) if day < 40 else (0, 0)

    def new(day):
        return (0, 0) if day < 40 else (9, 1)

    trend = tell({"old": old, "new": new})
    assert (trend[10].panel, trend[10].corrected_share) == (0, None)
    assert trend[10].share == pytest.approx(1 / 3)
    assert trend[60].panel == 1


def test_a_topic_that_never_matched_has_no_corrected_share_and_no_error(tell):
    assert {each.corrected_share for each in tell({"a": lambda day: (5, 0)})} == {None}


def test_the_worked_example_of_the_docs_holds(tell):
    """docs/trends.md: Alpha brings 90 articles a day of which 9 match, Beta 10 of which 8, until it dies."""
    trend = tell({"alpha": lambda day: (90, 9), "beta": lambda day: (10, 8) if day < 74 else (0, 0)})
    before, after = trend[73], trend[80]
    assert (before.share, after.share) == (pytest.approx(0.17), pytest.approx(0.1))
    assert before.corrected_share == pytest.approx(0.1470, abs=0.0001)
    assert after.corrected_share == pytest.approx(0.1454, abs=0.0001)


def test_topics_that_rise_together_are_found(con, make_article, make_topic, now):
    topics = [make_topic(name) for name in ("chips", "cables", "other")]
    record_topics(con, topics, run_id="run", now=now)
    articles, values = [], []
    for day in range(60):
        for number in range(10):
            articles.append(
                make_article(1 + len(articles), first_seen_at=now - timedelta(days=59 - day), feed_url="a")
            )
            wave = number < 2 + day % 5
            values.append([0.9 * wave, 0.9 * wave, 0.9 * (number < 2 + (day * 7) % 3)])
    store_articles(con, "run", articles=articles, sightings=(), keys={})
    ids = [article.article_id for article in articles]
    names, versions = [topic.name for topic in topics], [topic.version for topic in topics]
    store_scores(
        con, ScoreBlock(ids, names, versions, "encoder", ["h"] * 3, np.array(values, np.float32)), now
    )
    asked = "SELECT correlation, shared_share, days FROM co_topics WHERE topic = 'chips' AND with_topic = ?"
    assert con.execute(asked, ["cables"]).fetchall() == [(pytest.approx(1.0), 1.0, 60)]
    assert abs(con.execute(asked, ["other"]).fetchall()[0][0]) < 0.5


def test_hours_days_and_outlets_add_up(tell, con):
    tell({"a": steady, "b": lambda day: (3, 3)}, days=5)
    sums = {
        view: con.execute(f"SELECT sum(matches), sum(articles) FROM {view}").fetchall()[0]
        for view in ("topic_hourly", "topic_daily", "outlet_daily", "topic_trend", "topic_feed_days")
    }
    assert set(sums.values()) == {(5 * 5, 5 * 23)}
    newest = "SELECT outlet, share FROM outlet_daily WHERE day = (SELECT max(day) FROM outlet_daily)"
    assert con.execute(f"{newest} AND outlet = 'B'").fetchall() == [("B", 1.0)]


def test_trends_of_the_published_counts_are_those_of_all_scores(database, make_article, make_topic, now):
    topic = make_topic("chips")
    rng = np.random.default_rng(7)
    for run in range(4):
        ids = range(1 + run * 500, 501 + run * 500)
        articles = [
            make_article(
                number,
                first_seen_at=now - timedelta(hours=int(rng.integers(0, 24 * 100))),
                feed_url=f"f{number % 5}",
            )
            for number in ids
        ]
        values = rng.random((500, 1)).astype(np.float32)
        with database.write() as con:
            record_topics(con, [topic], run_id="run", now=now)
            store_articles(con, "run", articles=articles, sightings=(), keys={})
            block = ScoreBlock(list(ids), ["chips"], [topic.version], "encoder", ["head"], values)
            store_scores(con, block, now)
        publish(database, now=now)
    with database.read() as live, read_published(database.path.parent) as published:
        stored, seen = (con.execute("FROM topic_trend ORDER BY day").fetchall() for con in (live, published))
        since = load_trends(published, topics=["chips"], since=date(2025, 1, 20))
    assert len(stored) == len(seen) > 90
    for one, other in zip(stored, seen, strict=True):
        assert one[:4] == other[:4]
        assert one[4:] == tuple(pytest.approx(each, abs=1e-9) for each in other[4:])
    assert since[0].day == date(2025, 1, 20)
