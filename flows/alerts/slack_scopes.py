"""The scopes that our calls need of a Slack app, and what is lost without each (pure)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope, the calls that need it, and what is lost without it."""

    name: str
    methods: tuple[str, ...]
    loss: str


_IN_DOUBT = "an alert in doubt (a crash, or no answer from Slack) cannot be looked up there: it is kept back"
_BY_NAME = "cannot be found by their names, so nothing can be looked up in them"
_READ = ("conversations.history", "conversations.replies")

SCOPES = (
    Scope("chat:write", ("chat.postMessage", "chat.update", "chat.postEphemeral"), "no alert can be sent"),
    Scope("channels:read", ("conversations.list",), f"public channels {_BY_NAME}"),
    Scope("channels:history", _READ, f"public channels cannot be read: {_IN_DOUBT}"),
    Scope("groups:read", ("conversations.list",), f"private channels {_BY_NAME}"),
    Scope("groups:history", _READ, f"private channels cannot be read: {_IN_DOUBT}"),
    Scope("reactions:read", ("reactions.get",), "of many reactions to one message not all can be counted"),
    Scope("files:write", ("files_upload_v2",), "a digest goes without its chart"),
)


def missing_scopes(granted: Collection[str]) -> tuple[Scope, ...]:
    """Return the scopes that are needed and not granted, gravest first."""
    return tuple(scope for scope in SCOPES if scope.name not in granted)


def lost_guarantee(granted: Collection[str] | None) -> str | None:
    """Say which promise cannot be kept with these scopes; None if all can, or the scopes are not known."""
    if granted is None or "channels:history" in granted:
        return None
    return (
        "Slack app's scopes: channels:history is missing, so 'never lost, never twice' does not hold: an "
        "alert in doubt (a crash, or no answer) can be neither looked up nor sent again, and waits. Add the "
        "scope and reinstall the app; `tocsin slack check` tells what else is missing"
    )
