"""Retention: what was pruned never comes back as news, and runs go on with histories of any age."""

import io
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_network
from pathlib import Path

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))
from old_histories import LEVELS, write_history

from flows.alerts.console import ConsoleOutlet
from flows.feeds.options import PollOptions
from flows.newsroom import Newsroom
from flows.pipeline import run_steps
from flows.retention import prune_history, read_order
from flows.run import MonitorOptions, MonitorRun
from models.encode import load_encoder
from storage.database import Database
from storage.history_file import read_published
from storage.integrity import check_history
from storage.prune import KINDS, USUAL
from tocsin.errors import SettingsError, StorageError

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _encoder_loaded_once(monkeypatch):
    monkeypatch.setattr("models.encode.load_encoder", cache(load_encoder))


@pytest.fixture
def monitor(tmp_path):
    """Return a function that polls the sample newsroom at a time; give the run's report."""
    db = Database(tmp_path / "tocsin.duckdb")
    with Newsroom(anchor=MIDNIGHT, port=0) as newsroom:

        def run_once(now, *, baseline=True):
            options = MonitorOptions(
                feeds=newsroom.feeds,
                topics=None,
                channel="console",
                operator_channel="console",
                poll=PollOptions(allow_networks=(ip_network("127.0.0.1/32"),)),
                baseline=baseline,
                poll_all=True,
            )
            run = MonitorRun(
                db=db,
                options=options,
                outlet_for=lambda _: ConsoleOutlet(Console(file=io.StringIO())),
                clock=lambda: now,
                run_id=f"run-{now:%Y%m%d%H}",
            )
            run_steps(run)
            return run.report

        run_once.db = db
        yield run_once


def wrong(db):
    return [finding for finding in check_history(db) if finding.state == "wrong"]


def test_after_everything_was_pruned_the_same_feeds_bring_nothing_new_and_no_alert(monitor):
    first = monitor(MIDNIGHT, baseline=False)
    assert first.new_articles > 10
    assert first.alerts.decided > 0
    later = MIDNIGHT + timedelta(days=800)
    order = read_order("2y", later, what=KINDS)
    done = prune_history(monitor.db, order, run_id="prune", now=later)
    assert done.removed["articles"] > 10
    again = monitor(later)
    assert (again.new_articles, again.alerts.decided) == (0, 0)
    assert again.alerts.delivered == again.feed_warnings  # feeds that were silent for years, to the operator
    with monitor.db.read() as con:
        assert con.execute("SELECT count(*) FROM alerts WHERE topic IS NOT NULL").fetchall() == [
            (first.alerts.decided,)
        ]
    assert wrong(monitor.db) == []


@pytest.mark.duckdb_file("old files")
@pytest.mark.parametrize("level", [1, 8, LEVELS[-1]])
def test_the_next_run_works_on_a_history_of_any_level(level, monitor):
    write_history(monitor.db.path, level)
    report = monitor(MIDNIGHT)
    assert report.new_articles > 10
    assert report.publish_error is None
    with read_published(monitor.db.path.parent) as con:
        assert con.execute("SELECT count(*) FROM articles WHERE article_id <= 5").fetchall() == [(5,)]
    assert wrong(monitor.db) == []


def test_a_dry_run_counts_what_would_go_and_keeps_it(tmp_path):
    write_history(tmp_path / "tocsin.duckdb", LEVELS[-1])
    db = Database(tmp_path / "tocsin.duckdb")
    order = read_order("1y", MIDNIGHT)
    counted = prune_history(db, order, run_id="prune", now=MIDNIGHT, dry_run=True)
    with db.read() as con:
        assert con.execute("SELECT count(*) FROM articles").fetchall() == [(5,)]
    done = prune_history(db, order, run_id="prune", now=MIDNIGHT)
    assert done.removed == counted.removed
    assert counted.removed["articles"] == 2  # 1 and 3 were told, 2 is labelled
    with db.read() as con:
        [(flow, state)] = con.execute("SELECT flow, state FROM runs WHERE run_id = 'prune'").fetchall()
    assert (flow, state) == ("prune", "completed")


def test_what_cannot_be_compacted_or_published_is_reported_and_stays_pruned(tmp_path, monkeypatch):
    write_history(tmp_path / "tocsin.duckdb", LEVELS[-1])
    db = Database(tmp_path / "tocsin.duckdb")

    def refuse(*_arguments, **_named):
        raise StorageError("the disk is full")

    monkeypatch.setattr("flows.retention.compact", refuse)
    monkeypatch.setattr("flows.retention.publish", refuse)
    done = prune_history(db, read_order("1y", MIDNIGHT), run_id="prune", now=MIDNIGHT)
    assert (done.compact_error, done.publish_error) == ("the disk is full", "the disk is full")
    with db.read() as con:
        assert con.execute("SELECT count(*) FROM articles").fetchall() == [(3,)]


@pytest.mark.parametrize(("age", "days"), [("92d", 92), ("60w", 420), ("2y", 730)])
def test_ages_are_whole_days(age, days):
    order = read_order(age, MIDNIGHT + timedelta(hours=13))
    assert order.before == MIDNIGHT - timedelta(days=days)
    assert order.what == USUAL


@pytest.mark.parametrize("age", ["", "91d", "2", "y", "2 years", "0y", "-2y", "13w"])
def test_an_age_that_is_none_or_too_young_is_refused(age):
    with pytest.raises(SettingsError, match="at least 92 days"):
        read_order(age, MIDNIGHT)


def test_an_unknown_kind_is_refused():
    with pytest.raises(SettingsError, match="alerts"):
        read_order("2y", MIDNIGHT, what=["alerts"])
