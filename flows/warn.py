"""What the operator is told of feeds: once per episode, through the same outbox as any alert."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from flows.feeds.health import find_warnings
from flows.run import Batch, MonitorRun
from tocsin.types import Alert, Feed, FeedState, FeedWarning

OUTLET = "Tocsin"


def warn_operator(
    run: MonitorRun, batch: Batch, states: Sequence[FeedState], *, now: datetime
) -> list[Alert]:
    """Turn what is wrong with the batch's feeds after a poll into alerts for the operator's channel.

    An episode gives the same alert at every poll, and storage keeps the first: it is told once.
    """
    feeds = {feed.url: feed for feed, _ in batch.requests}
    by_url = {state.url: state for state in states}
    warnings = {url: find_warnings([state], now) for url, state in by_url.items()}
    return [
        _alert(warning, feeds[url], run.options.operator_channel, now)
        for url, found in warnings.items()
        for warning in found
    ]


def _alert(warning: FeedWarning, feed: Feed, channel: str, now: datetime) -> Alert:
    name = feed.title or feed.outlet
    return Alert(
        alert_id=warning.warning_id,
        article_id=_stand_in(warning.warning_id),
        channel=channel.removeprefix("#"),
        title=f"{name}: {warning.message}" if name else warning.message,
        url=warning.feed_url,
        outlet=OUTLET,
        published_at=warning.since,
        decided_at=now,
        reasons=(),
    )


def _stand_in(warning_id: str) -> int:
    """Give what stands for an article in the outbox: 63 bits, another for every episode."""
    return int.from_bytes(hashlib.blake2b(warning_id.encode(), digest_size=8).digest(), "big") >> 1
