"""Delivery's rules one by one, with an outlet that follows a script."""

import logging
from datetime import timedelta

import pytest

from flows.alerts.deliver import CLOCK_SKEW, MAX_TROUBLES, deliver_alerts
from tocsin.errors import DeliveryDelayed, DeliveryRefused, DeliveryUncertain


def refused(code="not_in_channel"):
    return DeliveryRefused(code, f"Slack channel policy: refused ({code})")


def delayed(seconds=3, code="ratelimited"):
    return DeliveryDelayed(code, "Slack channel policy: wait", retry_after=timedelta(seconds=seconds))


def uncertain():
    return DeliveryUncertain("no_answer", "Slack's connection: it broke")


@pytest.fixture
def deliver(clock):
    def run(outbox, *outlets, max_wait=timedelta(minutes=2), **options):
        """Deliver with one outlet for all channels, or with one per channel as given in a dict."""
        (outlet,) = outlets
        find = outlet.get if isinstance(outlet, dict) else lambda channel: outlet
        return deliver_alerts(outbox, find, clock=clock, wait=clock.wait, max_wait=max_wait, **options)

    return run


def test_an_empty_outbox_sends_and_waits_for_nothing(deliver, memory_outbox, scripted_outlet, clock):
    report = deliver(memory_outbox([]), scripted_outlet())
    assert (report.delivered, report.pending, report.failed, clock.waits) == (0, 0, 0, [])


def test_alerts_go_out_oldest_decision_first(deliver, memory_outbox, scripted_outlet, make_alert):
    alerts = [make_alert(n) for n in (3, 1, 2)]
    outlet = scripted_outlet()
    assert deliver(memory_outbox(alerts), outlet).delivered == 3
    assert outlet.sent == [make_alert(n).alert_id for n in (1, 2, 3)]


def test_sending_is_recorded_before_and_delivered_with_its_ts_after(
    deliver, memory_outbox, scripted_outlet, make_alert
):
    outbox, told = memory_outbox([make_alert()]), []
    deliver(outbox, scripted_outlet(), on_delivered=told.append)
    assert [(delivery.state, delivery.message_ts) for delivery in outbox.deliveries] == [
        ("sending", None),
        ("delivered", "ts-1"),
    ]
    assert told == [make_alert()]


def test_messages_in_one_channel_keep_the_pace_and_channels_do_not_wait_for_each_other(
    deliver, memory_outbox, scripted_outlet, make_alert, clock
):
    outlet = scripted_outlet()
    alerts = [make_alert(n, channel=channel) for n, channel in enumerate(["aa", "bb", "aa", "bb", "aa"])]
    deliver(memory_outbox(alerts), outlet)
    assert clock.waits == [1.0, 1.0]
    assert outlet.sent == [alert.alert_id for alert in alerts]


def test_retry_after_is_waited_exactly_and_the_alert_sent_once(
    deliver, memory_outbox, scripted_outlet, make_alert, clock
):
    outlet = scripted_outlet([delayed(17)])
    report = deliver(memory_outbox([make_alert()]), outlet)
    assert (report.delivered, clock.waits, len(outlet.sent), len(outlet.held)) == (1, [17.0], 2, 1)


def test_a_wait_beyond_the_budget_leaves_the_channel_in_order_for_later(
    deliver, memory_outbox, scripted_outlet, make_alert, clock
):
    outbox, outlet = memory_outbox([make_alert(n) for n in (1, 2)]), scripted_outlet([delayed(600)])
    report = deliver(outbox, outlet)
    assert (report.delivered, report.pending, report.failed, report.uncertain) == (0, 2, 0, 0)
    assert outbox.states() == ["pending", "pending"]
    due = clock.now + timedelta(seconds=600)
    assert {outbox.latest[alert_id].retry_at for alert_id in outbox.alerts} == {due}
    assert report.problems == ("Slack channel policy: wait",)
    clock.now = due - timedelta(seconds=1)
    assert deliver(outbox, outlet).delivered == 0
    clock.now = due
    assert deliver(outbox, outlet).delivered == 2
    assert outlet.sent == [make_alert(n).alert_id for n in (1, 1, 2)]


def test_waits_add_up_against_the_budget(deliver, memory_outbox, scripted_outlet, make_alert, clock):
    outlet = scripted_outlet([delayed(50), delayed(50), delayed(50)])
    assert deliver(memory_outbox([make_alert()]), outlet).pending == 1
    assert clock.waits == [50.0, 50.0]


def test_a_rate_limit_in_one_channel_does_not_hold_another(
    deliver, memory_outbox, scripted_outlet, make_alert
):
    alerts = [make_alert(1, channel="aa"), make_alert(2, channel="bb")]
    report = deliver(memory_outbox(alerts), scripted_outlet([delayed(600)]))
    assert (report.delivered, report.pending) == (1, 1)


def test_an_answer_lost_is_found_in_history_and_not_sent_again(
    deliver, memory_outbox, scripted_outlet, make_alert, clock
):
    outbox, outlet = memory_outbox([make_alert(1), make_alert(2)]), scripted_outlet(["lost"])
    report = deliver(outbox, outlet)
    assert (report.delivered, outbox.states()) == (2, ["delivered", "delivered"])
    assert outlet.sent == [make_alert(1).alert_id, make_alert(2).alert_id]
    assert outbox.latest[make_alert(1).alert_id].message_ts == "ts-1"
    assert clock.waits[0] == outlet.settle.total_seconds()


def test_a_request_lost_is_not_found_and_sent_again_before_the_next(
    deliver, memory_outbox, scripted_outlet, make_alert
):
    outlet = scripted_outlet([uncertain()])
    assert deliver(memory_outbox([make_alert(1), make_alert(2)]), outlet).delivered == 2
    assert outlet.sent == [make_alert(n).alert_id for n in (1, 1, 2)]


def test_an_alert_found_in_sending_is_asked_for_before_anything_is_sent(
    deliver, memory_outbox, scripted_outlet, make_alert, clock
):
    alerts = [make_alert(n, state="sending" if n > 1 else "pending") for n in (1, 2, 3)]
    outlet = scripted_outlet()
    outlet.held = {alerts[1].alert_id: "ts-old"}
    assert deliver(memory_outbox(alerts), outlet).delivered == 3
    assert outlet.sent == [alerts[0].alert_id, alerts[2].alert_id]
    asked = {alert.alert_id for alert in alerts[1:]}
    assert outlet.asked == [("policy", asked, alerts[1].decided_at - CLOCK_SKEW)]
    assert clock.waits[0] == outlet.settle.total_seconds()


def test_settling_does_not_need_a_budget(deliver, memory_outbox, scripted_outlet, make_alert):
    outbox = memory_outbox([make_alert(1, state="sending"), make_alert(2)])
    report = deliver(outbox, scripted_outlet([None, "lost"]), max_wait=timedelta(0))
    assert report.delivered == 2


def test_without_the_history_scope_doubtful_alerts_are_kept_and_others_go_on(
    deliver, memory_outbox, scripted_outlet, make_alert, clock, caplog
):
    alerts = [make_alert(n, state="sending" if n < 3 else "pending") for n in (1, 2, 3)]
    outbox = memory_outbox(alerts)
    missing = DeliveryRefused("missing_scope", "Slack app's scopes: needs channels:history")
    outlet = scripted_outlet(history_script=[missing])
    with caplog.at_level(logging.WARNING):
        report = deliver(outbox, outlet)
    assert (report.delivered, report.pending, report.uncertain, report.failed) == (1, 2, 2, 0)
    assert outbox.states() == ["sending", "sending", "delivered"]
    assert outlet.sent == [alerts[2].alert_id]
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "needs channels:history; until then, 2 alerts" in warning.getMessage()
    assert "needs channels:history" in outbox.latest[alerts[0].alert_id].error
    clock.now += timedelta(hours=1)
    outlet.held[alerts[0].alert_id] = "ts-old"
    assert deliver(outbox, outlet).delivered == 2
    assert outlet.sent == [alerts[2].alert_id, alerts[1].alert_id]


@pytest.mark.parametrize("trouble", [uncertain(), delayed()])
def test_history_that_does_not_answer_is_asked_again_and_doubt_is_kept(
    deliver, memory_outbox, scripted_outlet, make_alert, trouble
):
    outbox = memory_outbox([make_alert(1, state="sending"), make_alert(2)])
    outlet = scripted_outlet(history_script=[trouble] * (MAX_TROUBLES + 1))
    report = deliver(outbox, outlet)
    assert (report.pending, report.uncertain, outlet.sent) == (2, 1, [])
    assert outbox.states() == ["sending", "pending"]
    assert len(outlet.asked) == MAX_TROUBLES + 1


def test_an_outlet_that_is_down_is_left_alone_for_the_rest_of_the_run(
    deliver, memory_outbox, scripted_outlet, make_alert
):
    outlet, other = scripted_outlet([uncertain()] * 100, [uncertain()] * 100), scripted_outlet()
    alerts = [make_alert(n, channel=f"c{n % 3}") for n in range(30)]
    outbox = memory_outbox(alerts)
    report = deliver(outbox, {"c0": outlet, "c1": outlet, "c2": other})
    assert (report.delivered, report.pending) == (10, 20)
    assert len(outlet.sent) == 2
    assert len(outlet.asked) <= 2 * (MAX_TROUBLES + 1)
    assert report.uncertain == outbox.states().count("sending") == 2


def test_without_a_connection_no_other_channel_of_the_outlet_is_tried(
    deliver, memory_outbox, scripted_outlet, make_alert
):
    outlet = scripted_outlet([delayed(600, code="not_connected")])
    outbox = memory_outbox([make_alert(1, channel="aa"), make_alert(2, channel="bb")])
    assert deliver(outbox, outlet).pending == 2
    assert outlet.sent == [make_alert(1, channel="aa").alert_id]


def test_a_refused_channel_fails_whole_with_one_post_and_others_go_on(
    deliver, memory_outbox, scripted_outlet, make_alert, clock
):
    outlet, other = scripted_outlet([refused()]), scripted_outlet()
    alerts = [make_alert(n, channel="aa" if n < 3 else "bb") for n in range(5)]
    outbox = memory_outbox(alerts)
    report = deliver(outbox, {"aa": outlet, "bb": other})
    assert (report.delivered, report.failed, report.pending) == (2, 3, 0)
    assert outbox.states() == ["failed"] * 3 + ["delivered"] * 2
    assert len(outlet.sent) == 1
    assert report.problems == ("Slack channel policy: refused (not_in_channel)",)
    clock.now += timedelta(minutes=5)
    assert deliver(outbox, {"aa": outlet, "bb": other}).delivered == 3
    assert outlet.sent[1:] == [alert.alert_id for alert in alerts[:3]]


def test_a_refused_message_fails_alone(deliver, memory_outbox, scripted_outlet, make_alert):
    outbox = memory_outbox([make_alert(1), make_alert(2)])
    report = deliver(outbox, scripted_outlet([refused("invalid_blocks")]))
    assert (report.delivered, report.failed, outbox.states()) == (1, 1, ["failed", "delivered"])


@pytest.mark.parametrize(
    "case",
    [
        ("invalid_blocks", 0, 5),
        ("invalid_blocks", 1, 10),
        ("invalid_blocks", 3, 40),
        ("invalid_blocks", 1000, 12 * 60),
        ("not_in_channel", 0, 5),
        ("not_in_channel", 1000, 5),
    ],
)
def test_a_channel_is_tried_again_soon_and_a_bad_message_at_growing_intervals(
    deliver, memory_outbox, scripted_outlet, make_alert, case
):
    code, attempts, minutes = case
    outbox = memory_outbox([make_alert(attempts=attempts)])
    deliver(outbox, scripted_outlet([refused(code)]))
    delivery = outbox.deliveries[-1]
    assert delivery.retry_at - delivery.attempted_at == timedelta(minutes=minutes)


def test_a_refusal_does_not_clear_the_doubt_of_other_alerts(
    deliver, memory_outbox, scripted_outlet, make_alert
):
    outbox = memory_outbox([make_alert(1), make_alert(2, state="sending")])
    outlet = scripted_outlet([refused()], [refused("missing_scope")])
    deliver(outbox, outlet)
    assert outbox.states() == ["failed", "sending"]


@pytest.mark.parametrize("crash_in", ["send", "record"])
def test_a_crash_goes_through_and_leaves_the_alert_in_sending(
    deliver, memory_outbox, scripted_outlet, make_alert, crash, crash_in
):
    outbox, outlet = memory_outbox([make_alert()]), scripted_outlet([crash()] if crash_in == "send" else [])
    record = outbox.record

    def record_or_crash(delivery):
        if crash_in == "record" and delivery.state == "delivered":
            raise crash
        record(delivery)

    outbox.record = record_or_crash
    with pytest.raises(crash):
        deliver(outbox, outlet)
    assert outbox.states() == ["sending"]
    outbox.record = record
    assert deliver(outbox, outlet).delivered == 1
    assert len(outlet.sent) == (2 if crash_in == "send" else 1)
