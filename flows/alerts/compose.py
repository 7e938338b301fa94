"""Alerts as Slack messages (pure). What strangers wrote is literal text and explicit links, never markup."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from flows.alerts.safe_text import escape_text, read_link
from flows.alerts.words import (
    again_in_words,
    also_in_words,
    origin_of,
    score_in_words,
    sentences_of,
    spike_figures,
    spike_terms,
    story_outlets,
    story_title,
    title_of,
    topic_in_words,
)
from tocsin.types import Alert, LeadingStory, Spike

EVENT_TYPE = "tocsin_alert"
DIGEST_TYPE = "tocsin_digest"
# What a click on a button is called when Slack tells of it.
RELEVANT = "tocsin_relevant"
IRRELEVANT = "tocsin_irrelevant"
FALLBACK_LIMIT = 3000
TOPICS_SHOWN = 8
TUNED_SHOWN = 3

Block = dict[str, object]


@dataclass(frozen=True, slots=True)
class Message:
    """What an outlet sends, and the alerts that it tells. `text` is the fallback for notifications.

    `thread_ts`: the message in whose thread it belongs; None: it stands by itself.
    """

    alerts: tuple[Alert, ...]
    composed_at: datetime
    text: str
    blocks: list[Block]
    metadata: Block
    thread_ts: str | None = None


def compose_message(
    alert: Alert, *, now: datetime, tune_url: str | None = None, has_buttons: bool = False
) -> Message:
    """Compose the message of one alert, within Slack's limits whatever the alert holds.

    `tune_url` is where people tune a topic, with `{topic}` for its name. `has_buttons`: somebody listens to
    clicks, so people can say yes or no with a button.

    No headline can ping a channel or fake a link: in `rich_text` blocks text is literal and a link is an
    element of its own, and in the fallback `&`, `<` and `>` are escaped.
    """
    link = read_link(alert.url)
    origin = origin_of(alert, link[1] if link else None, now)
    if alert.spike is not None:
        return _compose_spike(alert, alert.spike, origin, now)
    # One section with line breaks of its own: how sections follow each other is up to the client.
    lines = [
        *_topics(alert),
        link_element(title_of(alert), link[0] if link else None),
        text_element(f"\n{origin}"),
    ]
    lines += [text_element(f"\n{words}") for words in (also_in_words(alert), again_in_words(alert)) if words]
    parts: list[Block] = [{"type": "rich_text_section", "elements": lines}]
    if sentences := sentences_of(alert):
        parts.append({"type": "rich_text_quote", "elements": [text_element("\n".join(sentences))]})
    return Message(
        alerts=(alert,),
        composed_at=now,
        text=_fallback(alert, origin),
        blocks=[
            {"type": "rich_text", "elements": parts},
            *(_buttons(alert) if has_buttons else []),
            *_footer(alert, tune_url),
        ],
        metadata={"event_type": EVENT_TYPE, "event_payload": {"alert_id": alert.alert_id}},
        thread_ts=alert.thread_ts,
    )


def _compose_spike(alert: Alert, spike: Spike, origin: str, now: datetime) -> Message:
    """Compose the message of a spike: its numbers, leading stories as links, and terms that stand out."""
    head = [text_element(title_of(alert), bold=True), text_element(f"\n{spike_figures(spike)}")]
    parts: list[Block] = [{"type": "rich_text_section", "elements": head}]
    if spike.stories:
        items = [{"type": "rich_text_section", "elements": _story(story)} for story in spike.stories]
        parts.append({"type": "rich_text_list", "style": "bullet", "elements": items})
    if terms := spike_terms(spike):
        parts.append({"type": "rich_text_section", "elements": [text_element(terms)]})
    return Message(
        alerts=(alert,),
        composed_at=now,
        text=_fallback(alert, origin),
        blocks=[{"type": "rich_text", "elements": parts}],
        metadata={"event_type": EVENT_TYPE, "event_payload": {"alert_id": alert.alert_id}},
    )


def _story(story: LeadingStory) -> list[Block]:
    link = read_link(story.url)
    host = f" · {link[1]}" if link else ""
    return [
        link_element(story_title(story), link[0] if link else None),
        text_element(f" ({story_outlets(story)}{host})"),
    ]


def _topics(alert: Alert) -> list[Block]:
    elements: list[Block] = []
    for reason in alert.reasons[:TOPICS_SHOWN]:
        elements.append(text_element(topic_in_words(reason.topic), bold=True))
        elements.append(text_element(f"  {score_in_words(reason.score)}\n"))
    hidden = len(alert.reasons) - TOPICS_SHOWN
    if hidden > 0:
        elements.append(text_element(f"and {hidden} more topics\n"))
    return elements


def _buttons(alert: Alert) -> list[Block]:
    """Ask whether an alert was worth it; nothing for what is no article (a warning)."""
    if not alert.reasons:
        return []
    asked = ((RELEVANT, "✅ Relevant"), (IRRELEVANT, "❌ Not relevant"))
    elements = [
        {
            "type": "button",
            "action_id": action,
            "value": alert.alert_id,
            "text": {"type": "plain_text", "text": text, "emoji": True},
        }
        for action, text in asked
    ]
    return [{"type": "actions", "elements": elements}]


def _footer(alert: Alert, tune_url: str | None) -> list[Block]:
    """Say in small print how to ask why, and where to tune; nothing for what is no article (a warning).

    The one place with Slack's markup, since small print takes no rich text: digits, a topic's plain words,
    and a link that `read_link` let through, in which no sign of markup is left.
    """
    if not alert.reasons:
        return []
    told = [f"Why this? `tocsin why {alert.article_id}`", *_tuning(alert, tune_url)]
    elements = [{"type": "mrkdwn", "text": text, "verbatim": True} for text in told]
    return [{"type": "context", "elements": elements}]


def _tuning(alert: Alert, tune_url: str | None) -> list[str]:
    topics = [reason.topic for reason in alert.reasons][:TUNED_SHOWN]
    if tune_url is None:
        return []
    if "{topic}" not in tune_url:
        link = read_link(tune_url)
        return [f"<{link[0]}|Mute or tune topics>"] if link else []
    named = [(topic, quote(topic, safe="", errors="replace")) for topic in topics]
    links = [(topic, read_link(tune_url.replace("{topic}", name))) for topic, name in named]
    return [f"<{link[0]}|Tune {_plain_topic(topic)}>" for topic, link in links if link]


def _plain_topic(name: str) -> str:
    """Spell a topic with letters, digits and spaces only."""
    words = "".join(sign if sign.isalnum() else " " for sign in topic_in_words(name))
    return " ".join(words.split()) or "this topic"


def link_element(title: str, url: str | None) -> Block:
    """Make a headline's element: a link of its own, or bold text where there is nothing to link to."""
    if url is None:
        return text_element(title, bold=True)
    return {"type": "link", "url": url, "text": title, "style": {"bold": True}}


def text_element(text: str, *, bold: bool = False) -> Block:
    """Make an element of literal text."""
    element: Block = {"type": "text", "text": text}
    return {**element, "style": {"bold": True}} if bold else element


def _fallback(alert: Alert, origin: str) -> str:
    topics = ", ".join(topic_in_words(reason.topic) for reason in alert.reasons[:TOPICS_SHOWN])
    return escape_text(
        f"{topics or ('Spike' if alert.spike else 'Alert')}: {title_of(alert)} ({origin})", FALLBACK_LIMIT
    )
