"""What the operator is told of feeds, channels and drift: once per episode or week, through the outbox."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from flows.alerts.rules import AlertPolicy
from tocsin.types import Alert, ChannelTrouble, Feed, FeedWarning

OUTLET = "Tocsin"


def compose_warnings(
    warnings: Iterable[FeedWarning], feeds: Mapping[str, Feed], *, channel: str, now: datetime
) -> list[Alert]:
    """Make an alert for the operator's channel of each warning; `feeds` gives names by URL, where known.

    An alert's id is its warning's, so an episode can never ring twice.
    """
    return [_compose(warning, feeds.get(warning.feed_url), channel, now) for warning in warnings]


def _compose(warning: FeedWarning, feed: Feed | None, channel: str, now: datetime) -> Alert:
    name = feed and (feed.title or feed.outlet)
    return Alert(
        alert_id=warning.warning_id,
        article_id=stand_in(warning.warning_id),
        channel=channel.removeprefix("#"),
        title=f"{name}: {warning.message}" if name else warning.message,
        url=warning.feed_url,
        outlet=OUTLET,
        published_at=warning.since,
        decided_at=now,
        reasons=(),
    )


def compose_troubles(troubles: Iterable[ChannelTrouble], *, channel: str, now: datetime) -> list[Alert]:
    """Make an alert for the operator's channel of each trouble that began `now`."""
    return [_compose_trouble(trouble, channel, now) for trouble in troubles]


def hold_warnings(warnings: Sequence[Alert], policy: AlertPolicy, now: datetime) -> list[Alert]:
    """Let warnings that were made in quiet hours wait for their end, unless the policy says otherwise."""
    until = policy.quiet_until(now) if policy.hold_warnings else None
    return [replace(warning, hold_until=until) for warning in warnings]


def _compose_trouble(trouble: ChannelTrouble, channel: str, now: datetime) -> Alert:
    episode = hashlib.sha256(f"{trouble.subject} {now.isoformat()}".encode()).hexdigest()[:24]
    return Alert(
        alert_id=episode,
        article_id=stand_in(episode),
        channel=channel.removeprefix("#"),
        title=f"Alerts are not delivered as promised. {trouble.message}",
        url=None,
        outlet=OUTLET,
        published_at=now,
        decided_at=now,
        reasons=(),
    )


def compose_drift(week: str, message: str, *, channel: str, now: datetime) -> Alert:
    """Make an alert for the operator's channel of a week's drift; the same week's has the same id."""
    report_id = hashlib.sha256(f"drift {week}".encode()).hexdigest()[:24]
    return Alert(
        alert_id=report_id,
        article_id=stand_in(report_id),
        channel=channel.removeprefix("#"),
        title=message,
        url=None,
        outlet=OUTLET,
        published_at=now,
        decided_at=now,
        reasons=(),
    )


def stand_in(warning_id: str) -> int:
    """Give what stands for an article in the outbox: 63 bits, another for every episode."""
    return int.from_bytes(hashlib.blake2b(warning_id.encode(), digest_size=8).digest(), "big") >> 1
