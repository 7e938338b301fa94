"""Takes people's clicks on alerts into the history as labels, and says so to them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from flows.alerts.slack_api import SlackApi
from flows.alerts.slack_clicks import answer_click, read_clicks
from flows.alerts.slack_socket import SocketListener, whisper
from storage.database import Database
from storage.folder import history_path
from storage.labels import record_click
from tocsin.errors import SettingsError, StorageError
from tocsin.settings import Settings
from tocsin.telling import Click

log = logging.getLogger(__name__)


def take_clicks(
    db: Database,
    payload: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    answer: Callable[[Click, str], None],
) -> int:
    """Record the clicks that Slack tells of, answer each, and return how many there were."""
    clicks = read_clicks(payload)
    for click in clicks:
        try:
            outcome = db.change(partial(record_click, click=click, now=clock()))
            said = answer_click(outcome)
        except StorageError as error:
            log.warning("click.lost alert=%s error=%s", click.alert_id, error)
            said = "Your click could not be noted just now. Please try again in a minute."
        answer(click, said)
    return len(clicks)


@contextmanager
def listening(settings: Settings, *, clock: Callable[[], datetime]) -> Iterator[bool]:
    """Listen to clicks for a while, if both tokens are set; gives whether they are.

    Raises: DeliveryRefused if Slack does not take the app-level token.
    """
    if settings.slack_app_token is None or settings.slack_bot_token is None:
        yield False
        return
    api = SlackApi(settings.slack_bot_token.get_secret_value(), settings.slack_base_url)
    db = Database(history_path(settings.data))

    def on_interaction(payload: Mapping[str, object]) -> None:
        take_clicks(db, payload, clock=clock, answer=lambda click, text: whisper(api, click, text))

    listener = SocketListener(
        settings.slack_app_token.get_secret_value(), on_interaction, base_url=settings.slack_base_url
    )
    listener.open()
    try:
        yield True
    finally:
        listener.close()


def require_tokens(settings: Settings) -> None:
    """Say what listening needs. Raises: SettingsError."""
    if settings.slack_app_token is None or settings.slack_bot_token is None:
        raise SettingsError(
            "SLACK_APP_TOKEN and SLACK_BOT_TOKEN must both be set to listen to buttons: docs/slack.md"
        )
