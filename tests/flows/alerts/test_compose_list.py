"""Lists of alerts: every alert is in exactly one, in order, within Slack's limits."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from flows.alerts.compose_list import LISTED_MOST, compose_list, take_listed
from flows.alerts.slack import alert_ids_of

TEXT = st.text(max_size=400)


def texts_of(value):
    """Every piece of literal text in the blocks."""
    if isinstance(value, dict):
        return ([value["text"]] if isinstance(value.get("text"), str) else []) + [
            text for inner in value.values() for text in texts_of(inner)
        ]
    return [text for inner in value for text in texts_of(inner)] if isinstance(value, list) else []


@settings(max_examples=60, deadline=None)
@given(data=st.data(), count=st.integers(2, 120))
def test_lists_hold_every_alert_once_in_order_and_within_limits(data, count, make_alert, now):
    strange = data.draw(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
    long_url = "https://news.example/" + "a" * data.draw(st.integers(0, 1900))
    alerts = [
        make_alert(n, title=strange[n % len(strange)][0], outlet=strange[n % len(strange)][1], url=long_url)
        for n in range(count)
    ]
    queue, told = list(alerts), []
    while queue:
        taken = take_listed(queue)
        assert 1 <= len(taken) <= LISTED_MOST
        message = compose_list(taken, now=now)
        told += alert_ids_of({"metadata": message.metadata})
        assert sum(map(len, texts_of(message.blocks))) <= 40_000
        assert len(message.text) <= 3000
        assert len(json.dumps(message.metadata)) < 8000
        assert message.alerts == taken
        del queue[: len(taken)]
    assert told == [alert.alert_id for alert in alerts]


def test_a_list_cannot_ping_a_channel_or_fake_a_link(make_alert, now):
    message = compose_list([make_alert(n, title="<!channel> <https://x|y>") for n in (1, 2)], now=now)
    assert "<!" not in message.text
    assert "mrkdwn" not in json.dumps(message.blocks)


def test_a_list_reads_as_one(make_alert, now):
    message = compose_list([make_alert(n) for n in (1, 2)], now=now)
    head, listed = message.blocks[0]["elements"]
    assert head["elements"][0]["text"] == "2 alerts waited for this channel, oldest first"
    first = listed["elements"][0]["elements"]
    assert [part["text"] for part in first] == [
        "Export controls: ",
        "Ministry widens chip licence rules (1)",
        "  The Example · news.example · 3 h ago",
    ]
