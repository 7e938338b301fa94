"""What waited for the end of quiet hours leaves as one message, and nothing leaves before."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from flows.alerts.hold import QuietOutbox
from flows.alerts.lanes import make_lanes
from flows.alerts.quiet import QuietHours
from flows.alerts.rules import AlertPolicy
from flows.alerts.webhook import SlackWebhookOutlet
from tocsin.types import Delivery

NIGHT = AlertPolicy(quiet=QuietHours(UTC, (time(22), time(7))))
AT_NIGHT, IN_THE_MORNING = (datetime(2026, 3, 2, hour, tzinfo=UTC) for hour in (23, 7))


class OneListOutbox:
    def __init__(self, alerts):
        self.alerts, self.recorded = alerts, []

    def load_due(self, now, /):
        return self.alerts

    def record(self, *deliveries):
        self.recorded += deliveries


@pytest.mark.parametrize(("held", "sizes"), [(0, [1, 1, 1]), (1, [1, 1, 1]), (2, [3]), (3, [3])])
def test_several_that_were_held_go_out_as_one_list(make_alert, now, held, sizes):
    until = now + timedelta(hours=1)
    alerts = [make_alert(n, hold_until=until if n < held else None) for n in range(3)]
    (lane,) = make_lanes(alerts, lambda _: SlackWebhookOutlet(lambda *_: None), now)
    found = []
    while lane.queue:
        batch = lane.next_batch()
        found.append(len(batch))
        lane.remove_alerts(batch)
    assert found == sizes


@pytest.mark.parametrize(
    ("policy", "at", "found"),
    [
        (AlertPolicy(), AT_NIGHT, [1, 2]),
        (NIGHT, IN_THE_MORNING, [1, 2]),
        (NIGHT, AT_NIGHT, []),
        (replace(NIGHT, hold_warnings=False), AT_NIGHT, [2]),
    ],
)
def test_at_night_only_warnings_leave_and_only_where_they_are_not_held(make_alert, policy, at, found):
    outbox = QuietOutbox(OneListOutbox([make_alert(1), make_alert(2, reasons=())]), policy)
    assert [alert.article_id for alert in outbox.load_due(at)] == found


def test_steps_of_sending_are_recorded_as_ever(make_alert, now):
    inner = OneListOutbox([])
    step = Delivery("a1", now, "sending")
    QuietOutbox(inner, NIGHT).record(step)
    assert inner.recorded == [step]
