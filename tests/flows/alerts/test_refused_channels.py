"""Refused channels and long outages: alerts wait with a reason, in order, and the operator hears of it."""

from datetime import timedelta
from itertools import chain

import pytest

from flows.alerts.deliver import deliver_alerts
from tocsin.errors import DeliveryDelayed, DeliveryRefused, DeliveryUncertain


def refused(code="not_in_channel"):
    return DeliveryRefused(code, f"Slack channel policy: refused ({code})")


@pytest.fixture
def deliver(clock):
    def run(outbox, outlet):
        return deliver_alerts(
            outbox, lambda _: outlet, clock=clock, wait=clock.wait, max_wait=timedelta(minutes=2)
        )

    return run


@pytest.fixture
def listing_outlet(scripted_outlet):
    def make(*scripts):
        outlet = scripted_outlet(*scripts)
        outlet.list_above = 20
        return outlet

    return make


def ids(alerts):
    return [alert.alert_id for alert in alerts]


@pytest.mark.parametrize("code", ["not_in_channel", "is_archived", "channel_not_found"])
def test_a_newer_alert_never_overtakes_those_that_wait(
    deliver, memory_outbox, scripted_outlet, make_alert, clock, code
):
    outbox, outlet = memory_outbox([make_alert(1), make_alert(2)]), scripted_outlet([refused(code)])
    report = deliver(outbox, outlet)
    assert [(each.subject, each.code) for each in report.troubles] == [("channel:policy", code)]
    newer = make_alert(3)
    outbox.alerts[newer.alert_id] = newer
    clock.now += timedelta(minutes=1)
    assert deliver(outbox, outlet).delivered == 0
    clock.now += timedelta(minutes=4)
    report = deliver(outbox, outlet)
    assert outlet.sent[1:] == ids(make_alert(n) for n in (1, 2, 3))
    assert "channel:policy" in report.worked


def test_a_delay_holds_the_newer_ones_too(deliver, memory_outbox, scripted_outlet, make_alert, clock):
    delayed = DeliveryDelayed("ratelimited", "wait", retry_after=timedelta(hours=1))
    outbox, outlet = memory_outbox([make_alert(1)]), scripted_outlet([delayed])
    deliver(outbox, outlet)
    newer = make_alert(2)
    outbox.alerts[newer.alert_id] = newer
    assert deliver(outbox, outlet).delivered == 0
    clock.now += timedelta(hours=1)
    deliver(outbox, outlet)
    assert outlet.sent[1:] == ids(make_alert(n) for n in (1, 2))


def test_one_refused_message_holds_nobody(deliver, memory_outbox, scripted_outlet, make_alert):
    outbox, outlet = memory_outbox([make_alert(1)]), scripted_outlet([refused("msg_blocks_too_long")])
    (trouble,) = deliver(outbox, outlet).troubles
    assert trouble.subject == f"alert:{make_alert(1).alert_id}"
    newer = make_alert(2)
    outbox.alerts[newer.alert_id] = newer
    assert deliver(outbox, outlet).delivered == 1


@pytest.mark.parametrize("code", ["invalid_auth", "token_revoked"])
def test_a_refused_token_parks_every_channel_of_the_outlet_with_one_post(
    deliver, memory_outbox, scripted_outlet, make_alert, code
):
    outbox = memory_outbox([make_alert(n, channel=f"c{n}") for n in range(4)])
    outlet = scripted_outlet([refused(code)])
    report = deliver(outbox, outlet)
    assert (len(outlet.sent), report.failed) == (1, 4)
    assert [each.subject for each in report.troubles] == ["outlet:scripted"]


def test_up_to_twenty_alerts_are_messages_and_more_are_lists(
    deliver, memory_outbox, listing_outlet, make_alert
):
    outlet = listing_outlet()
    deliver(memory_outbox([make_alert(n) for n in range(20)]), outlet)
    assert outlet.sent == ids(make_alert(n) for n in range(20))
    outlet = listing_outlet()
    deliver(memory_outbox([make_alert(n) for n in range(90)]), outlet)
    assert [len(sent) for sent in outlet.sent] == [40, 40, 10]
    assert list(chain.from_iterable(outlet.sent)) == ids(make_alert(n) for n in range(90))


def test_an_outage_of_days_ends_with_lists_in_order(
    deliver, memory_outbox, listing_outlet, make_alert, clock
):
    outbox = memory_outbox([])
    away = DeliveryDelayed("not_connected", "Slack's address: no connection", retry_after=timedelta(hours=1))
    outlet = listing_outlet([away] * 1000)
    expected = []
    for n in range(72):
        alert = make_alert(n, decided_at=clock())
        outbox.alerts[alert.alert_id] = alert
        expected.append(alert.alert_id)
        deliver(outbox, outlet)
        clock.now += timedelta(hours=1)
    outlet.script.clear()
    outlet.sent.clear()
    assert deliver(outbox, outlet).delivered == 72
    assert list(chain.from_iterable(outlet.sent)) == expected
    assert len(outlet.sent) == 2


@pytest.mark.parametrize("arrives", [True, False])
def test_a_list_in_doubt_is_looked_up_and_told_once(
    deliver, memory_outbox, listing_outlet, make_alert, arrives
):
    outlet = listing_outlet(["lost" if arrives else DeliveryUncertain("no_answer", "broke")])
    outbox = memory_outbox([make_alert(n) for n in range(30)])
    assert deliver(outbox, outlet).delivered == 30
    assert len(outlet.sent) == (1 if arrives else 2)
    assert set(outlet.held) == set(outbox.alerts)


def test_a_list_that_is_refused_is_sent_as_messages(deliver, memory_outbox, listing_outlet, make_alert):
    outlet = listing_outlet([refused("msg_blocks_too_long")])
    report = deliver(memory_outbox([make_alert(n) for n in range(25)]), outlet)
    assert (report.delivered, report.failed) == (25, 0)
    assert outlet.sent[1:] == ids(make_alert(n) for n in range(25))


def test_what_an_outlet_cannot_promise_is_a_trouble_as_long_as_it_lasts(
    deliver, memory_outbox, scripted_outlet, make_alert
):
    outlet = scripted_outlet()
    outlet.weakness = "no history"
    report = deliver(memory_outbox([make_alert(1), make_alert(2)]), outlet)
    assert [(each.subject, each.message) for each in report.troubles] == [("promise:scripted", "no history")]
    outlet.weakness = None
    report = deliver(memory_outbox([make_alert(3)]), outlet)
    assert "promise:scripted" in report.worked


def test_a_history_that_may_not_be_asked_is_a_trouble_until_it_may(
    deliver, memory_outbox, scripted_outlet, make_alert, clock
):
    outlet = scripted_outlet(history_script=[refused("missing_scope")])
    outbox = memory_outbox([make_alert(1, state="sending")])
    assert [each.subject for each in deliver(outbox, outlet).troubles] == ["history:policy"]
    clock.now += timedelta(minutes=5)
    assert "history:policy" in deliver(outbox, outlet).worked
