"""The step that delivers: what channels refuse is told to the operator once per episode."""

from datetime import UTC, datetime, timedelta

import pytest

from flows.feeds.options import PollOptions
from flows.run import MonitorOptions, MonitorRun
from flows.tell import deliver_outbox
from storage.alerts import store_alerts
from storage.database import Database
from tocsin.errors import DeliveryRefused
from tocsin.types import Alert

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Workspace:
    """An outlet with channels that refuse; `told` are the titles by channel."""

    name, list_above, weakness = "slack", None, None
    pace = settle = timedelta(0)

    def __init__(self):
        self.refusing, self.told = set(), {}

    def send(self, channel, message):
        if channel in self.refusing:
            raise DeliveryRefused("is_archived", f"Slack channel {channel}: it is archived")
        self.told.setdefault(channel, []).extend(alert.title for alert in message.alerts)
        return "1.0"

    def find_delivered(self, channel, alert_ids, oldest, *, threads=()):
        return {}


@pytest.fixture
def slack():
    return Workspace()


@pytest.fixture
def deliver(tmp_path, slack):
    """Return a function that stores an alert (number, channel) and delivers, some minutes after the last."""
    db, minutes = Database(tmp_path / "tocsin.duckdb"), 0
    options = MonitorOptions((), None, "policy", "ops", PollOptions())

    def run_once(number=None, channel="policy", *, after=10):
        nonlocal minutes
        minutes += after
        now = NOW + timedelta(minutes=minutes)
        run = MonitorRun(
            db=db, options=options, outlet_for=lambda _: slack, clock=lambda: now, run_id=f"run-{minutes}"
        )
        if number is not None:
            alert = Alert(f"alert-{number}", number, channel, f"News {number}", None, "X", None, now, ())
            with db.write() as con:
                store_alerts(con, run.run_id, [alert])
        deliver_outbox(run)
        return run.report

    return run_once


def test_an_episode_is_told_once_with_its_reason_in_the_same_run(deliver, slack):
    slack.refusing = {"policy"}
    report = deliver(1)
    assert (report.alerts.delivered, report.alerts.failed) == (1, 1)
    (told,) = slack.told["ops"]
    assert told.startswith("Alerts are not delivered as promised. Slack channel policy: it is archived")
    for number in (2, 3):
        deliver(number)
    assert len(slack.told["ops"]) == 1
    slack.refusing = set()
    assert deliver(4).alerts.delivered == 4
    assert slack.told["policy"] == [f"News {number}" for number in (1, 2, 3, 4)]
    slack.refusing = {"policy"}
    deliver(5)
    assert len(slack.told["ops"]) == 2


def test_an_operator_whose_own_channel_refuses_hears_of_it_when_it_is_mended(deliver, slack):
    slack.refusing = {"ops"}
    deliver(1, "ops")
    assert slack.told == {}
    slack.refusing = set()
    deliver()
    assert [title[:6] for title in slack.told["ops"]] == ["News 1", "Alerts"]


def test_a_promise_that_cannot_be_kept_is_told_once(deliver, slack):
    slack.weakness = "channels:history is missing"
    for number in (1, 2, 3):
        deliver(number)
    assert [title.partition(". ")[2] for title in slack.told["ops"]] == ["channels:history is missing"]
