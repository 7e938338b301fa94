"""Slack's Socket Mode: clicks come over a connection that we open, so no public address is needed.

Beside `slack_api` the only module that knows slack_sdk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from flows.alerts.slack_api import SLACK_API, SlackApi
from tocsin.errors import DeliveryError, DeliveryRefused
from tocsin.telling import Click

log = logging.getLogger(__name__)

OnInteraction = Callable[[Mapping[str, object]], None]


class SocketListener:
    """Listens until closed; connections that break are opened again by slack_sdk."""

    def __init__(self, app_token: str, on_interaction: OnInteraction, *, base_url: str = SLACK_API) -> None:
        """Prepare to listen; nothing is asked of Slack yet. Several threads may call `on_interaction`."""
        self._on_interaction = on_interaction
        self._client = SocketModeClient(app_token=app_token, web_client=WebClient(base_url=base_url))
        self._client.socket_mode_request_listeners.append(self._take)

    def open(self) -> None:
        """Connect. Raises: DeliveryRefused if Slack does not take the token."""
        try:
            self._client.connect()
        except SlackApiError as error:
            code = str(error.response.get("error"))
        else:
            return
        # Raised out here so that slack_sdk's error, which holds the request's headers, is not chained.
        raise DeliveryRefused(code, f"SLACK_APP_TOKEN: Slack refused to open a socket ({code})")

    def close(self) -> None:
        """Stop listening."""
        self._client.close()

    def _take(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        """Acknowledge first, within Slack's three seconds; what follows may wait for the history."""
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        if request.type == "interactive":
            try:
                self._on_interaction(request.payload)
            except Exception:  # the listener must outlive whatever a click leads to
                log.exception("click.failed")


def whisper(api: SlackApi, click: Click, text: str) -> None:
    """Answer the person alone; that a click was noted counts more than that it was said."""
    place = click.channel
    try:
        api.post("chat.postEphemeral", about=place, channel=place, user=click.person, text=text)
    except DeliveryError as error:
        log.warning("click.unanswered alert=%s code=%s", click.alert_id, error.code)
