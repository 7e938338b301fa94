"""The outbox drained by itself: what waits is sent, and where nothing waits nothing happens."""

from datetime import UTC, datetime, timedelta

import pytest

from flows.drain import drain_outbox
from storage.alerts import store_alerts
from storage.database import Database
from storage.folder import history_path
from storage.history_file import read_published
from tocsin.settings import Settings
from tocsin.types import Alert

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path):
    return Settings(data=tmp_path / "data")


@pytest.fixture
def drain(settings):
    return lambda run_id: drain_outbox(settings, run_id=run_id, clock=lambda: NOW)


def ask(settings, query):
    with Database(history_path(settings.data)).read() as con:
        return con.execute(query).fetchall()


def store(settings, **fields):
    settings.data.mkdir(exist_ok=True)
    alert = Alert(
        "a-1", 1, "console", "Chips banned", None, "X", None, NOW - timedelta(hours=3), (), **fields
    )
    with Database(history_path(settings.data)).write() as con:
        store_alerts(con, "earlier", [alert])


def test_what_waits_is_sent_once_recorded_and_published(settings, drain, capsys):
    store(settings)
    assert drain("one").alerts.delivered == 1
    assert drain("two").alerts.delivered == 0
    assert capsys.readouterr().out.count("Chips banned") == 1
    assert ask(settings, "SELECT run_id, flow, state FROM runs") == [("one", "deliver", "completed")]
    with read_published(settings.data) as con:
        assert con.execute("SELECT state FROM alerts").fetchall() == [("delivered",)]


def test_what_is_held_back_stays(settings, drain):
    store(settings, hold_until=NOW + timedelta(hours=1))
    report = drain("one")
    assert (report.alerts.delivered, report.alerts.pending) == (0, 1)


def test_without_a_history_none_is_made(settings, drain):
    assert drain("one").alerts.delivered == 0
    assert not history_path(settings.data).exists()
