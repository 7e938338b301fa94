"""Feedback from Slack to labels, by the command and by a run's last step."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from flows.alerts.compose import compose_message
from flows.alerts.slack import SlackOutlet
from flows.feedback import sync_labels
from storage.alerts import DuckOutbox, store_alerts
from storage.database import Database
from storage.folder import history_path
from storage.labels import load_labels
from tocsin.cli.feedback import feedback as command
from tocsin.errors import DeliveryRefused, SettingsError
from tocsin.types import Alert, Ballot, Delivery, Reason

NOW = datetime.now(UTC)


@pytest.fixture
def alert():
    def make(number, channel):
        reasons = (Reason("export_controls", 0.9, ""), Reason("chips", 0.8, ""))
        return Alert(f"alert-{number}", number, channel, "News", None, "X", NOW, NOW, reasons)

    return make


@pytest.fixture
def database(tmp_path, monkeypatch):
    for name in ("TOCSIN_CONFIG", "SLACK_BOT_TOKEN", "TOCSIN_FEEDBACK_DAYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return Database(history_path(tmp_path / "data"))


def deliver(database, *alerts):
    with database.write() as con:
        store_alerts(con, "run", alerts)
    DuckOutbox(database).record(*(Delivery(each.alert_id, NOW, "delivered", "1.0") for each in alerts))


def labels(database):
    with database.read() as con:
        return con.execute("SELECT topic, positive FROM labels ORDER BY ALL").fetchall()


def run_command(database, **environment):
    done = CliRunner().invoke(command, ["--json", "--data", str(database.path.parent)], env=environment)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, json.loads(done.output)


@pytest.mark.slack
def test_a_reaction_becomes_labels_and_leaves_with_them(database, slack_emulator, alert):
    name, channel_id = slack_emulator.create_channel()
    told = alert(1, name)
    outlet = SlackOutlet(slack_emulator.token, slack_emulator.base_url)
    ts = outlet.send(name, compose_message(told, now=NOW))
    deliver(database, told)
    settings = {"SLACK_BOT_TOKEN": slack_emulator.token, "TOCSIN_SLACK_API_URL": slack_emulator.base_url}
    slack_emulator.call("reactions.add", channel=channel_id, timestamp=ts, name="white_check_mark")
    code, found = run_command(database, **settings)
    assert (code, found["channels"], found["alerts"], found["added"]) == (0, 1, 1, 2)
    assert labels(database) == [("chips", True), ("export_controls", True)]
    assert run_command(database, **settings)[1]["added"] == 0
    with database.read() as con:
        # No article is stored, and nobody learns from nothing.
        assert load_labels(con, ["chips", "export_controls"]) == {}
    slack_emulator.call("reactions.remove", channel=channel_id, timestamp=ts, name="white_check_mark")
    assert run_command(database, **settings)[1]["removed"] == 2
    assert labels(database) == []


def test_without_a_bot_token_it_says_why_nothing_can_be_read(database):
    with pytest.raises(SettingsError, match="SLACK_BOT_TOKEN is not set"):
        run_command(database)


def test_a_channel_that_cannot_be_read_to_its_end_keeps_its_labels_and_others_go_on(database, alert):
    deliver(database, alert(1, "aa"), alert(2, "bb"))

    def good(channel, oldest):
        yield Ballot("alert-1" if channel == "aa" else "alert-2", channel, (("U1", True),))

    def broken_in_aa(channel, oldest):
        if channel == "aa":
            yield Ballot("alert-1", "aa", ())
            raise DeliveryRefused("not_in_channel", "Slack channel aa: not a member")
        yield Ballot("alert-2", "bb", ())

    assert sync_labels(database, good, days=7, now=NOW).added == 4
    found = sync_labels(database, broken_in_aa, days=7, now=NOW)
    assert (found.channels, found.removed, found.problems) == (1, 2, ["Slack channel aa: not a member"])
    assert len(labels(database)) == 2
