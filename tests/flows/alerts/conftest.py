"""Alerts to order, an outbox in memory, a clock that waits at no cost, an outlet that follows a script."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from flows.alerts.decide import alert_id_of
from tocsin.errors import DeliveryUncertain
from tocsin.types import Alert, Reason

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def now():
    return NOW


@pytest.fixture(scope="session")
def make_alert():
    """Build an alert; `n` gives it an id, a headline and, later for higher numbers, its time of decision."""

    def make(n=1, *, channel="policy", **changes):
        alert = Alert(
            alert_id=alert_id_of(n, channel),
            article_id=n,
            channel=channel,
            title=f"Ministry widens chip licence rules ({n})",
            url=f"https://news.example/{n}",
            outlet="The Example",
            published_at=NOW - timedelta(hours=3),
            decided_at=NOW + timedelta(seconds=n),
            reasons=(Reason("export_controls", 0.93, "Exporters of chip tools now need a licence."),),
        )
        return replace(alert, **changes)

    return make


class Crash(BaseException):
    """Stands for a process killed at this point: nothing may catch it."""


class MemoryOutbox:
    """An outbox that keeps the rules of the protocol in a dict."""

    def __init__(self, alerts):
        self.alerts = {alert.alert_id: alert for alert in alerts}
        self.latest = {}
        self.deliveries = []

    def load_due(self, now, /):
        held = {
            self.alerts[latest.alert_id].channel
            for latest in self.latest.values()
            if latest.holds_channel and latest.retry_at > now
        }
        return [
            alert for alert in self.alerts.values() if alert.channel not in held and self._is_due(alert, now)
        ]

    def record(self, *deliveries):
        for delivery in deliveries:
            self._record(delivery)

    def _record(self, delivery):
        alert = self.alerts[delivery.alert_id]
        sent = delivery.state == "sending" and alert.state != "sending"
        self.alerts[alert.alert_id] = replace(alert, state=delivery.state, attempts=alert.attempts + sent)
        self.latest[alert.alert_id] = delivery
        self.deliveries.append(delivery)

    def states(self):
        return [alert.state for alert in self.alerts.values()]

    def _is_due(self, alert, now):
        latest = self.latest.get(alert.alert_id)
        retry_at = latest.retry_at if latest else None
        return alert.state != "delivered" and (retry_at is None or retry_at <= now)


@dataclass
class Clock:
    """A clock that moves only when someone waits."""

    now: datetime = NOW + timedelta(minutes=10)
    waits: list = field(default_factory=list)

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)


class ScriptedOutlet:
    """Accepts messages unless its script says otherwise; `held` is what the channel holds.

    `script` and `history_script` give, per call, an error to raise or None; "lost" in a script accepts the
    message and loses the answer.
    """

    name = "scripted"
    list_above = None
    weakness = None
    pace = timedelta(seconds=1)
    settle = timedelta(seconds=5)

    def __init__(self, script=(), history_script=()):
        self.script, self.history_script = list(script), list(history_script)
        self.sent, self.held, self.asked = [], {}, []

    def send(self, channel, message):
        error = self.script.pop(0) if self.script else None
        told = [alert.alert_id for alert in message.alerts]
        self.sent.append(told[0] if len(told) == 1 else told)
        if isinstance(error, BaseException):
            raise error
        ts = f"ts-{len(self.sent)}"
        self.held |= dict.fromkeys(told, ts)
        if error == "lost":
            raise DeliveryUncertain("no_answer", "Slack's connection: it broke")
        return ts

    def find_delivered(self, channel, alert_ids, oldest, *, threads=()):
        self.asked.append((channel, set(alert_ids), oldest))
        error = self.history_script.pop(0) if self.history_script else None
        if error is not None:
            raise error
        return {alert_id: ts for alert_id, ts in self.held.items() if alert_id in alert_ids}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def memory_outbox():
    return MemoryOutbox


@pytest.fixture
def scripted_outlet():
    return ScriptedOutlet


@pytest.fixture
def crash():
    return Crash
