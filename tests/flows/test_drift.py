"""The weekly report of drift: what it says, that it is told once, and that the outbox carries it."""

import io
import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from flows.alerts.console import ConsoleOutlet
from flows.alerts.deliver import deliver_alerts
from flows.drift import DriftReport, last_week, measure_drift, tell_week, write_drift
from flows.watch_drift import watch_drift
from models.drift import Drift
from storage.alerts import DuckOutbox
from storage.articles import store_articles
from storage.database import Database
from storage.drift import Days, Span
from storage.folder import history_path
from storage.scores import ScoreBlock, store_scores
from storage.topics import record_topics
from tocsin.cli.drift import drift as command
from tocsin.errors import StorageError
from tocsin.types import Article, Topic

WEDNESDAY = datetime(2026, 11, 18, 9, tzinfo=UTC)
TOPIC = Topic(name="cables", description="Cables under the sea.")


@pytest.fixture
def data(tmp_path, monkeypatch):
    for name in ("TOCSIN_CONFIG", "TOCSIN_OPERATOR_CHANNEL", "SLACK_BOT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def fill(data):
    """Return a function that fills a history: 60 articles a day to `now`; in the last whole week others."""

    def fill(now):
        monday = last_week(now.date()).since
        articles, values = [], []
        for age in range(45):
            day = now - timedelta(days=age)
            moved = monday <= day.date() < monday + timedelta(days=7)
            for number in range(60):
                outlet = "B" if moved and number % 2 else "A"
                key = age * 1000 + number
                articles.append(Article(key, None, f"T{key}", "", outlet, "f", None, day, "en"))
                values.append(0.9 if number % (3 if moved else 6) == 0 else 0.005)
        ids = [article.article_id for article in articles]
        block = ScoreBlock(
            ids, [TOPIC.name], [TOPIC.version], "enc", ["zero_shot-2"], np.array(values, np.float32)[:, None]
        )
        db = Database(history_path(data))
        with db.write() as con:
            record_topics(con, [TOPIC], run_id="run", now=now)
            store_articles(con, "run", articles=articles, sightings=[], keys={})
            store_scores(con, block, now)
        return db

    return fill


def outbox(db):
    with db.read() as con:
        return con.execute("SELECT channel, title, state FROM alerts ORDER BY decided_at").fetchall()


@pytest.mark.parametrize("day", range(16, 23))
def test_the_week_told_of_is_the_last_whole_one(day):
    found = last_week(date(2026, 11, day))
    assert (found.since, found.until) == (date(2026, 11, 9), date(2026, 11, 15))


def test_a_week_is_told_once_and_the_next_one_anew(fill):
    db = fill(WEDNESDAY)
    told = [
        tell_week(db, channel="#ops", run_id=f"run-{hours}", now=WEDNESDAY + timedelta(hours=hours))
        for hours in (0, 1, 4 * 24, 7 * 24)
    ]
    assert [(each.week, each.is_new) for each in told] == [
        ("2026-W46", True),
        ("2026-W46", False),
        ("2026-W46", False),
        ("2026-W47", True),
    ]
    assert [row[0] for row in outbox(db)] == ["ops", "ops"]
    with db.read() as con:
        runs = con.execute("SELECT flow, state, report ->> 'week' FROM runs ORDER BY started_at").fetchall()
    assert runs == [("watch_drift", "completed", each.week) for each in told]


def test_the_message_says_what_moved_and_the_outbox_delivers_it(fill):
    db = fill(WEDNESDAY)
    told = tell_week(db, channel="console", run_id="run-1", now=WEDNESDAY)
    assert told.message == (
        "Drift, 09 Nov to 15 Nov 2026, 420 articles: outlets moved (A 100.0% → 50.0%, B 0.0% → 50.0%); "
        "scores of cables moved a little (matches 16.7% → 33.3%); 1 steady"
    )
    screen = io.StringIO()
    deliver_alerts(
        DuckOutbox(db),
        lambda _: ConsoleOutlet(Console(file=screen, width=400)),
        clock=lambda: WEDNESDAY,
        wait=pytest.fail,
        max_wait=timedelta(0),
    )
    assert told.message in screen.getvalue()
    assert [state for _, _, state in outbox(db)] == ["delivered"]


def test_only_the_largest_moves_are_told_in_words():
    days = Days(date(2026, 11, 9), date(2026, 11, 15), 28)
    span = Span(days=7, articles=700, scores={}, matches={}, languages={}, outlets={})
    shares = (("A", 0.5, 0.6),)
    found = [Drift(f"m{i}", "moved", 700, 700, 0.3 + i, 0.01, shares) for i in range(7)]
    rare = Drift("few", "too little data", 3, 3, None, None)
    message = write_drift(DriftReport(days, span, span, (*found, rare)))
    named = [f"m{i}" for i in range(7) if f"m{i} " in message]
    assert named == ["m4", "m5", "m6"]
    assert message.index("m6") < message.index("m4")
    assert message.endswith("4 more moved, 1 with too little data")


def test_the_flow_and_the_command_tell_the_same_week_once_between_them(fill, data):
    db = fill(datetime.now(UTC))
    message = watch_drift.fn(data)
    done = CliRunner().invoke(command, ["--report", "--json", "--data", str(data)])
    assert done.exit_code == 0, done.output
    assert "was told before" in done.stderr
    assert json.loads(done.stdout)["articles_now"] == 420
    assert [(row[0], row[1]) for row in outbox(db)] == [("console", message)]


def test_what_is_told_is_what_the_history_measures(fill):
    db = fill(WEDNESDAY)
    told = tell_week(db, channel="c", run_id="run-1", now=WEDNESDAY)
    assert told.report == measure_drift(db, last_week(WEDNESDAY.date()))


def test_without_a_history_there_is_nothing_to_report(data):
    with pytest.raises(StorageError, match="no history yet"):
        CliRunner().invoke(command, ["--report", "--data", str(data)], catch_exceptions=False)
    assert not history_path(data).exists()
