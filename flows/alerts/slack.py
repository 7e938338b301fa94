"""The Slack edge and the one home of slack_sdk: sends a message once, and asks a channel what it holds."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from functools import partial
from http.client import HTTPException
from socket import gaierror
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from flows.alerts.compose import EVENT_TYPE, Message
from flows.alerts.slack_answers import SlackAnswer, judge_answer
from tocsin.errors import DeliveryDelayed, DeliveryError, DeliveryRefused, DeliveryUncertain, SettingsError

SLACK_API = "https://slack.com/api/"
PAGE = 200

_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{8,}")
_NOT_CONNECTED_PAUSE = timedelta(seconds=15)

Page = dict[str, object]


class SlackOutlet:
    """Posts messages and finds those posted before. One object per run; not for several threads."""

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
        # An HTTP client's complaint about a malformed header would print the token, so it never gets there.
        if not re.fullmatch(r"[\x21-\x7e]+", token.strip()):
            raise SettingsError(
                "SLACK_BOT_TOKEN is empty, or has a space, line break or other odd sign inside"
            )
        self.pace = pace
        self.settle = settle
        # No retries: slack_sdk's own repeat a post whose connection broke, which can post it twice.
        self._client = WebClient(token=token, base_url=base_url, retry_handlers=[])
        self._client.timeout = timeout  # type: ignore[assignment]  # urllib takes fractions of a second
        self._ids: dict[str, str] = {}

    def send(self, channel: str, message: Message) -> str:
        """Post once and return Slack's `ts` of the message.

        Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
        """
        name = channel.removeprefix("#")
        answer = self._call(
            partial(
                self._client.chat_postMessage,
                channel=self._ids.get(name, name),
                text=message.text,
                blocks=message.blocks,
                metadata=message.metadata,
                mrkdwn=False,
                parse="none",
                link_names=False,
                unfurl_links=False,
                unfurl_media=False,
            ),
            method="chat.postMessage",
            name=name,
        )
        self._remember(name, answer.get("channel"))
        ts = answer.get("ts")
        if not isinstance(ts, str) or not ts:
            raise _malformed(name)
        return ts

    def find_delivered(self, channel: str, alert_ids: Collection[str], oldest: datetime) -> dict[str, str]:
        """Return the `ts` of messages that carry these alert ids, from the channel's history since `oldest`.

        An id that is absent is in no message of that time: a history that cannot be read to its end is an
        error.
        Raises: DeliveryRefused (a scope is missing, say), DeliveryDelayed, DeliveryUncertain.
        """
        name, found = channel.removeprefix("#"), dict[str, str]()
        for page in self._read_history(name, oldest):
            for message in _items(page, "messages", name):
                alert_id, ts = _alert_id_of(message), message.get("ts")
                if alert_id is not None and alert_id in alert_ids and isinstance(ts, str):
                    found[alert_id] = ts
            if len(found) == len(set(alert_ids)):
                break
        return found

    def _read_history(self, name: str, oldest: datetime) -> Iterator[Page]:
        read = partial(
            self._client.conversations_history,
            channel=self._find_id(name),
            oldest=f"{oldest.timestamp():.6f}",
            include_all_metadata=True,
            limit=PAGE,
        )
        for page in self._read_pages(read, method="conversations.history", name=name):
            yield page
            last = _items(page, "messages", name)[-1:]
            if last and _seconds(last[0].get("ts")) < oldest.timestamp():
                return

    def _find_id(self, name: str) -> str:
        if _CHANNEL_ID.fullmatch(name):
            return name
        if name not in self._ids:
            read = partial(
                self._client.conversations_list, types="public_channel,private_channel", limit=PAGE
            )
            for page in self._read_pages(read, method="conversations.list", name=name):
                for channel in _items(page, "channels", name):
                    self._remember(str(channel.get("name")), channel.get("id"))
        if name not in self._ids:
            raise judge_answer(SlackAnswer("conversations.list", name, 200, "channel_not_found"))
        return self._ids[name]

    def _remember(self, name: str, channel_id: object) -> None:
        if isinstance(channel_id, str):
            self._ids[name] = channel_id

    def _read_pages(self, read: Callable[..., SlackResponse], *, method: str, name: str) -> Iterator[Page]:
        cursor: str | None = None
        while True:
            page = self._call(partial(read, cursor=cursor), method=method, name=name)
            yield page
            cursor = _next_cursor(page)
            if cursor is None:
                if page.get("has_more"):
                    raise _malformed(name)
                return

    def _call(self, call: Callable[[], SlackResponse], *, method: str, name: str) -> Page:
        """Make one call and return its answer, which is a success."""
        try:
            data = call().data
        except SlackApiError as error:
            failure = judge_answer(_read_answer(error.response, method, name))
        except (OSError, HTTPException, ValueError, AttributeError, LookupError) as error:
            # The last three are what slack_sdk lets through when an answer is not JSON, or not an object.
            failure = _judge_exchange(error, name)
        else:
            if isinstance(data, dict):
                return data
            failure = _malformed(name)
        # Raised out here so that slack_sdk's error, which holds the request's headers, is not chained.
        raise failure


def _read_answer(response: SlackResponse, method: str, channel: str) -> SlackAnswer:
    data = response.data if isinstance(response.data, dict) else {}
    needed = data.get("needed")
    return SlackAnswer(
        method=method,
        channel=channel,
        status=response.status_code,
        code=data.get("error"),
        retry_after=response.headers.get("Retry-After"),
        needed_scope=needed if isinstance(needed, str) else None,
    )


def _judge_exchange(error: Exception, channel: str) -> DeliveryError:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        text = (
            "Slack's address: its certificate is not trusted; check the proxy and the machine's certificates"
        )
        return DeliveryRefused("untrusted_certificate", text)
    # Only these are sure to come before a byte of the request was sent; a time-out may come after.
    if isinstance(error, URLError) and isinstance(reason, ConnectionRefusedError | gaierror):
        text = f"Slack's address: no connection ({type(reason).__name__}); check the network"
        return DeliveryDelayed("not_connected", text, retry_after=_NOT_CONNECTED_PAUSE)
    text = (
        f"Slack's connection: it broke for channel {channel} before an answer came ({type(reason).__name__})"
    )
    return DeliveryUncertain("no_answer", text)


def _malformed(channel: str) -> DeliveryUncertain:
    return DeliveryUncertain("malformed", f"Slack's answer for channel {channel} cannot be understood")


def _items(page: Page, key: str, channel: str) -> list[Page]:
    """Return a page's list of objects; an absent list is an error and never means that nothing is there."""
    items = page.get(key)
    if not isinstance(items, list):
        raise _malformed(channel)
    return [item for item in items if isinstance(item, dict)]


def _next_cursor(page: Page) -> str | None:
    metadata = page.get("response_metadata")
    cursor = metadata.get("next_cursor") if isinstance(metadata, dict) else None
    return cursor if isinstance(cursor, str) and cursor else None


def _alert_id_of(message: Page) -> str | None:
    metadata = message.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("event_type") != EVENT_TYPE:
        return None
    payload = metadata.get("event_payload")
    alert_id = payload.get("alert_id") if isinstance(payload, dict) else None
    return alert_id if isinstance(alert_id, str) else None


def _seconds(ts: object) -> float:
    """Return a `ts` in seconds; one that cannot be read counts as recent, so that reading goes on."""
    try:
        return float(ts) if isinstance(ts, str) else math.inf
    except ValueError:
        return math.inf
