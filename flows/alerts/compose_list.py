"""Many waiting alerts as one Slack message that lists them (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from flows.alerts.compose import EVENT_TYPE, FALLBACK_LIMIT, Block, Message, link_element, text_element
from flows.alerts.safe_text import cut_text, escape_text, read_link
from flows.alerts.words import origin_of, title_of, topic_in_words
from tocsin.types import Alert

# With more alerts than this waiting, a Slack channel gets lists instead of one message each.
LIST_ABOVE = 20
# What one list holds at most. Slack names no limit for rich text as a whole: this stays far below its
# 40,000 for a message's text, and 25 digits of id for each alert stay below 8 kB of metadata.
LISTED_MOST = 40
LISTED_SIZE = 16_000
_TITLE_LIMIT = 150
_TOPICS_SHOWN = 2


def take_listed(alerts: Sequence[Alert]) -> tuple[Alert, ...]:
    """Take from the front as many alerts as one list holds, and at least one."""
    taken, size = list[Alert](), 0
    for alert in alerts[:LISTED_MOST]:
        size += len(alert.url or "") + 2 * _TITLE_LIMIT
        if taken and size > LISTED_SIZE:
            break
        taken.append(alert)
    return tuple(taken)


def compose_list(alerts: Sequence[Alert], *, now: datetime) -> Message:
    """Compose one message of several alerts, in their order; its metadata hold every alert's id."""
    heading = f"{len(alerts)} alerts waited for this channel, oldest first"
    items = [_item(alert, now) for alert in alerts]
    listed = {"type": "rich_text_list", "style": "bullet", "elements": items}
    head = {"type": "rich_text_section", "elements": [text_element(heading, bold=True)]}
    titles = "; ".join(title_of(alert) for alert in alerts)
    return Message(
        alerts=tuple(alerts),
        composed_at=now,
        text=escape_text(f"{heading}: {titles}", FALLBACK_LIMIT),
        blocks=[{"type": "rich_text", "elements": [head, listed]}],
        metadata={
            "event_type": EVENT_TYPE,
            "event_payload": {"alert_ids": " ".join(alert.alert_id for alert in alerts)},
        },
    )


def _item(alert: Alert, now: datetime) -> Block:
    return {"type": "rich_text_section", "elements": list(_elements(alert, now))}


def _elements(alert: Alert, now: datetime) -> Iterator[Block]:
    link = read_link(alert.url)
    if alert.reasons:
        names = [topic_in_words(reason.topic) for reason in alert.reasons[:_TOPICS_SHOWN]]
        more = len(alert.reasons) - len(names)
        yield text_element(", ".join(names) + (f" and {more} more" if more > 0 else "") + ": ", bold=True)
    yield link_element(cut_text(title_of(alert), _TITLE_LIMIT), link[0] if link else None)
    yield text_element(f"  {origin_of(alert, link[1] if link else None, now)}")
