"""Clicks on an alert's buttons: what Slack tells of them, and what people are answered."""

from datetime import UTC, datetime

import pytest

from flows.alerts.compose import compose_message
from flows.alerts.slack_clicks import answer_click, read_clicks
from tocsin.telling import Click
from tocsin.types import Alert, Reason

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def _alert(**changes):
    reason = Reason("export_controls", 0.9, sentence="Chips need licences.")
    facts = {
        "alert_id": "a" * 24,
        "article_id": 7,
        "channel": "policy",
        "title": "Chips need licences",
        "url": "https://news.example/chips",
        "outlet": "Example News",
        "published_at": NOW,
        "decided_at": NOW,
        "reasons": (reason,),
    }
    return Alert(**facts | changes)


def _payload(*actions, **changes):
    told = {"type": "block_actions", "user": {"id": "U1"}, "channel": {"id": "C1"}, "actions": list(actions)}
    return told | changes


def _buttons(message):
    return [
        element for block in message.blocks if block["type"] == "actions" for element in block["elements"]
    ]


def test_the_buttons_of_a_message_are_what_clicks_are_read_from():
    buttons = _buttons(compose_message(_alert(), now=NOW, has_buttons=True))
    clicks = [read_clicks(_payload(button)) for button in buttons]
    assert clicks == [[Click("a" * 24, "U1", positive, "C1")] for positive in (True, False)]


@pytest.mark.parametrize(
    ("alert", "has_buttons"),
    [(_alert(), False), (_alert(reasons=()), True)],
    ids=["nobody listens", "a warning"],
)
def test_no_buttons_are_shown_where_a_click_would_mean_nothing(alert, has_buttons):
    assert _buttons(compose_message(alert, now=NOW, has_buttons=has_buttons)) == []


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": "view_submission"},
        _payload({"action_id": "another_app", "value": "x"}),
        _payload({"action_id": "tocsin_relevant"}),
        _payload({"action_id": "tocsin_relevant", "value": 7}),
        _payload("no object"),
        _payload({"action_id": "tocsin_relevant", "value": "x"}, user=None),
        _payload({"action_id": "tocsin_relevant", "value": "x"}, channel={}),
        _payload(actions="none"),
    ],
)
def test_what_is_no_click_on_our_buttons_is_passed_over(payload):
    assert read_clicks(payload) == []


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ((("export_controls", "ai_safety"), True), "Noted: relevant for Export controls, AI safety."),
        ((("export_controls",), False), "Noted: not relevant for Export controls."),
        ((("export_controls",), None), "Taken back"),
        (None, "not in the history"),
    ],
)
def test_people_are_told_what_became_of_their_click(outcome, words):
    assert words in answer_click(outcome)
