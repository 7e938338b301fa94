"""Every alert exactly once, though the network breaks and the process dies, against a real emulator."""

from collections import Counter
from datetime import timedelta
from random import Random

import pytest

from flows.alerts.deliver import deliver_alerts
from flows.alerts.slack import SlackOutlet

pytestmark = pytest.mark.slack
SINGLES, LISTED = 40, 100  # in two channels, each as a message; in a third, as lists
FAULT_RATE = 0.35
CRASH_RATE = 0.02
LATE = timedelta(seconds=4)  # how long a late request stays on its way: less than an outlet takes to settle


class Mortal:
    """An outbox or an outlet whose process may die before or after each call."""

    def __init__(self, inner, die):
        self._inner, self._die = inner, die

    def __getattr__(self, name):
        attribute = getattr(self._inner, name)
        return self._wrap(attribute) if callable(attribute) else attribute

    def _wrap(self, call):
        def mortal_call(*arguments, **named):
            self._die()
            result = call(*arguments, **named)
            self._die()
            return result

        return mortal_call


class Forgetful(Mortal):
    """An outlet that is never asked what it holds: reconciliation off."""

    def find_delivered(self, channel, alert_ids, oldest, *, threads=()):
        return {}


class Workspace:
    """Three channels, an outbox, and a seeded run of faults and crashes until everything is told."""

    def __init__(self, emulator, proxy, clock, outbox, channels):
        self.emulator, self.proxy, self.clock, self.outbox = emulator, proxy, clock, outbox
        self.channels = channels
        self.faults, self.crashes, self.runs, self._held_at = Counter(), 0, 0, []

    def run(self, rng, crash, *, outlet_class=Mortal, settle=timedelta(seconds=5)):
        deck = []

        def plan(method):
            if rng.random() >= FAULT_RATE:
                return "pass"
            if not deck:  # dealt like cards, so that every fault comes up
                deck.extend(rng.sample(self.proxy.FAULTS, len(self.proxy.FAULTS)))
            self.faults[deck[-1]] += 1
            return deck.pop()

        def die():
            if rng.random() < CRASH_RATE:
                raise crash

        self.proxy.plan = plan
        while set(self.outbox.states()) != {"delivered"} and self.runs < 500:
            self.runs += 1
            slack = SlackOutlet(
                self.emulator.token, self.proxy.base_url, timeout=0.25, pace=timedelta(0), settle=settle
            )
            outlet = outlet_class(slack, die)
            try:
                deliver_alerts(
                    Mortal(self.outbox, die),
                    lambda channel, outlet=outlet: outlet,
                    clock=self.clock,
                    wait=self.wait,
                    max_wait=timedelta(minutes=1),
                )
            except crash:
                self.crashes += 1
            else:
                self.wait(600)

    def wait(self, seconds):
        """Let time pass: what was on its way for long enough arrives."""
        self.proxy.finish()
        self._held_at += [self.clock()] * (len(self.proxy.held) - len(self._held_at))
        self.clock.wait(seconds)
        arrived = sum(held_at + LATE <= self.clock() for held_at in self._held_at)
        del self._held_at[:arrived]
        self.proxy.release(arrived)

    def told(self):
        return Counter(
            alert_id for channel in self.channels.values() for alert_id in self.emulator.alert_ids(channel)
        )

    def lost(self):
        return set(self.outbox.alerts) - set(self.told())

    def doubled(self):
        return {alert_id: times for alert_id, times in self.told().items() if times > 1}


@pytest.fixture
def workspace(slack_emulator, fault_proxy, clock, memory_outbox, make_alert):
    channels = dict(slack_emulator.create_channel() for _ in range(3))
    *single, listed = channels
    alerts = [
        make_alert(n, channel=single[n % 2] if n < SINGLES else listed) for n in range(SINGLES + LISTED)
    ]
    return Workspace(slack_emulator, fault_proxy, clock, memory_outbox(alerts), channels)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_alert_is_lost_or_doubled_and_each_channel_hears_them_in_order(workspace, crash, seed):
    workspace.run(Random(seed), crash)
    assert (workspace.lost(), workspace.doubled()) == (set(), {})
    for name, channel_id in workspace.channels.items():
        expected = [alert.alert_id for alert in workspace.outbox.alerts.values() if alert.channel == name]
        assert workspace.emulator.alert_ids(channel_id) == expected
    listed_id = list(workspace.channels.values())[-1]
    assert len(workspace.emulator.messages(listed_id)) < LISTED / 10
    assert workspace.crashes > 0
    assert set(workspace.faults) == set(workspace.proxy.FAULTS)


def test_the_same_run_without_reconciliation_doubles_alerts(workspace, crash):
    workspace.run(Random(1), crash, outlet_class=Forgetful)
    assert workspace.lost() == set()
    assert workspace.doubled()


def test_the_same_run_without_time_to_settle_doubles_alerts(workspace, crash):
    workspace.run(Random(1), crash, settle=timedelta(0))
    assert workspace.lost() == set()
    assert workspace.doubled()
