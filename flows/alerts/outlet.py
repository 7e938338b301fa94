"""What delivery asks of an outlet for alerts (Slack, the console), whatever is behind it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

from flows.alerts.compose import Message

# `DeliveryDelayed.code` when the outlet asks us to slow down in this one channel.
RATE_LIMITED = "ratelimited"

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


class Outlet(Protocol):
    """A place where alerts are told."""

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

    def find_delivered(self, channel: str, alert_ids: Collection[str], oldest: datetime) -> dict[str, str]:
        """Return message ids of those alerts that the channel already holds, looking back to `oldest`.

        An alert that is absent was certainly not there. Raises the same errors as `send`.
        """
