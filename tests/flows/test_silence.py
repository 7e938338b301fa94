"""The dead man's alert: once an episode, whatever is wrong with the history, and never without cause."""

from datetime import UTC, datetime, timedelta

import pytest

from flows.silence import Tools, tell_silence
from storage.database import Database
from storage.folder import history_path, lock_data_folder
from storage.runs import finish_run, start_run
from storage.silence import FILE_NAME
from tocsin.errors import DeliveryDelayed, DeliveryUncertain
from tocsin.settings import Settings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Outlet:
    """An outlet that raises what it is told to, before or after it took the message."""

    name, list_above, weakness = "slack", None, None
    pace = settle = timedelta(0)

    def __init__(self):
        self.told, self.before, self.after = [], None, None

    def send(self, channel, message):
        if self.before:
            raise self.before
        self.told.append((channel, message.alerts[0]))
        if self.after:
            raise self.after
        return "1.0"

    def find_delivered(self, channel, alert_ids, oldest, *, threads=()):
        if self.after:
            raise self.after
        return {alert.alert_id: "1.0" for _, alert in self.told if alert.alert_id in alert_ids}


@pytest.fixture
def outlet():
    return Outlet()


@pytest.fixture
def settings(tmp_path):
    return Settings(data=tmp_path / "data", operator_channel="#ops", slack_bot_token="xoxb-1")


@pytest.fixture
def look(settings, outlet):
    """Return a function that looks so many minutes after noon; a run must have succeeded within an hour."""

    def look_at(minute, **changes):
        now = NOW + timedelta(minutes=minute)
        tools = Tools(clock=lambda: now, wait=lambda _: None, outlet_for=lambda _: outlet)
        return tell_silence(settings.model_copy(update=changes), tools, max_age=HOUR)

    return look_at


@pytest.fixture
def succeed(settings):
    """Return a function that records a run that succeeded so many minutes after noon."""

    def record(minute):
        settings.data.mkdir(exist_ok=True)
        now = NOW + timedelta(minutes=minute)
        with Database(history_path(settings.data)).write() as con:
            start_run(con, f"run-{minute}", "monitor", now=now)
            finish_run(con, f"run-{minute}", "completed", report={}, now=now)

    return record


def test_an_episode_is_told_once_and_the_next_one_again(look, succeed, outlet):
    succeed(0)
    assert [look(minute).is_well for minute in (1, 59)] == [True, True]
    assert [look(minute).told for minute in (61, 76, 600)] == [True, False, False]
    succeed(610)
    assert look(615).is_well
    assert look(700).told
    assert [channel for channel, _ in outlet.told] == ["ops", "ops"]
    assert outlet.told[0][1].title.startswith("Monitoring has stopped: the last success was 61 minutes ago")
    assert outlet.told[0][1].alert_id != outlet.told[1][1].alert_id


def test_it_is_told_while_a_run_that_hangs_holds_the_lock(look, succeed, settings, outlet):
    succeed(0)
    with lock_data_folder(settings.data):
        assert look(90).told
    assert len(outlet.told) == 1


def test_a_history_that_cannot_be_opened_is_told_after_the_same_time(look, settings, outlet):
    settings.data.mkdir()
    history_path(settings.data).write_bytes(b"no database" * 1000)
    assert [look(minute).told for minute in (0, 30, 59, 60, 75)] == [False, False, False, True, False]
    assert "tocsin.duckdb" in outlet.told[0][1].title


def test_where_nothing_was_started_yet_nobody_is_told_at_once(look, outlet):
    assert not look(0).is_well
    assert outlet.told == []


def test_what_slack_did_not_take_is_told_later(look, succeed, outlet):
    succeed(0)
    outlet.before = DeliveryDelayed("down", "Slack is down", retry_after=timedelta(minutes=10))
    first = look(61)
    assert (first.told, first.error) == (False, "Slack is down")
    outlet.before = None
    assert [look(minute).told for minute in (65, 76)] == [False, True]


def test_what_may_have_arrived_is_looked_for_before_it_is_told_again(look, succeed, outlet):
    succeed(0)
    outlet.after = DeliveryUncertain("timeout", "Slack did not answer")
    assert not look(61).told
    outlet.after = None
    assert look(180).told
    assert len(outlet.told) == 1


def test_a_file_that_cannot_be_read_begins_the_episode_anew(look, succeed, settings, outlet):
    succeed(0)
    (settings.data / FILE_NAME).write_text('{"since": 3')
    assert look(61).told
    assert len(outlet.told) == 1


def test_in_quiet_hours_it_waits_as_other_warnings_do(look, succeed, outlet):
    succeed(0)
    hours = NOW.time(), (NOW + 2 * HOUR).time()
    assert [look(minute, quiet_hours=hours).told for minute in (61, 121)] == [False, True]
    assert len(outlet.told) == 1


def test_the_command_tells_the_console_once_where_there_is_no_slack(settings, succeed, monkeypatch):
    from click.testing import CliRunner

    from tocsin.cli import cli

    for name in ("SLACK_BOT_TOKEN", "TOCSIN_OPERATOR_CHANNEL"):
        monkeypatch.delenv(name, raising=False)
    succeed(-1_000_000)
    arguments = ["status", "--tell", "--max-age", "1", "--data", str(settings.data)]
    first, second = (CliRunner().invoke(cli, arguments) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (1, 1)
    assert "Monitoring has stopped: the last success was" in first.output
    assert "Monitoring has stopped" not in second.output
