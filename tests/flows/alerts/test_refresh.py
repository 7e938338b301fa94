"""Updates of delivered messages: which are due, and what becomes of one that cannot be made."""

from datetime import timedelta

import pytest

from flows.alerts.outlet import UPDATE_FAULTS
from flows.alerts.refresh import LONGEST, MAX_TROUBLES, MOST_AT_ONCE, decide_updates, update_messages
from tocsin.errors import DeliveryDelayed, DeliveryRefused, DeliveryUncertain
from tocsin.telling import ToldMessage

EVERY = timedelta(minutes=10)
NAMES = ("Beta", "Delta", "Gamma", "Kappa", "Sigma", "Zeta")


class Updating:
    """An outlet that changes messages unless its script says otherwise; `shown` are their last texts."""

    name, list_above, weakness = "updating", None, None
    pace, settle = timedelta(seconds=1), timedelta(seconds=5)

    def __init__(self, *script):
        self.script, self.calls, self.shown = list(script), [], {}

    def send(self, channel, message):
        raise AssertionError("an update posts nothing")

    def find_delivered(self, channel, alert_ids, oldest, *, threads=()):
        raise AssertionError("an update need not be looked for")

    def update(self, channel, message_ts, message):
        error = self.script.pop(0) if self.script else None
        self.calls.append((channel, message_ts))
        if error is not None:
            raise error
        self.shown[message_ts] = message


@pytest.fixture
def told(make_alert, now):
    """Make a delivered message of which `outlets` have the story by now."""

    def make(n=1, *, outlets=3, shown=1, told_ago=1.0, shown_ago=None, channel="policy", **changes):
        return ToldMessage(
            alert=make_alert(n, channel=channel, also_in=NAMES[: outlets - 1], state="delivered"),
            message_ts=f"{n}.0",
            told_at=now - timedelta(hours=told_ago),
            shown=shown,
            shown_at=now - timedelta(hours=told_ago if shown_ago is None else shown_ago),
            **changes,
        )

    return make


@pytest.fixture
def refresh(clock):
    """Update messages through an outlet; give the count and the steps that were recorded."""

    def run(due, outlet, max_wait=timedelta(seconds=30)):
        steps = []
        count = update_messages(
            due, lambda _: outlet, steps.append, clock=clock, wait=clock.wait, max_wait=max_wait
        )
        return count, steps

    return run


@pytest.mark.parametrize(
    ("changes", "is_due"),
    [
        ({}, True),
        ({"outlets": 1}, False),  # nobody else has it
        ({"shown": 3}, False),  # it names them all
        ({"shown": 4}, False),  # an outlet that was there is no longer counted: nothing to tell
        ({"shown_ago": 0.1}, False),  # updated six minutes ago
        ({"shown_ago": 1 / 6}, True),
        ({"told_ago": LONGEST / timedelta(hours=1), "shown_ago": 5}, False),  # an old message
        ({"state": "pending"}, True),  # decided by a run that was killed
        ({"state": "ended"}, False),
    ],
)
def test_a_message_is_due_when_it_names_too_few_outlets_and_was_left_alone_for_a_while(
    told, now, changes, is_due
):
    assert bool(decide_updates([told(**changes)], every=EVERY, now=now)) == is_due


@pytest.mark.parametrize(("minutes", "is_due"), [(1, False), (0, True), (-1, True)])
def test_what_was_put_off_waits_for_its_time(told, now, minutes, is_due):
    later = told(state="pending", retry_at=now + timedelta(minutes=minutes))
    assert bool(decide_updates([later], every=EVERY, now=now)) == is_due


def test_a_channel_gets_so_many_at_once_and_those_that_waited_longest_first(told, now):
    many = [told(n, told_ago=n) for n in range(1, MOST_AT_ONCE + 5)]
    chosen = decide_updates([*many, told(99, channel="other")], every=EVERY, now=now)
    here = [each.told_at for each in chosen if each.alert.channel == "policy"]
    assert (len(here), here) == (MOST_AT_ONCE, sorted(each.told_at for each in many)[:MOST_AT_ONCE])
    assert [each.alert.channel for each in chosen].count("other") == 1


def test_an_update_is_the_same_message_with_the_outlets_of_now(told, refresh, clock, now):
    outlet, each = Updating(), told(outlets=6)
    count, (step,) = refresh([each], outlet)
    assert (count, step.state, step.outlets) == (1, "shown", 6)
    message = outlet.shown["1.0"]
    texts = [element["text"] for element in message.blocks[0]["elements"][0]["elements"]]
    assert texts[-2:] == [
        "\nThe Example · news.example · 2 h ago",  # as it read when it was sent
        "\nalso in Beta, Delta, Gamma and 2 more, 6 outlets",
    ]
    assert message.metadata["event_payload"] == {"alert_id": each.alert.alert_id}


def test_updates_keep_the_pace_of_posts_also_after_the_last_post(told, refresh, clock):
    refresh([told(1), told(2), told(3, channel="other")], Updating())
    assert clock.waits == [1, 1]


@pytest.mark.parametrize("code", sorted(UPDATE_FAULTS))
def test_a_message_that_cannot_be_changed_is_left_alone_quietly_with_a_reason(told, refresh, code, caplog):
    outlet = Updating(DeliveryRefused(code, f"Slack channel policy: no ({code})"))
    count, steps = refresh([told(1), told(2)], outlet)
    assert count == 1
    assert [(step.state, step.error) for step in steps] == [
        ("ended", f"Slack channel policy: no ({code})"),
        ("shown", None),
    ]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_an_update_without_an_answer_is_simply_made_again(told, refresh):
    outlet = Updating(DeliveryUncertain("no_answer", "it broke"), DeliveryUncertain("no_answer", "it broke"))
    count, (step,) = refresh([told()], outlet)
    assert (count, step.state, outlet.calls) == (1, "shown", [("policy", "1.0")] * 3)


def test_retry_after_is_waited_for_exactly(told, refresh, clock):
    error = DeliveryDelayed("ratelimited", "wait", retry_after=timedelta(seconds=7))
    assert refresh([told()], Updating(error))[0] == 1
    assert clock.waits == [1, 7]


@pytest.mark.parametrize(
    ("script", "calls"),
    [
        ([DeliveryRefused("invalid_auth", "the token")], 1),
        ([DeliveryDelayed("ratelimited", "wait", retry_after=timedelta(minutes=5))], 1),
        ([DeliveryUncertain("no_answer", "it broke")] * 9, MAX_TROUBLES + 1),
    ],
)
def test_a_failing_outlet_leaves_all_of_the_channel_to_a_later_run(told, refresh, clock, script, calls):
    outlet = Updating(*script)
    count, steps = refresh([told(1), told(2)], outlet)
    assert (count, len(outlet.calls)) == (0, calls)
    assert [step.state for step in steps] == ["pending", "pending"]
    assert all(step.retry_at >= clock() + timedelta(minutes=5) and step.error for step in steps)
