"""The last step of a run: what it stored can be asked, and what cannot be published is said, not raised."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from flows import publish as module
from flows.alerts.console import ConsoleOutlet
from flows.feeds.options import PollOptions
from flows.pipeline import run_steps
from flows.run import MonitorOptions, MonitorRun
from storage.database import Database
from storage.history_file import published_path
from storage.query import query_published
from tocsin.errors import StorageError

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def run(tmp_path):
    console = ConsoleOutlet(Console(file=io.StringIO()))
    options = MonitorOptions(
        feeds=(), topics=None, channel="console", operator_channel="console", poll=PollOptions()
    )
    return MonitorRun(
        db=Database(tmp_path / "tocsin.duckdb"),
        options=options,
        outlet_for=lambda _: console,
        clock=lambda: NOW,
        run_id="run-1",
    )


def test_a_run_publishes_itself_last(run, tmp_path):
    run_steps(run)
    assert query_published(tmp_path, "SELECT run_id, state FROM runs").rows == [("run-1", "completed")]
    assert query_published(tmp_path, "SELECT count(*) FROM current_topics").rows == [(10,)]
    assert run.report.publish_error is None
    assert "publish" in run.report.seconds


def test_what_cannot_be_published_is_reported_and_does_not_fail_the_run(run, tmp_path, monkeypatch):
    def refuse(*_arguments, **_named):
        raise StorageError("data/history could not be written: the disk is full")

    monkeypatch.setattr(module, "publish", refuse)
    run_steps(run)
    assert run.report.succeeded
    assert "disk is full" in run.report.publish_error
    assert "disk is full" in run.report.to_markdown()
    with run.db.read() as con:
        assert con.execute("SELECT state FROM runs").fetchall() == [("completed",)]


def test_a_dry_run_publishes_nothing(run, tmp_path):
    run.report.dry_run = True
    run_steps(run)
    assert not published_path(tmp_path).exists()
