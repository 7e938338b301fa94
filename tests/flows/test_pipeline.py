"""Runs of `monitor` as plain functions: the sample newsroom on a real socket, a real encoder, real DuckDB."""

import io
import json
import shutil
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_network
from itertools import count

import numpy as np
import pytest
from rich.console import Console

from flows import pipeline
from flows.alerts.console import ConsoleOutlet
from flows.feeds.options import PollOptions
from flows.newsroom import Newsroom
from flows.pipeline import run_steps
from flows.run import MonitorOptions, MonitorRun
from models.encode import FOLDER, load_encoder
from models.topics import default_topics
from storage.database import Database
from tocsin.encoder_setup import EncoderSetup
from tocsin.errors import DeliveryDelayed, SettingsError, StorageError

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
ITEM = """<item><title>{title}</title><link>https://fresh.example/{number}</link>
<guid>https://fresh.example/{number}</guid><pubDate>Sat, 21 Nov 2026 20:00:00 GMT</pubDate>
<description>{summary}</description></item>"""
BAN = "Parliament bans the Chinese chatbot app from all government phones"
BAN_SUMMARY = "Ministries must remove the app from official devices within a week, citing security concerns."
VERBOT = "Bundestag verbietet die chinesische Chatbot-App auf allen Diensthandys"
VERBOT_SUMMARY = "Ministerien müssen die App binnen einer Woche löschen, der Sicherheit wegen."
PLAIN = "Swimming pool reopens after a year of repairs"


@pytest.fixture(autouse=True)
def _encoder_loaded_once(monkeypatch):
    monkeypatch.setattr("models.encode.load_encoder", cache(load_encoder))


@pytest.fixture
def newsroom():
    with Newsroom(anchor=MIDNIGHT, port=0) as server:
        yield server


@pytest.fixture
def serve(newsroom):
    """Return a function that serves a feed with the given (number, title, summary) items; give its Feed."""

    def publish(*items):
        body = "".join(ITEM.format(number=n, title=title, summary=summary) for n, title, summary in items)
        rss = f"<rss version='2.0'><channel><title>Fresh</title>{body}</channel></rss>"
        newsroom.publish("/world-desk/rss.xml", rss.encode(), content_type="application/rss+xml")
        return next(feed for feed in newsroom.feeds if "world-desk" in feed.url)

    return publish


@pytest.fixture
def monitor(tmp_path):
    """Return a function that makes one run over feeds, an hour after the one before; give the run."""
    db = Database(tmp_path / "tocsin.duckdb")
    hours = count()

    def run_once(*feeds, outlet=None, topics=None, baseline=True, poll_all=True, **chosen):
        now = MIDNIGHT + timedelta(hours=next(hours))
        console = outlet or ConsoleOutlet(Console(file=io.StringIO()))
        options = MonitorOptions(
            feeds=feeds,
            topics=topics,
            channel="console",
            operator_channel="console",
            poll=PollOptions(allow_networks=(ip_network("127.0.0.1/32"),)),
            baseline=baseline,
            poll_all=poll_all,
            **chosen,
        )
        run = MonitorRun(
            db=db, options=options, outlet_for=lambda _: console, clock=lambda: now, run_id=f"run-{now:%H}"
        )
        run_steps(run)
        return run

    run_once.db = db
    return run_once


def rows(db, query):
    with db.read() as con:
        return con.execute(query).fetchall()


def test_the_first_poll_of_a_feed_is_stored_and_scored_but_not_alerted(monitor, serve):
    report = monitor(serve((1, BAN, BAN_SUMMARY))).report
    assert report.new_articles == 1
    assert report.matches["device_bans"] == 1
    assert report.alerts.decided == 0


def test_what_a_known_feed_brings_next_is_alerted_once(monitor, serve):
    monitor(serve((1, PLAIN, "")))
    report = monitor(serve((1, PLAIN, ""), (2, BAN, BAN_SUMMARY))).report
    assert (report.alerts.decided, report.alerts.delivered) == (1, 1)
    assert monitor(serve((2, BAN, BAN_SUMMARY), (1, PLAIN, ""))).report.alerts.decided == 0


def test_an_edited_headline_is_the_same_article_and_rings_no_second_time(monitor, serve):
    monitor(serve((1, BAN, BAN_SUMMARY)), baseline=False)
    report = monitor(serve((1, f"UPDATE: {BAN}", BAN_SUMMARY))).report
    assert (report.fetched, report.new_articles, report.alerts.decided) == (1, 0, 0)
    titles = rows(monitor.db, "SELECT title FROM entries ORDER BY first_seen_at")
    assert titles == [(BAN,), (f"UPDATE: {BAN}",)]


def test_an_old_article_that_turns_up_late_is_stored_but_does_not_ring(monitor, serve, newsroom):
    feed = serve((1, BAN, BAN_SUMMARY))
    body = newsroom.body("/world-desk/rss.xml").replace(b"Sat, 21 Nov 2026", b"Sat, 07 Nov 2026")
    newsroom.publish("/world-desk/rss.xml", body, content_type="application/rss+xml")
    report = monitor(feed, baseline=False).report
    assert report.matches["device_bans"] == 1
    assert report.alerts.decided == 0


def test_a_feed_is_left_alone_until_it_is_due(monitor, serve, newsroom):
    feed = serve((1, PLAIN, ""))
    monitor(feed)
    monitor(feed, poll_all=False)
    requests = len(newsroom.requests)
    with monitor.db.write() as con:
        con.execute("UPDATE feeds SET next_poll_at = '2026-11-22 09:00:00+00'")
    assert monitor(feed, poll_all=False).report.not_due == 1
    assert len(newsroom.requests) == requests


def test_a_broken_feed_does_not_keep_the_others_from_being_stored(monitor, newsroom):
    run = monitor(*newsroom.feeds, baseline=False)
    assert run.report.failed == 2
    assert run.report.fetched == len(newsroom.feeds) - 2
    stored = rows(monitor.db, "SELECT outcome, count(*) FROM fetches GROUP BY outcome ORDER BY outcome")
    assert stored == [("failed", 2), ("new", len(newsroom.feeds) - 2)]


def test_an_alert_that_cannot_be_sent_waits_in_the_outbox_for_a_later_run(monitor, serve):
    class SlackThatIsDown(ConsoleOutlet):
        def send(self, channel, message):
            raise DeliveryDelayed("connect", "Slack does not answer", retry_after=timedelta(minutes=10))

    down = SlackThatIsDown(Console(file=io.StringIO()))
    report = monitor(serve((1, BAN, BAN_SUMMARY)), baseline=False, outlet=down).report
    assert (report.alerts.decided, report.alerts.delivered, report.alerts.pending) == (1, 0, 1)
    assert not report.succeeded
    report = monitor(serve((1, BAN, BAN_SUMMARY))).report
    assert (report.alerts.decided, report.alerts.delivered, report.alerts.pending) == (0, 1, 0)


def test_a_changed_topic_is_a_new_version_and_old_scores_keep_theirs(monitor, serve):
    (topic,) = (topic for topic in default_topics() if topic.name == "device_bans")
    changed = topic.model_copy(update={"threshold": 0.9})
    monitor(serve((1, BAN, BAN_SUMMARY)), topics=(topic,))
    monitor(serve((1, BAN, BAN_SUMMARY), (2, PLAIN, "")), topics=(changed,))
    versions = rows(monitor.db, "SELECT topic_version FROM scores ORDER BY scored_at")
    assert versions == [(topic.version,), (changed.version,)]
    assert monitor(serve((1, BAN, BAN_SUMMARY))).topics == (changed,)


def test_a_runs_sensitivity_decides_what_rings_and_leaves_the_topic_as_it_is(monitor, serve):
    (topic,) = (each for each in default_topics() if each.name == "device_bans")
    run = monitor(serve((1, BAN, BAN_SUMMARY)), topics=(topic,), baseline=False, sensitivity="more")
    assert rows(run.db, "SELECT threshold FROM decisions") == [(0.3,)]
    assert rows(run.db, "SELECT threshold, version FROM topics") == [(0.5, topic.version)]


def test_a_run_that_fails_is_recorded_with_its_error(monitor, serve, monkeypatch):
    def refuse(*_, **__):
        raise StorageError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.articles, "store_articles", refuse)
        with pytest.raises(StorageError, match="disk full"):
            monitor(serve((1, BAN, BAN_SUMMARY)), baseline=False)
    ((state, report),) = rows(monitor.db, "SELECT state, report FROM runs")
    assert state == "failed"
    assert "disk full" in report
    assert rows(monitor.db, "SELECT * FROM fetches") == []
    assert monitor(serve((1, BAN, BAN_SUMMARY)), baseline=False).report.alerts.decided == 1


def test_every_article_is_stored_with_its_vector_and_a_score_for_every_topic(monitor, newsroom):
    run = monitor(*newsroom.feeds, baseline=False)
    counts = rows(
        monitor.db,
        "SELECT (SELECT count(*) FROM articles), (SELECT count(*) FROM embeddings), "
        "(SELECT count(*) FROM scores)",
    )
    assert counts == [(run.report.new_articles,) * 2 + (run.report.new_articles * len(run.topics),)]
    assert rows(monitor.db, "SELECT count(*) FROM matches") == [(sum(run.report.matches.values()),)]


def test_an_article_in_a_language_that_is_not_covered_is_kept_and_marked_and_gets_no_score(monitor, serve):
    feed = serve((1, VERBOT, VERBOT_SUMMARY), (2, BAN, BAN_SUMMARY), (3, "Rain", ""))
    report = monitor(feed, baseline=False).report
    assert (report.new_articles, report.scored, report.unscored) == (3, 2, {"de": 1})
    assert report.alerts.decided == 1
    titles = "SELECT DISTINCT title FROM {} JOIN articles USING (article_id) ORDER BY title"
    scored = rows(monitor.db, titles.format("scores"))
    assert scored == [(BAN,), ("Rain",)]
    embedded = rows(monitor.db, titles.format("embeddings"))
    assert embedded == scored
    marked = rows(monitor.db, "SELECT title, reason, language FROM unscored_articles")
    assert marked == [(VERBOT, "language", "de")]


def test_a_run_that_brings_only_foreign_articles_scores_and_alerts_nothing(monitor, serve):
    report = monitor(serve((1, VERBOT, VERBOT_SUMMARY)), baseline=False).report
    assert (report.new_articles, report.scored, report.matches, report.alerts.decided) == (1, 0, {}, 0)
    assert rows(monitor.db, "SELECT count(*) FROM scores") == [(0,)]
    assert rows(monitor.db, "SELECT count(*) FROM unscored_articles") == [(1,)]


def test_an_encoder_that_does_not_fit_the_history_ends_the_run_before_any_feed_is_asked(
    monitor, serve, newsroom, monkeypatch
):
    class Wide:
        revision, dimensions = "wide-1", 768

    monkeypatch.setattr("models.choose.open_encoder", lambda name, **_: Wide())
    with pytest.raises(SettingsError, match=r"TOCSIN_ENCODER: wide gives 768 numbers .* holds 384"):
        monitor(serve((1, BAN, BAN_SUMMARY)), encoder="wide")
    assert newsroom.requests == []
    assert rows(monitor.db, "SELECT state FROM runs") == [("failed",)]


def test_a_provider_that_is_not_there_ends_the_run_before_any_feed_is_asked(monitor, serve, newsroom):
    setup = EncoderSetup(providers=("NoSuchExecutionProvider", "cpu"))
    with pytest.raises(SettingsError, match=r"TOCSIN_ENCODER_PROVIDERS: .* has no NoSuchExecutionProvider"):
        monitor(serve((1, BAN, BAN_SUMMARY)), encoder_setup=setup)
    assert newsroom.requests == []


def test_with_another_encoder_scores_are_kept_apart_and_the_report_names_the_head(monitor, serve, tmp_path):
    feed = serve((1, BAN, BAN_SUMMARY))
    monitor(feed)
    other = tmp_path / "other"
    shutil.copytree(FOLDER, other)
    manifest = other / "manifest.json"
    manifest.write_text(
        json.dumps({**json.loads(manifest.read_text()), "revision": "other-1", "languages": []})
    )
    run = monitor(serve((2, VERBOT, VERBOT_SUMMARY)), encoder=str(other))
    assert (run.report.heads, run.report.scored, run.report.unscored) == (["plain-1"], 1, {})
    assert rows(monitor.db, "SELECT DISTINCT encoder_revision, head FROM scores ORDER BY ALL") == [
        (load_encoder().revision, "fitted-2"),
        ("other-1", "plain-1"),
    ]


def test_a_cross_encoder_moves_doubtful_scores_only_and_is_named_with_them(monitor, serve, monkeypatch):
    class Sure:
        name = "nli-12345678"

        def judge(self, pairs):
            return np.ones(len(pairs))

    monkeypatch.setattr("models.second_opinion.load_second_reader", lambda name: Sure())
    report = monitor(
        serve((1, BAN, BAN_SUMMARY), (2, "Lawmakers weigh rules for chatbots", "")), baseline=False
    ).report
    before = rows(monitor.db, "SELECT article_id, topic, score FROM scores ORDER BY ALL")
    assert (report.refined, report.heads) == (0, [])
    doubtful = [row for row in before if 0.2 <= row[2] <= 0.8]
    assert doubtful
    with monitor.db.write() as con:
        for table in ("articles", "seen", "scores", "entries", "alerts", "feeds"):
            con.execute(f"DELETE FROM {table}")
    report = monitor(
        serve((1, BAN, BAN_SUMMARY), (2, "Lawmakers weigh rules for chatbots", "")),
        baseline=False,
        cross_encoder="tiny",
    ).report
    after = rows(monitor.db, "SELECT article_id, topic, score, head FROM scores ORDER BY ALL")
    moved = [row[:2] for row, old in zip(after, before, strict=True) if row[2] != old[2]]
    assert (
        moved
        == [row[:2] for row in doubtful]
        == [row[:2] for row in after if row[3] == "fitted-2+nli-12345678"]
    )
    assert (report.refined, report.heads) == (len(moved), ["fitted-2"])
    (reasons,) = rows(monitor.db, "SELECT string_agg(CAST(reasons AS VARCHAR)) FROM alerts")
    matched = rows(monitor.db, "SELECT count(*) FROM matches WHERE head LIKE '%nli%'")
    assert reasons[0].count("+nli-12345678") == matched[0][0] > 0


def test_a_cross_encoder_that_cannot_be_loaded_ends_the_run_before_any_feed_is_asked(
    monitor, serve, newsroom
):
    with pytest.raises(SettingsError, match="TOCSIN_CROSS_ENCODER: nowhere"):
        monitor(serve((1, BAN, BAN_SUMMARY)), cross_encoder="nowhere")
    assert newsroom.requests == []


def test_no_reason_is_empty_and_each_comes_from_its_article(monitor, newsroom):
    monitor(*newsroom.feeds, baseline=False)
    found = rows(
        monitor.db,
        """SELECT reason.sentence, articles.title, articles.summary FROM (
            SELECT article_id, unnest(from_json(reasons, '[{"sentence": "VARCHAR"}]')) AS reason FROM alerts
        ) JOIN articles USING (article_id)""",
    )
    assert len(found) >= 60
    assert not [row for row in found if not row[0] or row[0] not in f"{row[1]} {row[2]}"]


OTHER_WORDS = "Parliament votes to ban Chinese chatbot app from government phones"
OTHER_SUMMARY = (
    "The app must be removed from the official devices of ministries within a week over security concerns."
)


def test_another_outlet_with_a_told_story_joins_it_and_rings_nobody(monitor, serve, newsroom):
    first = serve((1, BAN, BAN_SUMMARY))
    assert monitor(first, baseline=False).report.alerts.decided == 1
    item = ITEM.format(number=2, title=OTHER_WORDS, summary=OTHER_SUMMARY)
    rss = f"<rss version='2.0'><channel><title>Second</title>{item}</channel></rss>"
    newsroom.publish("/kestrel-post/rss.xml", rss.encode(), content_type="application/rss+xml")
    second = next(feed for feed in newsroom.feeds if "kestrel-post" in feed.url)
    report = monitor(second, baseline=False).report
    assert report.new_articles == report.joined_stories == 1
    assert report.told_before >= 1
    assert report.alerts.decided == 0
    assert rows(monitor.db, "SELECT title, articles, outlets FROM stories") == [(BAN, 2, 2)]


def test_two_outlets_with_one_story_in_one_run_are_one_alert_that_names_both(monitor, serve, newsroom):
    item = ITEM.format(number=2, title=OTHER_WORDS, summary=OTHER_SUMMARY)
    rss = f"<rss version='2.0'><channel><title>Second</title>{item}</channel></rss>"
    newsroom.publish("/kestrel-post/rss.xml", rss.encode(), content_type="application/rss+xml")
    second = next(feed for feed in newsroom.feeds if "kestrel-post" in feed.url)
    screen = io.StringIO()
    run = monitor(
        serve((1, BAN, BAN_SUMMARY)),
        second,
        baseline=False,
        outlet=ConsoleOutlet(Console(file=screen, width=120)),
    )
    assert run.report.alerts.decided == run.report.alerts.delivered == 1
    assert screen.getvalue().count("also in ") == 1
    assert rows(monitor.db, "SELECT outlets FROM alerts") == [(2,)]
