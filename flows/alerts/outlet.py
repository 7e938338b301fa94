"""What delivery asks of an outlet for alerts (Slack, the console), whatever is behind it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

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


class Outlet(Protocol):
    """A place where alerts are told."""

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

    def find_delivered(self, channel: str, alert_ids: Collection[str], oldest: datetime) -> dict[str, str]:
        """Return message ids of those alerts that the channel already holds, looking back to `oldest`.

        An alert that is absent was certainly not there, and will be sent again; an outlet without a memory
        of its own returns nothing, and so delivers at least once. Raises the same errors as `send`.
        """
