"""Calls of Slack's Web API and the one home of slack_sdk: each is made once, and its answer judged."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.client import HTTPException
from socket import gaierror
from typing import Any
from urllib.error import URLError

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web import SlackResponse

from flows.alerts.slack_answers import SlackAnswer, judge_answer
from tocsin.errors import DeliveryDelayed, DeliveryError, DeliveryRefused, DeliveryUncertain, SettingsError

SLACK_API = "https://slack.com/api/"
PAGE = 200

_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{8,}")
_NOT_CONNECTED_PAUSE = timedelta(seconds=15)

Page = dict[str, object]


class SlackApi:
    """Makes calls with one token. One object per run; not for several threads.

    `scopes` are those that Slack said the token has with its last answer; None until it said so.
    """

    def __init__(self, token: str, base_url: str = SLACK_API, *, timeout: float = 10.0) -> None:
        """Prepare to talk to Slack; nothing is sent yet.

        `timeout` is in seconds, per step of an exchange. Raises: SettingsError if the token cannot be one.
        """
        # An HTTP client's complaint about a malformed header would print the token, so it never gets there.
        if not re.fullmatch(r"[\x21-\x7e]+", token.strip()):
            raise SettingsError(
                "SLACK_BOT_TOKEN is empty, or has a space, line break or other odd sign inside"
            )
        # No retries: slack_sdk's own repeat a post whose connection broke, which can post it twice.
        self._client = WebClient(token=token, base_url=base_url, retry_handlers=[])
        self._client.timeout = timeout  # type: ignore[assignment]  # urllib takes fractions of a second
        self._ids: dict[str, str] = {}
        self.scopes: frozenset[str] | None = None

    def ask(self, method: str, *, about: str, **arguments: object) -> Page:
        """Make a call that reads; `about` is the channel, or what else its error should name.

        Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
        """
        return self._call(method, about, params=arguments)

    def post(self, method: str, *, about: str, **arguments: object) -> Page:
        """Make a call that writes, once. Raises the same errors as `ask`."""
        return self._call(method, about, json=arguments)

    def ask_pages(self, method: str, *, about: str, **arguments: object) -> Iterator[Page]:
        """Give the answers of a call that reads, page by page; an end that is not the end is an error."""
        cursor: str | None = None
        while True:
            page = self.ask(method, about=about, limit=PAGE, cursor=cursor, **arguments)
            yield page
            cursor = _next_cursor(page)
            if cursor is None:
                if page.get("has_more"):
                    raise malformed(about)
                return

    def list_channels(self, *, about: str) -> Iterator[Page]:
        """Give the channels that the app can see, and remember their ids."""
        kinds = "public_channel,private_channel"
        for page in self.ask_pages("conversations.list", about=about, types=kinds):
            for channel in items_of(page, "channels", about):
                self.remember_id(str(channel.get("name")), channel.get("id"))
                yield channel

    def find_id(self, name: str) -> str:
        """Return a channel's id by its name; an id is itself.

        Raises: DeliveryRefused if there is no such channel, or the app cannot see it.
        """
        if _CHANNEL_ID.fullmatch(name):
            return name
        if name not in self._ids:
            for _ in self.list_channels(about=name):
                pass
        if name not in self._ids:
            raise judge_answer(SlackAnswer("conversations.list", name, 200, "channel_not_found"))
        return self._ids[name]

    def known_id(self, name: str) -> str:
        """Return a channel's id if it was met, else the name: Slack takes both in posts."""
        return self._ids.get(name, name)

    def remember_id(self, name: str, channel_id: object) -> None:
        """Keep a channel's id, if it is one."""
        if isinstance(channel_id, str):
            self._ids[name] = channel_id

    def upload(self, content: bytes, *, about: str, **arguments: Any) -> str:
        """Upload a file, once, and return its id; without a channel, it is nowhere to be seen yet.

        `arguments` are those of `files_upload_v2`. What got no answer may leave a file that nobody sees.
        Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
        """
        page = self._judge(
            "files_upload_v2", about, lambda: self._client.files_upload_v2(content=content, **arguments)
        )
        files = items_of(page, "files", about)
        file_id = files[0].get("id") if files else None
        if not isinstance(file_id, str):
            raise malformed(about)
        return file_id

    def _call(self, method: str, about: str, *, params: Page | None = None, json: Page | None = None) -> Page:
        return self._judge(method, about, lambda: self._client.api_call(method, params=params, json=json))

    def _judge(self, method: str, about: str, call: Callable[[], SlackResponse]) -> Page:
        """Make one call and return its answer, which is a success."""
        try:
            answer = call()
            self._note_scopes(answer)
            data = answer.data
        except SlackApiError as error:
            self._note_scopes(error.response)
            failure = judge_answer(_read_answer(error.response, method, about))
        except SlackRequestError:  # what took the bytes of an upload did not like them
            failure = malformed(about)
        except (OSError, HTTPException, ValueError, AttributeError, LookupError) as error:
            # The last three are what slack_sdk lets through when an answer is not JSON, or not an object.
            failure = _judge_exchange(error, about)
        else:
            if isinstance(data, dict):
                return data
            failure = malformed(about)
        # Raised out here so that slack_sdk's error, which holds the request's headers, is not chained.
        raise failure

    def _note_scopes(self, answer: SlackResponse) -> None:
        for name, value in answer.headers.items():
            if name.lower() == "x-oauth-scopes":
                self.scopes = frozenset(filter(None, re.split(r"[,\s]+", str(value))))


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


def malformed(channel: str) -> DeliveryUncertain:
    """Say that an answer about a channel makes no sense."""
    return DeliveryUncertain("malformed", f"Slack's answer for channel {channel} cannot be understood")


def items_of(page: Page, key: str, channel: str) -> list[Page]:
    """Return a page's list of objects; an absent list is an error and never means that nothing is there."""
    items = page.get(key)
    if not isinstance(items, list):
        raise malformed(channel)
    return [item for item in items if isinstance(item, dict)]


def _next_cursor(page: Page) -> str | None:
    metadata = page.get("response_metadata")
    cursor = metadata.get("next_cursor") if isinstance(metadata, dict) else None
    return cursor if isinstance(cursor, str) and cursor else None
