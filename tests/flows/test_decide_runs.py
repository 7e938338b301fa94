"""Runs that wait, hold and ration: outlets, quiet hours, budgets and mutes, on real DuckDB."""

import io
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from ipaddress import ip_network
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from flows.alerts.console import ConsoleOutlet
from flows.alerts.quiet import QuietHours
from flows.alerts.rules import AlertPolicy
from flows.alerts.tiers import OutletTiers
from flows.feeds.options import PollOptions
from flows.newsroom import Newsroom
from flows.pipeline import run_steps
from flows.run import MonitorOptions, MonitorRun
from models.encode import load_encoder
from models.topics import default_topics
from storage.database import Database

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
ITEM = """<item><title>{title}</title><link>https://{host}/{number}</link><guid>{host}/{number}</guid>
<pubDate>Sat, 21 Nov 2026 20:00:00 GMT</pubDate><description>{summary}</description></item>"""
BAN = "Parliament bans the Chinese chatbot app from all government phones"
BAN_SUMMARY = "Ministries must remove the app from official devices within a week, citing security concerns."
BAN_AGAIN = "Parliament bans Chinese chatbot app from all government phones"
FINE = "Regulator fines social network 300 million euros for sending personal data abroad"
FINE_SUMMARY = (
    "The data protection authority said users' personal data had been transferred without safeguards."
)
PLAIN = "Swimming pool reopens after a year of repairs"
(BANS,) = (topic for topic in default_topics() if topic.name == "device_bans")
(PRIVACY,) = (topic for topic in default_topics() if topic.name == "data_privacy")


class Sent(ConsoleOutlet):
    """An outlet that keeps what it is sent, and takes lists."""

    list_above = 20

    def __init__(self):
        super().__init__(Console(file=io.StringIO()))
        self.messages = []

    def send(self, channel, message):
        self.messages.append(message)
        return super().send(channel, message)


@pytest.fixture(autouse=True)
def _encoder_loaded_once(monkeypatch):
    monkeypatch.setattr("models.encode.load_encoder", cache(load_encoder))


@pytest.fixture
def newsroom():
    with Newsroom(anchor=MIDNIGHT, port=0) as server:
        yield server


@pytest.fixture
def serve(newsroom):
    """Return a function that serves (number, title, summary) items as an outlet's feed; give the Feed."""
    feeds = {}

    def publish(outlet, *items):
        feed = feeds.setdefault(outlet, newsroom.feeds[len(feeds)])
        host = f"{outlet.lower()}.example"
        body = "".join(ITEM.format(number=n, title=t, summary=s, host=host) for n, t, s in items)
        rss = f"<rss version='2.0'><channel><title>{outlet}</title>{body}</channel></rss>"
        path = feed.url.split("/", 3)[3]
        newsroom.publish(f"/{path}", rss.encode(), content_type="application/rss+xml")
        return replace(feed, outlet=outlet, title=outlet)

    return publish


@pytest.fixture
def monitor(tmp_path):
    """Return a function that makes one run over feeds at an hour of the day."""
    db = Database(tmp_path / "tocsin.duckdb")
    sent = Sent()

    def run_once(hour, *feeds, topics=(BANS,), policy=None, **chosen):
        now = MIDNIGHT + timedelta(hours=hour)
        options = MonitorOptions(
            feeds=feeds,
            topics=topics,
            channel="console",
            operator_channel="console",
            poll=PollOptions(allow_networks=(ip_network("127.0.0.1/32"),)),
            **{"baseline": False, "poll_all": True, **chosen},
            **({} if policy is None else {"policy": policy}),
        )
        run = MonitorRun(
            db=db, options=options, outlet_for=lambda _: sent, clock=lambda: now, run_id=f"run-{hour:03}"
        )
        run_steps(run)
        return run

    run_once.db, run_once.sent = db, sent
    return run_once


def rows(db, query):
    with db.read() as con:
        return con.execute(query).fetchall()


RULES = (
    "SELECT decisions.run_id, rule FROM decisions JOIN articles USING (article_id) "
    "ORDER BY decided_at, outlet, topic"
)


def test_a_story_waits_for_its_second_outlet_and_rings_with_the_first_article_in_a_later_run(monitor, serve):
    cautious = BANS.model_copy(update={"min_outlets": 2})
    one = serve("One", (1, BAN, BAN_SUMMARY))
    assert monitor(1, one, topics=(cautious,)).report.alerts.decided == 0
    assert monitor(2, one, topics=(cautious,)).report.alerts.decided == 0
    two = serve("Two", (1, BAN_AGAIN, BAN_SUMMARY))
    assert monitor(3, one, two, topics=(cautious,)).report.alerts.delivered == 1
    assert rows(monitor.db, "SELECT outlet, outlets FROM alerts") == [("One", 2)]
    assert rows(monitor.db, RULES) == [("run-001", "few_outlets"), ("run-003", "rings"), ("run-003", "rings")]
    assert monitor(4, one, two, topics=(cautious,)).report.alerts.decided == 0


def test_a_waiting_story_rings_although_the_later_article_matches_no_topic_itself(
    monitor, serve, monkeypatch
):
    cautious = BANS.model_copy(update={"min_outlets": 2})
    one = serve("One", (1, BAN, BAN_SUMMARY))
    monitor(1, one, topics=(cautious,))
    two = serve("Two", (1, BAN_AGAIN, BAN_SUMMARY))
    from flows import judge

    scored = judge._score

    def score_nothing(run, batch):
        scored(run, batch)
        batch.scores[:] = 0

    monkeypatch.setattr(judge, "_score", score_nothing)
    run = monitor(2, one, two, topics=(cautious,))
    assert (run.report.matches, run.report.alerts.delivered) == ({}, 1)
    (reasons,) = rows(monitor.db, "SELECT outlet, topics, len(reasons->>'$[0].sentence') > 0 FROM alerts")
    assert reasons == ("One", ["device_bans"], True)


def test_a_muted_outlet_neither_rings_nor_counts(monitor, serve):
    policy = AlertPolicy(tiers=OutletTiers(muted=frozenset({"two"})))
    cautious = BANS.model_copy(update={"min_outlets": 2})
    one, two = serve("One", (1, BAN, BAN_SUMMARY)), serve("Two", (1, BAN_AGAIN, BAN_SUMMARY))
    assert monitor(1, one, two, topics=(cautious,), policy=policy).report.alerts.decided == 0
    assert [rule for _, rule in rows(monitor.db, RULES)] == ["few_outlets", "outlet_muted"]


NIGHT = AlertPolicy(quiet=QuietHours(ZoneInfo("Europe/Berlin"), (time(22), time(7))))


def test_what_is_decided_at_night_waits_and_arrives_as_one_message_in_the_morning(monitor, serve):
    one = serve("One", (1, BAN, BAN_SUMMARY), (2, FINE, FINE_SUMMARY))
    night = monitor(1, one, topics=(BANS, PRIVACY), policy=NIGHT)
    assert (night.report.alerts.decided, night.report.alerts.delivered, night.report.alerts.pending) == (
        2,
        0,
        2,
    )
    assert night.report.succeeded
    assert {rule for _, rule in rows(monitor.db, RULES)} == {"rings_later"}
    held = rows(monitor.db, "SELECT DISTINCT CAST(retry_at AT TIME ZONE 'UTC' AS VARCHAR) FROM outbox")
    assert held == [("2026-11-22 06:00:00",)]
    assert monitor(5, one, policy=NIGHT).report.alerts.delivered == 0
    assert monitor(6, one, policy=NIGHT).report.alerts.delivered == 2
    assert len(monitor.sent.messages) == 1
    assert rows(monitor.db, "SELECT DISTINCT state FROM alerts") == [("delivered",)]


def test_an_alert_that_is_late_from_the_day_does_not_ring_at_night_either(monitor, serve):
    one = serve("One", (1, BAN, BAN_SUMMARY))
    monitor(1, one)
    with monitor.db.write() as con:
        con.execute("UPDATE alerts SET state = 'pending', delivered_at = NULL")
    assert monitor(2, one, policy=NIGHT).report.alerts.delivered == 0
    assert monitor(6, one, policy=NIGHT).report.alerts.delivered == 1


@pytest.mark.parametrize(("hold", "delivered"), [(True, 0), (False, 1)])
def test_warnings_wait_at_night_unless_they_are_not_held(monitor, serve, hold, delivered):
    one = serve("One", (1, BAN, BAN_SUMMARY))
    monitor(0, one, topics=(PRIVACY,))
    with monitor.db.write() as con:
        con.execute(
            "UPDATE feeds SET gone_at = '2026-11-20', failing_since = '2026-11-20', failures = 9, url = 'http://127.0.0.1:1/x'"
        )
    gone = replace(one, url="http://127.0.0.1:1/x")
    run = monitor(1, gone, topics=(PRIVACY,), policy=replace(NIGHT, hold_warnings=hold))
    assert (run.report.feed_warnings, run.report.alerts.delivered) == (1, delivered)
    assert monitor(6, gone, topics=(PRIVACY,), policy=NIGHT).report.alerts.delivered == 1 - delivered


def test_a_day_that_has_had_its_budget_lets_no_weaker_story_through_until_tomorrow(monitor, serve):
    thrifty = BANS.model_copy(update={"daily_budget": 1})
    one = serve("One", (1, BAN, BAN_SUMMARY))
    assert monitor(1, one, topics=(thrifty,)).report.alerts.decided == 1
    with monitor.db.write() as con:
        con.execute(
            """UPDATE alerts SET reasons = '[{"topic": "device_bans", "score": 1.0, "sentence": ""}]'"""
        )
    other = "Army bars soldiers from using Chinese made drones on its bases"
    two = serve("Two", (2, other, "The ministry bans the drones from all bases for security reasons."))
    assert monitor(2, one, two, topics=(thrifty,)).report.alerts.decided == 0
    assert rows(monitor.db, RULES)[-1] == ("run-002", "budget_spent")
    three = serve("Three", (3, "Ministry bans messaging app on officials' phones in Norway", other))
    assert monitor(25, one, two, three, topics=(thrifty,)).report.alerts.decided == 1


def test_a_muted_topic_is_stored_and_scored_and_rings_nobody(monitor, serve):
    muted = BANS.model_copy(update={"mute_until": MIDNIGHT + timedelta(days=1)})
    run = monitor(1, serve("One", (1, BAN, BAN_SUMMARY)), topics=(muted,))
    assert (run.report.matches, run.report.alerts.decided) == ({"device_bans": 1}, 0)
    assert rows(monitor.db, RULES) == [("run-001", "topic_muted")]


def test_only_close_articles_leave_a_trail(monitor, serve):
    monitor(1, serve("One", (1, BAN, BAN_SUMMARY), (2, PLAIN, "")), topics=default_topics())
    trail = rows(monitor.db, "SELECT title, topic, rule, alert_state FROM decision_trail WHERE rings")
    assert (BAN, "device_bans", "rings", "delivered") in trail
    scores = rows(
        monitor.db,
        "SELECT count(*) FILTER (WHERE score >= 0.4), (SELECT count(*) FROM decisions), "
        "count(*) FILTER (WHERE score >= 0.4 AND title LIKE 'Swimming%') "
        "FROM scores JOIN articles USING (article_id)",
    )
    ((close, decided, pool),) = scores
    assert close == decided
    assert pool == 0
