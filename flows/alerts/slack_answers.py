"""What Slack's answers mean for an alert, and what a person should do about them (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from flows.alerts.outlet import RATE_LIMITED
from tocsin.errors import DeliveryDelayed, DeliveryError, DeliveryRefused, DeliveryUncertain

DEFAULT_RETRY_AFTER = timedelta(seconds=30)

_CODE = re.compile(r"[a-z][a-z0-9_]{0,79}")
_TOO_FAST = frozenset({"ratelimited", "rate_limited"})
# Slack says of these that part of the work may have been done before the error.
_UNCERTAIN = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})

_CHANNEL = "Slack channel {channel}: "
_TOKEN = "SLACK_BOT_TOKEN: "  # noqa: S105  the name of the setting, which the operator should look at
_BUG = "Tocsin's message for Slack channel {channel}: "
_RENEW = "copy the bot token again from the app's OAuth & Permissions page"
_REPORT = "please report this, with the alert's id"

_ADVICE = {
    "channel_not_found": _CHANNEL
    + "it does not exist, or is private and the app was not invited; check its name",
    "not_in_channel": _CHANNEL + "the app is not a member; invite it with /invite",
    "is_archived": _CHANNEL + "it is archived; unarchive it or give the topic another channel",
    "restricted_action": _CHANNEL + "a workspace rule stops the app from posting; ask an administrator",
    "restricted_action_read_only_channel": _CHANNEL + "it is read-only for the app; ask an administrator",
    "message_not_found": _CHANNEL + "the message is not there any more; somebody deleted it",
    "cant_update_message": _CHANNEL + "the message belongs to another app or token, and stays as it is",
    "edit_window_closed": _CHANNEL + "the workspace allows no changes of messages that old",
    "not_authed": _TOKEN + "it is empty; set it to the app's bot token",
    "invalid_auth": _TOKEN + "Slack does not know it; " + _RENEW,
    "token_revoked": _TOKEN + "it was revoked; reinstall the app and " + _RENEW,
    "token_expired": _TOKEN + "it has expired; " + _RENEW,
    "account_inactive": _TOKEN + "its app or workspace was removed; reinstall the app and " + _RENEW,
    "not_allowed_token_type": _TOKEN + "it is of the wrong kind; use the bot token (xoxb-…)",
    "no_text": _BUG + "it is empty; " + _REPORT,
    "invalid_blocks": _BUG + "Slack refused its blocks; " + _REPORT,
    "invalid_blocks_format": _BUG + "Slack refused its blocks; " + _REPORT,
    "invalid_metadata_format": _BUG + "Slack refused its metadata; " + _REPORT,
    "invalid_metadata_schema": _BUG + "Slack refused its metadata; " + _REPORT,
    "metadata_too_large": _BUG + "its metadata are too large; " + _REPORT,
    "msg_blocks_too_long": _BUG + "its blocks are too long; " + _REPORT,
    "msg_too_long": _BUG + "it is too long; " + _REPORT,
}


@dataclass(frozen=True, slots=True)
class SlackAnswer:
    """What Slack answered to one call. `code` is its `error` field, None if there was none to read."""

    method: str
    channel: str
    status: int
    code: object = None
    retry_after: str | None = None
    needed_scope: str | None = None


def judge_answer(answer: SlackAnswer) -> DeliveryError:
    """Turn an answer that is not a success into the error that says what may be done next."""
    code = answer.code if isinstance(answer.code, str) and _CODE.fullmatch(answer.code) else None
    if answer.status == 429 or code in _TOO_FAST:
        pause = _read_pause(answer.retry_after)
        text = f"Slack channel {answer.channel}: Slack asks to wait {pause.total_seconds():g} s"
        return DeliveryDelayed(RATE_LIMITED, text, retry_after=pause)
    if answer.status >= 500 or code in _UNCERTAIN:
        return _doubt(answer, code or f"http_{answer.status}")
    if code is None:
        return _doubt(answer, "malformed") if answer.status < 300 else _refuse_status(answer)
    return DeliveryRefused(code, _advise(answer, code))


def _read_pause(retry_after: str | None) -> timedelta:
    seconds = (retry_after or "").strip()
    return timedelta(seconds=int(seconds)) if re.fullmatch(r"[0-9]{1,6}", seconds) else DEFAULT_RETRY_AFTER


def _doubt(answer: SlackAnswer, code: str) -> DeliveryUncertain:
    question = f"{answer.method} for channel {answer.channel}"
    return DeliveryUncertain(code, f"Slack's answer to {question} leaves open whether it was done ({code})")


def _refuse_status(answer: SlackAnswer) -> DeliveryRefused:
    text = f"Slack's address, or a proxy before it: {answer.method} was answered with HTTP {answer.status}"
    return DeliveryRefused(f"http_{answer.status}", text)


def _advise(answer: SlackAnswer, code: str) -> str:
    if code == "missing_scope":
        scope = answer.needed_scope or "another scope"
        return (
            f"Slack app's scopes: {answer.method} for channel {answer.channel} needs {scope}; "
            "add it on the app's OAuth & Permissions page and reinstall the app"
        )
    advice = _ADVICE.get(code, _CHANNEL + "Slack refused {method}; look the code up in Slack's API reference")
    return f"{advice.format(channel=answer.channel, method=answer.method)} ({code})"
