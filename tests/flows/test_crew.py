"""Runs whose shards are polled and embedded by others: real feeds, encoder and DuckDB; no cluster."""

import io
import logging
import pickle
from contextlib import ExitStack
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_network
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from flows.alerts.console import ConsoleOutlet
from flows.crew import embed_apart
from flows.feeds.options import PollOptions
from flows.newsroom import Newsroom
from flows.pipeline import run_steps
from flows.run import MonitorOptions, MonitorRun
from flows.shard_work import PollJob, _encoder, embed_texts, poll_shard
from models.encode import load_encoder
from storage.database import Database
from tocsin.encoder_setup import EncoderSetup
from tocsin.errors import ModelError, SettingsError, WorkerLost
from tocsin.logging import LogLine, collecting_log, replay_log
from tocsin.types import Feed, FetchFailed, NotModified

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
PATHS = ("/world-desk/rss.xml", "/kestrel-post/rss.xml")
ITEM = """<item><title>{title}</title><link>https://fresh.example/{number}</link>
<guid>https://fresh.example/{number}</guid><pubDate>Sat, 21 Nov 2026 20:00:00 GMT</pubDate></item>"""
TITLES = (
    "Parliament bans the Chinese chatbot app from all government phones",
    "Swimming pool reopens after a year of repairs",
    "Chip maker loses its licence to export accelerators to three countries",
    "Regulator fines a broker for selling the location data of patients",
    "Laboratory publishes the weights of its newest language model",
    "Village choir celebrates a hundred years of singing",
    "Grid operator refuses power to a second data centre near the capital",
    "Court strikes down the rule on automated hiring",
)
# What a run stores that no clock has a part in.
QUERIES = (
    "SELECT url, etag, last_modified, body_hash, failures, distrust_304_at IS NULL FROM feeds ORDER BY ALL",
    "SELECT feed_url, outcome, status, severity, reason, entries, new_articles FROM fetches ORDER BY ALL",
    "SELECT article_id, url, title, summary, outlet, feed_url, language FROM articles ORDER BY ALL",
    "SELECT feed_url, article_id, guid, title FROM entries ORDER BY ALL",
    # A score's last bits hang on how many rows a product of matrices has.
    "SELECT article_id, topic, topic_version, head, round(score, 5) AS score FROM scores ORDER BY ALL",
    "SELECT article_id, embedding FROM embeddings ORDER BY ALL",
    "SELECT article_id, story_id FROM story_articles ORDER BY ALL",
    "SELECT alert_id, channel FROM alerts ORDER BY ALL",
)


class Done:
    def __init__(self, work, job, events):
        self.work, self.job, self.events = work, job, events

    def result(self):
        """Answer as a process elsewhere would: job and answer go there and back as bytes."""
        self.events.append(("given", self.job))
        return pickle.loads(pickle.dumps(self.work(pickle.loads(pickle.dumps(self.job)))))


class Lost:
    def result(self):
        raise WorkerLost("worker ended twice")


class HereCrew:
    """Does every job when its answer is asked for; `events` holds what was started and given."""

    def __init__(self, *, shard_feeds=2, shard_texts=2, slots=2, loses=lambda job: False):
        self.shard_feeds, self.shard_texts = shard_feeds, shard_texts
        self._slots, self._loses = slots, loses
        self.polls, self.embeds, self.events = [], [], []

    def slots(self):
        return self._slots

    def poll(self, job):
        self.polls.append(job)
        self.events.append(("poll", job))
        return Lost() if self._loses(job) else Done(poll_shard, job, self.events)

    def embed(self, job):
        self.embeds.append(job)
        return Lost() if self._loses(job) else Done(embed_texts, job, [])


@pytest.fixture(autouse=True)
def _encoder_loaded_once(monkeypatch):
    monkeypatch.setattr("models.encode.load_encoder", cache(load_encoder))


@pytest.fixture
def newsrooms():
    """Four servers, each a host of its own, with two feeds of one new article each."""
    with ExitStack() as stack:
        rooms = [stack.enter_context(Newsroom(anchor=MIDNIGHT, port=0)) for _ in range(4)]
        for number, title in enumerate(TITLES):
            room, path = rooms[number // 2], PATHS[number % 2]
            item = ITEM.format(title=title, number=number)
            body = f"<rss version='2.0'><channel><title>Paper {number}</title>{item}</channel></rss>"
            room.publish(path, body.encode(), content_type="application/rss+xml")
        yield rooms


@pytest.fixture
def feeds(newsrooms):
    return tuple(Feed(room.url(path)) for room in newsrooms for path in PATHS)


@pytest.fixture
def make_run(tmp_path):
    def make(feeds, *, crew=None, name="data", hours=0, **chosen):
        now = MIDNIGHT + timedelta(hours=hours)
        screen = ConsoleOutlet(Console(file=io.StringIO()))
        network = (ip_network("127.0.0.1/32"),)
        (tmp_path / name).mkdir(exist_ok=True)
        options = MonitorOptions(
            feeds=feeds,
            topics=None,
            channel="console",
            operator_channel="console",
            poll=PollOptions(allow_networks=network),
            baseline=False,
            poll_all=True,
            **chosen,
        )
        run = MonitorRun(
            db=Database(tmp_path / name / "tocsin.duckdb"),
            options=options,
            outlet_for=lambda _: screen,
            clock=lambda: now,
            run_id=f"run-{hours}",
        )
        run.crew = crew
        return run

    return make


@pytest.fixture
def go(make_run):
    def go(*arguments, **chosen):
        run = make_run(*arguments, **chosen)
        run_steps(run)
        return run

    return go


def stored(run):
    with run.db.read() as con:
        return [con.execute(query).fetchall() for query in QUERIES]


def counts(run):
    report = run.report.to_dict()
    return {
        name: report[name] for name in ("fetched", "not_modified", "failed", "entries", "matches", "alerts")
    }


def test_a_crew_stores_the_same_rows_as_a_run_alone(go, feeds, newsrooms):
    feeds = (*feeds, Feed(newsrooms[0].url("/no-such-feed")), Feed("http://10.0.0.1/private.xml"))
    crew = HereCrew()
    alone, apart = go(feeds, name="alone"), go(feeds, crew=crew, name="apart")
    assert (len(crew.polls), len(crew.embeds)) == (6, 0)
    assert stored(apart) == stored(alone)
    assert counts(apart) == counts(alone)
    assert apart.report.alerts.decided >= 2


def test_the_next_run_asks_with_the_validators_that_were_stored(go, feeds):
    go(feeds, crew=HereCrew())
    again = go(feeds, crew=HereCrew(), hours=1)
    assert (again.report.not_modified, again.report.fetched) == (8, 0)
    assert all(isinstance(poll_shard(job).polled[0].outcome, NotModified) for job in again.crew.polls)


def test_so_few_feeds_that_one_shard_holds_them_are_polled_here(go, feeds):
    crew = HereCrew(shard_feeds=8)
    assert go(feeds, crew=crew).report.fetched == 8
    assert crew.polls == []


def test_hosts_that_were_slow_in_the_last_run_are_polled_together_in_the_next(go, feeds, newsrooms):
    slow = {newsrooms[number].url("/") for number in (1, 3)}
    first = go(feeds, crew=HereCrew(shard_feeds=4))
    with first.db.write() as con:
        con.execute("UPDATE fetches SET seconds = 0.1")
        for host in slow:
            con.execute("UPDATE fetches SET seconds = 9 WHERE starts_with(feed_url, ?)", [host])
    crew = HereCrew(shard_feeds=4)
    go(feeds, crew=crew, hours=1)
    asked = [
        {host for host in slow for feed, _ in job.requests if feed.url.startswith(host)} for job in crew.polls
    ]
    assert asked == [slow, set()]


def test_private_networks_are_refused_by_workers_too(go, feeds):
    refused = Feed("http://127.0.0.2:1/feed.xml")
    run = go((*feeds, refused), crew=HereCrew())
    assert [failure.reason for failure in run.report.failures] == ["forbidden_address"]


def test_feeds_whose_worker_was_lost_stay_due_and_are_polled_by_the_next_run(go, feeds, newsrooms):
    host = newsrooms[2].url("/")
    crew = HereCrew(loses=lambda job: any(feed.url.startswith(host) for feed, _ in job.requests))
    first = go(feeds, crew=crew)
    assert (first.report.lost_feeds, first.report.fetched, first.report.succeeded) == (2, 6, False)
    assert "2 feeds not polled" in first.report.to_line()
    with first.db.read() as con:
        due = con.execute("SELECT count(*) FROM feeds WHERE next_poll_at IS NULL").fetchone()
    assert due == (2,)
    assert go(feeds, crew=HereCrew(), hours=1).report.new_articles == 2


def test_shards_are_polled_ahead_but_those_of_one_host_wait_for_each_other(go, feeds, newsrooms):
    crew = HereCrew(slots=3)
    big = newsrooms[0].url("/")
    go((*feeds, *(Feed(f"{big}no-such-feed/{number}") for number in range(2))), crew=crew)
    of_big = [what for what, job in crew.events if all(feed.url.startswith(big) for feed, _ in job.requests)]
    assert of_big == ["poll", "given"] * 2
    assert [what for what, _ in crew.events[:3]] == ["poll"] * 3


def test_with_full_texts_nothing_is_polled_while_pages_are_read(go, feeds, monkeypatch):
    crew = HereCrew(slots=1)
    under_way = []

    def read(_run, _batch):
        kinds = [what for what, _ in crew.events]
        under_way.append(kinds.count("poll") - kinds.count("given"))

    monkeypatch.setattr("flows.judge._read_full_texts", read)
    go(feeds, crew=crew, full_text=True)
    assert under_way == [0, 0, 0, 0]


def test_a_host_that_asked_to_stop_is_left_alone_by_its_next_shard(go, newsrooms):
    room = newsrooms[0]
    paths = [f"/full-{number}.xml" for number in range(4)]
    for path in paths:
        room.publish(path, b"", status=429)
    run = go(tuple(Feed(room.url(path)) for path in paths), crew=HereCrew())
    outcomes = sorted(failure.reason for failure in run.report.failures)
    assert outcomes.count("host_paused") >= 2
    assert len([1 for path in room.requests if "/full-" in str(path)]) <= 2


def test_what_workers_log_is_in_the_log_of_the_run(go, feeds, caplog):
    caplog.set_level(logging.INFO, logger="flows")
    go(feeds[:3], crew=HereCrew())
    logged = [record.getMessage() for record in caplog.records]
    assert (
        len([line for line in logged if line.startswith("feed.fetched")]) == 2 * 3
    )  # here worker and run are one


def test_a_worker_keeps_only_the_lines_of_its_task_and_no_credentials():
    log = logging.getLogger("flows.feeds")
    with collecting_log(logging.INFO) as lines:
        log.info("feed.fetched feed=%s", "https://user:word@h.example/f")
        log.debug("too fine")
        copy_context().run(_outside, log)
    log.warning("afterwards")
    assert [line.message for line in lines] == ["feed.fetched feed=https://***@h.example/f"]


def _outside(log):
    with collecting_log(logging.INFO):
        log.info("of another task")


def test_a_replayed_line_keeps_its_time(caplog):
    caplog.set_level(logging.INFO, logger="flows")
    replay_log([LogLine("flows.feeds", logging.INFO, "100 % told", 12.5)])
    assert [(record.created, record.getMessage()) for record in caplog.records] == [(12.5, "100 % told")]


def test_texts_embedded_by_workers_are_the_same_to_the_bit(make_run):
    encoder = load_encoder()
    crew = HereCrew(shard_texts=3)
    done = []
    vectors = embed_apart(
        make_run((), crew=crew), encoder, TITLES, progress=lambda at, of: done.append((at, of))
    )
    assert np.array_equal(vectors, encoder.embed(TITLES))
    assert len(crew.embeds) == 3
    assert done == [(3, 8), (6, 8), (8, 8)]


def test_texts_whose_worker_was_lost_are_embedded_here(make_run):
    encoder = load_encoder()
    crew = HereCrew(shard_texts=3, loses=lambda job: TITLES[4] in job.texts)
    assert np.array_equal(embed_apart(make_run((), crew=crew), encoder, TITLES), encoder.embed(TITLES))


def test_a_worker_with_another_encoder_is_refused(make_run):
    encoder = load_encoder()
    encoder.revision = "another"
    with pytest.raises(ModelError, match="TOCSIN_ENCODER"):
        embed_apart(make_run((), crew=HereCrew(shard_texts=3)), encoder, TITLES)


def test_a_worker_that_may_start_no_processes_says_how_to_start_it(monkeypatch):
    monkeypatch.setattr("flows.shard_work.current_process", lambda: SimpleNamespace(daemon=True))
    with pytest.raises(SettingsError, match="DASK_DISTRIBUTED__WORKER__DAEMON=False"):
        poll_shard(PollJob([], options=PollOptions(), brakes={}, log_level=logging.INFO))


def test_an_outcome_survives_the_way_between_processes(go, feeds, newsrooms):
    crew = HereCrew()
    go((*feeds, Feed(newsrooms[0].url("/no-such-feed"))), crew=crew)
    answers = [Done(poll_shard, job, []).result() for job in crew.polls]
    failed = [
        each.outcome for answer in answers for each in answer.polled if isinstance(each.outcome, FetchFailed)
    ]
    assert [outcome.reason for outcome in failed] == ["http_404"]


def test_a_worker_runs_the_encoder_as_it_is_set_on_one_core(make_run, monkeypatch):
    opened = []

    def open_encoder(name, *, languages, setup):
        opened.append(setup)
        return load_encoder()

    monkeypatch.setattr("models.choose.open_encoder", open_encoder)
    _encoder.cache_clear()
    try:
        setup = EncoderSetup(("cpu",), threads=7, batch=3)
        run = make_run((), crew=HereCrew(shard_texts=3), encoder_setup=setup)
        embed_apart(run, load_encoder(), TITLES)
    finally:
        _encoder.cache_clear()
    assert opened == [EncoderSetup(("cpu",), threads=1, batch=3)]
