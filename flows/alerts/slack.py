"""Slack as an outlet: sends a message once, and asks a channel what it holds."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from flows.alerts.compose import EVENT_TYPE, Message
from flows.alerts.compose_list import LIST_ABOVE
from flows.alerts.slack_api import SLACK_API, Page, SlackApi, items_of, malformed
from flows.alerts.slack_scopes import lost_guarantee


class SlackOutlet:
    """Posts messages and finds those posted before. One object per run; not for several threads."""

    name = "slack"
    list_above: int | None = LIST_ABOVE

    def __init__(
        self,
        token: str,
        base_url: str = SLACK_API,
        *,
        timeout: float = 10.0,
        pace: timedelta = timedelta(seconds=1),
        settle: timedelta = timedelta(seconds=5),
    ) -> None:
        """Prepare to talk to Slack; nothing is sent yet.

        `timeout` is in seconds, per step of an exchange. Raises: SettingsError if the token cannot be one.
        """
        self.pace = pace
        self.settle = settle
        self.api = SlackApi(token, base_url, timeout=timeout)

    @property
    def weakness(self) -> str | None:
        """The promise that cannot be kept with the scopes that Slack named, if it named any."""
        return lost_guarantee(self.api.scopes)

    def send(self, channel: str, message: Message) -> str:
        """Post once and return Slack's `ts` of the message.

        Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
        """
        name = channel.removeprefix("#")
        answer = self.api.post(
            "chat.postMessage",
            about=name,
            channel=self.api.known_id(name),
            text=message.text,
            blocks=message.blocks,
            metadata=message.metadata,
            mrkdwn=False,
            parse="none",
            link_names=False,
            unfurl_links=False,
            unfurl_media=False,
        )
        self.api.remember_id(name, answer.get("channel"))
        ts = answer.get("ts")
        if not isinstance(ts, str) or not ts:
            raise malformed(name)
        return ts

    def find_delivered(self, channel: str, alert_ids: Collection[str], oldest: datetime) -> dict[str, str]:
        """Return the `ts` of messages that carry these alert ids, from the channel's history since `oldest`.

        An id that is absent is in no message of that time: a history that cannot be read to its end is an
        error.
        Raises: DeliveryRefused (a scope is missing, say), DeliveryDelayed, DeliveryUncertain.
        """
        name, wanted, found = channel.removeprefix("#"), set(alert_ids), dict[str, str]()
        for messages in read_history(self.api, name, oldest):
            for message in messages:
                ts = message.get("ts")
                if isinstance(ts, str):
                    found |= dict.fromkeys(wanted.intersection(alert_ids_of(message)), ts)
            if len(found) == len(wanted):
                break
        return found


def read_history(api: SlackApi, name: str, oldest: datetime) -> Iterator[list[Page]]:
    """Give a channel's messages since `oldest`, newest first, page by page.

    Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
    """
    pages = api.ask_pages(
        "conversations.history",
        about=name,
        channel=api.find_id(name),
        oldest=f"{oldest.timestamp():.6f}",
        include_all_metadata=True,
    )
    for page in pages:
        messages = items_of(page, "messages", name)
        yield messages
        if messages and _seconds(messages[-1].get("ts")) < oldest.timestamp():
            return


def alert_ids_of(message: Page) -> list[str]:
    """Return the ids of the alerts that a message tells; none if it is not ours."""
    metadata = message.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("event_type") != EVENT_TYPE:
        return []
    payload = metadata.get("event_payload")
    if not isinstance(payload, dict):
        return []
    named = [payload.get("alert_id"), payload.get("alert_ids")]
    return [alert_id for value in named if isinstance(value, str) for alert_id in value.split()]


def _seconds(ts: object) -> float:
    """Return a `ts` in seconds; one that cannot be read counts as recent, so that reading goes on."""
    try:
        return float(ts) if isinstance(ts, str) else math.inf
    except ValueError:
        return math.inf
