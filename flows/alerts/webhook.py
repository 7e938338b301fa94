"""Webhooks as outlets: Slack's incoming one, and one of signed JSON. How a post is made is given to them."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from flows.alerts.compose import Message
from flows.alerts.compose_list import LIST_ABOVE
from flows.alerts.outlet import RATE_LIMITED
from tocsin.errors import DeliveryDelayed, DeliveryError, DeliveryRefused, DeliveryUncertain
from tocsin.types import Alert, Posted, Spike

# Takes a body and headers, posts them once to an address of its own, and raises only `DeliveryError`s.
Post = Callable[[bytes, Mapping[str, str]], Posted]

WEBHOOK = "webhook:"
SLACK_WEBHOOK_SETTING = "TOCSIN_SLACK_WEBHOOK"
WEBHOOK_SETTING = "TOCSIN_WEBHOOK_URL"
BODY_VERSION = 1

_CODE = re.compile(r"[a-z][a-z0-9_]{0,79}")
_DEFAULT_PAUSE = timedelta(seconds=30)


class _Forgetful:
    """An outlet that cannot be asked what it holds: an alert in doubt is sent again (at least once)."""

    weakness: str | None = None

    def find_delivered(
        self, channel: str, alert_ids: Collection[str], oldest: datetime, *, threads: Collection[str] = ()
    ) -> dict[str, str]:
        """Return nothing: there is nobody to ask, and an alert that comes twice beats one that is lost."""
        del channel, alert_ids, oldest, threads
        return {}


class SlackWebhookOutlet(_Forgetful):
    """Posts to Slack's incoming webhook: for people who cannot install an app. It has no history."""

    name = "slack_webhook"
    list_above: int | None = LIST_ABOVE
    tune_url: str | None = None
    pace = timedelta(seconds=1)
    settle = timedelta(seconds=5)
    weakness = (
        f"{SLACK_WEBHOOK_SETTING}: an incoming webhook has no history to look alerts up in, so 'never twice' "
        "does not hold: an alert in doubt (a crash, or no answer) is sent again and may come twice. Every "
        "topic's alerts arrive in the webhook's one channel, and reactions are not read"
    )

    def __init__(self, post: Post) -> None:
        self._post = post

    def send(self, channel: str, message: Message) -> str:
        """Post once; the channel is the webhook's own, whatever is asked for.

        Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
        """
        del channel
        body = {"text": message.text, "blocks": message.blocks, "mrkdwn": False, "unfurl_links": False}
        posted = self._post(json.dumps(body).encode(), {})
        _require_accepted(posted, SLACK_WEBHOOK_SETTING, code=posted.text.strip())
        return f"{self.name}:{message.alerts[0].alert_id}"


class JsonWebhookOutlet(_Forgetful):
    """Posts each alert as signed JSON, at least once; the receiver tells repeats by the key."""

    name = "webhook"
    list_above = None
    pace = timedelta(0)
    settle = timedelta(seconds=2)

    def __init__(self, post: Post, secret: bytes, *, clock: Callable[[], datetime]) -> None:
        self._post, self._secret, self._clock = post, secret, clock

    def send(self, channel: str, message: Message) -> str:
        """Post the alert, signed with the time of sending. Raises: see `SlackWebhookOutlet.send`."""
        (alert,) = message.alerts
        body = write_body(alert, channel=channel.removeprefix(WEBHOOK))
        timestamp = str(int(self._clock().timestamp()))
        headers = {
            "Idempotency-Key": alert.alert_id,
            "Tocsin-Timestamp": timestamp,
            "Tocsin-Signature": f"v1={sign_body(self._secret, timestamp, body)}",
        }
        _require_accepted(self._post(body, headers), WEBHOOK_SETTING)
        return f"{self.name}:{alert.alert_id}"


class UnsetOutlet(_Forgetful):
    """Stands for a webhook that a channel names and no setting gives: it refuses, so that alerts wait."""

    name = "webhook"
    list_above = None
    pace = settle = timedelta(0)

    def send(self, channel: str, message: Message) -> str:
        """Refuse. Raises: DeliveryRefused."""
        del message
        text = f"{WEBHOOK_SETTING}: it is not set, and channel {channel} needs it"
        raise DeliveryRefused("not_configured", text)


def write_body(alert: Alert, *, channel: str) -> bytes:
    """Write an alert as JSON; the same alert gives the same bytes."""
    value = {
        "version": BODY_VERSION,
        "alert_id": alert.alert_id,
        "channel": channel,
        "title": alert.title,
        "url": alert.url,
        "outlet": alert.outlet,
        "published_at": _write_time(alert.published_at),
        "decided_at": _write_time(alert.decided_at),
        "topics": [
            {"topic": reason.topic, "score": round(reason.score, 4), "sentence": reason.sentence}
            for reason in alert.reasons
        ],
        **({"spike": _write_spike(alert.spike)} if alert.spike else {}),
    }
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


def _write_spike(spike: Spike) -> dict[str, object]:
    return {
        "topic": spike.topic,
        "hours": spike.hours,
        "matches": spike.matches,
        "usual": round(spike.usual, 2),
        "z_score": round(spike.z_score, 2),
        "outlets": spike.outlets,
        "began_at": _write_time(spike.began_at),
        "stories": [asdict(story) for story in spike.stories],
        "terms": list(spike.terms),
    }


def sign_body(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the HMAC-SHA256 of timestamp, a full stop and body, in hexadecimal digits."""
    return hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _write_time(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat(timespec="seconds")


def _require_accepted(posted: Posted, setting: str, *, code: str = "") -> None:
    if not 200 <= posted.status < 300:
        raise _judge(posted, setting, code if _CODE.fullmatch(code) else f"http_{posted.status}")


def _judge(posted: Posted, setting: str, code: str) -> DeliveryError:
    if posted.status == 429 or (posted.status == 503 and posted.retry_after):
        pause = _read_pause(posted.retry_after)
        text = f"{setting}: the receiver asks to wait {pause.total_seconds():g} s"
        return DeliveryDelayed(RATE_LIMITED, text, retry_after=pause)
    if posted.status >= 500 or posted.status == 408:
        return DeliveryUncertain(code, f"{setting}: the answer leaves open whether it was taken ({code})")
    return DeliveryRefused(code, f"{setting}: the receiver refused it ({code}); check the address")


def _read_pause(retry_after: str | None) -> timedelta:
    seconds = (retry_after or "").strip()
    return timedelta(seconds=int(seconds)) if re.fullmatch(r"[0-9]{1,6}", seconds) else _DEFAULT_PAUSE
