"""Slack as an outlet: sends a message once, and asks a channel what it holds."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from flows.alerts.compose import DIGEST_TYPE, EVENT_TYPE, Message
from flows.alerts.compose_list import LIST_ABOVE
from flows.alerts.outlet import Image
from flows.alerts.slack_api import SLACK_API, Page, SlackApi, items_of, malformed
from flows.alerts.slack_scopes import lost_guarantee
from tocsin.errors import DeliveryRefused

# What Slack calls a message's `ts`; other outlets' ids, from before Slack was set up, look otherwise.
_TS = re.compile(r"[0-9]{1,12}\.[0-9]{1,8}")
# A thread that is not there holds nothing.
_NO_THREAD = frozenset({"message_not_found", "thread_not_found"})


class SlackOutlet:
    """Posts messages and finds those posted before. One object per run; not for several threads."""

    name = "slack"
    list_above: int | None = LIST_ABOVE
    tune_url: str | None = None
    has_buttons = False

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

        A message of a thread is shown in the channel too, so that nobody has to open the thread to see it.
        Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
        """
        name, thread = channel.removeprefix("#"), message.thread_ts
        threaded = {"thread_ts": thread, "reply_broadcast": True} if thread and _TS.fullmatch(thread) else {}
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
            **threaded,
        )
        self.api.remember_id(name, answer.get("channel"))
        ts = answer.get("ts")
        if not isinstance(ts, str) or not ts:
            raise malformed(name)
        return ts

    def update(self, channel: str, message_ts: str, message: Message) -> None:
        """Put `message` in the place of the one with that `ts`; it may be repeated.

        Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
        """
        name = channel.removeprefix("#")
        if not _TS.fullmatch(message_ts):
            raise DeliveryRefused("message_not_found", f"Slack channel {name}: it never held the message")
        self.api.post(
            "chat.update",
            about=name,
            channel=self.api.find_id(name),
            ts=message_ts,
            text=message.text,
            blocks=message.blocks,
            metadata=message.metadata,
            parse="none",
            link_names=False,
        )

    def upload(self, channel: str, image: Image, *, thread_ts: str | None = None) -> str:
        """Upload a picture, once, and return its id: into the thread of a message, or where nobody sees it.

        Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
        """
        name = channel.removeprefix("#")
        place = {"channel": self.api.find_id(name), "thread_ts": thread_ts} if thread_ts else {}
        return self.api.upload(
            image.content,
            about=name,
            filename=image.filename,
            title=image.title,
            alt_txt=image.alt_text,
            **place,
        )

    def find_delivered(
        self, channel: str, alert_ids: Collection[str], oldest: datetime, *, threads: Collection[str] = ()
    ) -> dict[str, str]:
        """Return the `ts` of messages that carry these ids.

        Looked through are the channel's history since `oldest`, and these threads.

        An id that is absent is in no message of that time: a history that cannot be read to its end is an
        error.
        Raises: DeliveryRefused (a scope is missing, say), DeliveryDelayed, DeliveryUncertain.
        """
        name, wanted, found = channel.removeprefix("#"), set(alert_ids), dict[str, str]()
        readings = [read_history(self.api, name, oldest)]
        readings += [read_thread(self.api, name, ts, oldest) for ts in threads if _TS.fullmatch(ts)]
        for messages in itertools.chain.from_iterable(readings):
            for message in messages:
                ts = message.get("ts")
                if isinstance(ts, str):
                    found |= dict.fromkeys(wanted.intersection(ids_of(message)), ts)
            if len(found) == len(wanted):
                break
        return found


def read_thread(api: SlackApi, name: str, thread_ts: str, oldest: datetime) -> Iterator[list[Page]]:
    """Give the messages of a thread since `oldest`, page by page; none if there is no such thread.

    A message that is shown in the channel too is asked for here as well: which of them the channel's history
    holds is not promised.
    Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
    """
    pages = api.ask_pages(
        "conversations.replies",
        about=name,
        channel=api.find_id(name),
        ts=thread_ts,
        oldest=f"{oldest.timestamp():.6f}",
        include_all_metadata=True,
    )
    try:
        for page in pages:
            yield items_of(page, "messages", name)
    except DeliveryRefused as error:
        if error.code not in _NO_THREAD:
            raise


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


def ids_of(message: Page) -> list[str]:
    """Return the ids of all that a message tells: of alerts, or of a digest."""
    digest_id = _payload(message, DIGEST_TYPE).get("digest_id")
    return [digest_id] if isinstance(digest_id, str) else alert_ids_of(message)


def alert_ids_of(message: Page) -> list[str]:
    """Return the ids of the alerts that a message tells; none if it is not ours."""
    payload = _payload(message, EVENT_TYPE)
    named = [payload.get("alert_id"), payload.get("alert_ids")]
    return [alert_id for value in named if isinstance(value, str) for alert_id in value.split()]


def _payload(message: Page, event_type: str) -> Page:
    """Return what a message carries for an event type; nothing if it is of another."""
    metadata = message.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("event_type") != event_type:
        return {}
    payload = metadata.get("event_payload")
    return payload if isinstance(payload, dict) else {}


def _seconds(ts: object) -> float:
    """Return a `ts` in seconds; one that cannot be read counts as recent, so that reading goes on."""
    try:
        return float(ts) if isinstance(ts, str) else math.inf
    except ValueError:
        return math.inf
