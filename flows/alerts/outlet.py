"""What delivery asks of an outlet for alerts (Slack, the console), whatever is behind it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from flows.alerts.compose import Message

# `DeliveryDelayed.code` when the outlet asks us to slow down in this one channel.
RATE_LIMITED = "ratelimited"

# `DeliveryRefused.code`s that concern everything sent through the outlet, whatever the channel.
OUTLET_FAULTS = frozenset(
    {
        "account_inactive",
        "invalid_auth",
        "missing_scope",
        "not_allowed_token_type",
        "not_authed",
        "token_expired",
        "token_revoked",
        "untrusted_certificate",
    }
)

# `DeliveryRefused.code`s that concern one message; any other refusal concerns its whole channel.
MESSAGE_FAULTS = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "metadata_too_large",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
    }
)

# `DeliveryRefused.code`s that say that a message cannot be posted in its thread: it can be posted outside.
THREAD_FAULTS = frozenset(
    {
        "cannot_reply_to_message",
        "message_not_found",
        "restricted_action_non_threadable_channel",
        "restricted_action_thread_locked",
        "thread_not_found",
    }
)

# `DeliveryRefused.code`s that end the updates of a message: people deleted it, or it may not be changed.
UPDATE_FAULTS = MESSAGE_FAULTS | {
    "cant_update_message",
    "channel_not_found",
    "edit_window_closed",
    "is_archived",
    "is_inactive",
    "message_not_found",
}


class Outlet(Protocol):
    """A place where alerts are told.

    An outlet may have a `tune_url`: where people tune a topic, with `{topic}` for its name. It `has_buttons`
    if clicks on its messages are listened to.
    """

    @property
    def name(self) -> str:
        """What the outlet is called in tables, such as slack or console."""

    @property
    def list_above(self) -> int | None:
        """With more alerts than this waiting, a channel gets lists; None: each alert is a message."""

    @property
    def weakness(self) -> str | None:
        """The promise that the outlet cannot keep, as far as is known by now, in words for the operator."""

    @property
    def pace(self) -> timedelta:
        """The least time between two messages in one channel."""

    @property
    def settle(self) -> timedelta:
        """The time after which a send that got no answer can no longer arrive."""

    def send(self, channel: str, message: Message) -> str:
        """Send once, without retries, and return the outlet's id of the message.

        Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
        """

    def find_delivered(
        self, channel: str, alert_ids: Collection[str], oldest: datetime, *, threads: Collection[str] = ()
    ) -> dict[str, str]:
        """Return message ids of those alerts that the channel already holds, looking back to `oldest`.

        `threads` are the messages in whose threads they may have been posted.

        An alert that is absent was certainly not there, and will be sent again; an outlet without a memory
        of its own returns nothing, and so delivers at least once. Raises the same errors as `send`.
        """


@runtime_checkable
class UpdatingOutlet(Outlet, Protocol):
    """An outlet whose messages can be changed after they were sent."""

    def update(self, channel: str, message_ts: str, message: Message) -> None:
        """Put a message in the place of one that was sent; doing so twice is the same as once.

        Raises the same errors as `send`.
        """


@dataclass(frozen=True, slots=True)
class Image:
    """A picture to upload: PNG bytes, and what stands for it where it cannot be seen."""

    content: bytes
    filename: str
    title: str
    alt_text: str


@runtime_checkable
class UploadingOutlet(Outlet, Protocol):
    """An outlet that takes pictures."""

    def upload(self, channel: str, image: Image, *, thread_ts: str | None = None) -> str:
        """Upload a picture, once, and return its id; without a thread, it is not shown anywhere yet.

        Raises the same errors as `send`.
        """
