"""What a click on an alert's button says, and what the person is answered (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flows.alerts.compose import IRRELEVANT, RELEVANT
from flows.alerts.words import topic_in_words
from tocsin.telling import Click

_MEANINGS = {RELEVANT: True, IRRELEVANT: False}


def read_clicks(payload: Mapping[str, object]) -> list[Click]:
    """Read the clicks out of what Slack tells of an interaction; nothing that is not ours."""
    if payload.get("type") != "block_actions":
        return []
    person, channel = _id_in(payload, "user"), _id_in(payload, "channel")
    actions = payload.get("actions")
    if person is None or channel is None or not isinstance(actions, list):
        return []
    found = []
    for action in actions:
        named = action if isinstance(action, dict) else {}
        meaning, alert_id = _MEANINGS.get(str(named.get("action_id"))), named.get("value")
        if meaning is not None and isinstance(alert_id, str):
            found.append(Click(alert_id, person, meaning, channel))
    return found


def answer_click(outcome: tuple[Sequence[str], bool | None] | None) -> str:
    """Say what became of a click: its topics and what holds now, None if the alert is not known."""
    if outcome is None:
        return "This alert is not in the history any more, so nothing was noted."
    topics, positive = outcome
    named = ", ".join(topic_in_words(topic) for topic in topics)
    if positive is None:
        return f"Taken back: you say nothing about {named}."
    word = "relevant" if positive else "not relevant"
    return f"Noted: {word} for {named}. The same button takes it back."


def _id_in(payload: Mapping[str, object], key: str) -> str | None:
    value = payload.get(key)
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None
