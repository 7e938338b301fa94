"""A topic that bursts is told once, with numbers, stories and terms; a feed that joins is no burst."""

import io
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from flows.alerts.compose import compose_message
from flows.alerts.console import ConsoleOutlet, render_console
from flows.alerts.rules import AlertPolicy
from flows.alerts.webhook import write_body
from flows.feeds.options import PollOptions
from flows.run import MonitorOptions, MonitorRun
from flows.spikes import make_alert, watch_spikes
from flows.tell import deliver_outbox
from storage.alerts import DuckOutbox
from storage.articles import store_articles
from storage.database import Database
from storage.feeds import save_feeds, save_states
from storage.scores import ScoreBlock, store_scores
from storage.spikes import SpikeQuestion, load_volumes
from storage.topics import record_topics
from tocsin.types import Article, Feed, FeedState, LeadingStory, Spike, Topic

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
TOPIC = Topic(name="chips", description="Chips and who may buy them.", channel="#chips")
OUTLETS = ("Alpha", "Beta", "Gamma")
FEEDS = tuple(Feed(f"https://{name.lower()}.example/rss") for name in OUTLETS)


@pytest.fixture
def db(tmp_path):
    """Nine weeks of three feeds: each twelve articles a day, one of which matches."""
    db = Database(tmp_path / "tocsin.duckdb")
    calm = [
        (
            outlet,
            f"Chip makers file report {n}",
            NOW - timedelta(hours=2 * n + 1),
            (n + n // 12 * 5) % 12 == 3,
        )
        for outlet in OUTLETS
        for n in range(12 * 63)
    ]
    with db.write() as con:
        record_topics(con, [TOPIC], run_id="run", now=NOW)
        save_feeds(con, FEEDS, NOW)
        save_states(con, [FeedState(feed.url, baseline_at=NOW - timedelta(days=70)) for feed in FEEDS])
    add(db, calm)
    return db


def add(db, told):
    """Store (outlet, title, first seen, is a match) as scored articles."""
    with db.write() as con:
        first = con.execute("SELECT count(*) FROM articles").fetchone()[0]
        articles = [
            Article(
                first + n,
                f"https://{o.lower()}.example/{n}",
                t,
                "",
                o,
                f"https://{o.lower()}.example/rss",
                None,
                at,
            )
            for n, (o, t, at, _) in enumerate(told)
        ]
        store_articles(con, "run", articles=articles, sightings=(), keys={})
        values = np.array([[0.9 if matches else 0.1] for *_, matches in told], np.float32)
        ids = [article.article_id for article in articles]
        store_scores(con, ScoreBlock(ids, ["chips"], [TOPIC.version], "enc", ["h"], values), NOW)


def burst(*outlets, at=NOW, size=12):
    return [
        (
            outlets[n % len(outlets)],
            f"Fire at Nordhaven chip plant, update {n}",
            at - timedelta(minutes=10 * n),
            True,
        )
        for n in range(size)
    ]


def make_run(db, *, now=NOW, **chosen):
    screen = io.StringIO()
    options = MonitorOptions(
        feeds=FEEDS,
        topics=None,
        channel="console",
        operator_channel="console",
        poll=PollOptions(),
        **{"spikes": "balanced", **chosen},
    )
    run = MonitorRun(
        db=db,
        options=options,
        outlet_for=lambda _: ConsoleOutlet(Console(file=screen, width=160)),
        clock=lambda: now,
        run_id="run",
    )
    run.topics, run.report.scored = (TOPIC,), 1
    return SimpleNamespace(run=run, screen=screen)


def watch(db, **chosen):
    made = make_run(db, **chosen)
    watch_spikes(made.run)
    return made.run.report.spikes


def test_a_burst_is_told_once_with_numbers_stories_and_terms(db):
    add(db, burst("Alpha", "Beta"))
    made = make_run(db)
    watch_spikes(made.run)
    watch_spikes(make_run(db, now=NOW + timedelta(hours=1)).run)
    deliver_outbox(made.run)
    said = made.screen.getvalue()
    assert said.count("Chips: 12 articles in 6 hours, about 1 is usual") == 1
    assert "2 outlets" in said
    assert "Fire at Nordhaven chip plant" in said
    assert "https://alpha.example/0" in said
    assert "Stands out:" in said
    assert "nordhaven" in said.split("Stands out:")[1]
    with db.read() as con:
        [told] = con.execute("SELECT topic, channel, cause, topics, state FROM alerts").fetchall()
        [kept] = con.execute("SELECT topic, matches, outlets, stories FROM spikes").fetchall()
    assert told == ("chips", "chips", "spike", [], "delivered")
    assert kept[:3] == ("chips", 12, 2)
    assert len(json.loads(kept[3])) == 3


def test_what_was_put_into_the_outbox_comes_out_whole(db):
    add(db, burst("Alpha", "Beta"))
    watch(db)
    [alert] = DuckOutbox(db).load_due(NOW)
    assert alert.spike == make_alert(alert.spike, channel="chips", now=NOW).spike
    assert alert.alert_id == make_alert(alert.spike, channel="chips", now=NOW + timedelta(hours=5)).alert_id


def test_calm_news_one_outlet_and_off_tell_nothing(db):
    assert watch(db) == 0
    add(db, burst("Alpha"))
    assert watch(db) == 0
    add(db, burst("Beta"))
    assert watch(db, spikes="off") == 0
    assert watch(db) == 1


def test_muted_outlets_and_topics_and_old_news_do_not_count(db):
    from flows.alerts.tiers import OutletTiers

    add(db, burst("Alpha", "Beta"))
    assert watch(db, policy=AlertPolicy(tiers=OutletTiers(muted=frozenset({"beta"})))) == 0
    made = make_run(db)
    made.run.topics = (TOPIC.model_copy(update={"mute_until": NOW + timedelta(days=1)}),)
    watch_spikes(made.run)
    assert made.run.report.spikes == 0


def test_a_feed_that_joins_with_a_backlog_of_the_topic_is_no_spike(db):
    add(db, burst("Delta", "Epsilon", size=40))
    assert watch(db) == 0


def test_many_times_as_many_articles_of_the_usual_mix_are_no_spike(db):
    more = [
        (outlet, f"Report {n}", NOW - timedelta(minutes=1 + 2 * n), n % 12 == 0)
        for outlet in OUTLETS
        for n in range(120)
    ]
    add(db, more)
    assert watch(db) == 0


def test_a_history_of_three_weeks_is_too_short(db):
    with db.write() as con:
        con.execute("DELETE FROM scores WHERE day < ?", [(NOW - timedelta(days=21)).date()])
    add(db, burst("Alpha", "Beta"))
    assert watch(db) == 0


def test_volumes_are_those_of_plain_counting(db):
    add(db, burst("Alpha", "Beta", size=5))
    with db.read() as con:
        volumes = {
            (hours, days): rest for _, hours, days, *rest in load_volumes(con, SpikeQuestion(NOW, ["chips"]))
        }
    matches, expected = volumes[24, 0]
    assert matches == 5 + 3
    usual = (28 + 5 * (63 * 3 + 5) / (57 * 36 + 5)) / (28 * 12 + 5)
    assert expected == pytest.approx((36 + 5) * usual, rel=0.01)
    assert volumes[6, 0][0] == 5
    assert volumes[6, 1][0] == 0
    assert max(days for _, days in volumes) == 56


HOSTILE = Spike(
    "chips", 6, 12, 0.2, 9.1, 2, NOW,
    (LeadingStory("<!channel> \u202eevil <script>", "javascript:alert(1)", "A*B_", 3),
     LeadingStory("", "https://ok.example/?a=1&b=<x>", "", 1)),
    ("<@U123>", "\x1b[31mred"),
)  # fmt: skip


def test_hostile_headlines_stay_text_in_every_outlet():
    alert = make_alert(HOSTILE, channel="chips", now=NOW)
    message = compose_message(alert, now=NOW)
    said = json.dumps(message.blocks)
    assert "javascript:" not in said
    assert "\\u202e" not in said
    assert "\\u001b" not in said
    assert "<" not in message.text
    screen = io.StringIO()
    Console(file=screen, width=100).print(render_console(alert, now=NOW))
    assert "\x1b" not in screen.getvalue()
    assert "usually hardly any" in screen.getvalue()
    assert json.loads(write_body(alert, channel="x"))["spike"]["matches"] == 12
