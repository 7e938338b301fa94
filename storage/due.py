"""When something has to be done next: feeds to poll, alerts to send."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import duckdb


def load_due(con: duckdb.DuckDBPyConnection, urls: Sequence[str]) -> list[datetime | None]:
    """Give when these feeds and the waiting alerts come up next; what there is none of gives nothing.

    None stands for what is due already: a feed never polled, an alert that nobody tried to send.
    """
    [(polled, planned_poll, waiting, tried, planned_send)] = con.execute(
        """
        SELECT
            (SELECT count(*) FROM feeds WHERE list_contains($urls, url) AND next_poll_at IS NOT NULL),
            (SELECT min(next_poll_at) AT TIME ZONE 'UTC' FROM feeds WHERE list_contains($urls, url)),
            count(*), count(retry_at), min(retry_at) AT TIME ZONE 'UTC'
        FROM alerts
        WHERE state IN ('pending', 'sending') OR state = 'failed' AND retry_at IS NOT NULL
        """,
        {"urls": list(urls)},
    ).fetchall()
    return [
        *_soonest(len(urls), polled, planned_poll),
        *_soonest(waiting, tried, planned_send),
    ]


def _soonest(total: int, planned: int, earliest: datetime | None) -> list[datetime | None]:
    if not total:
        return []
    return [earliest.replace(tzinfo=UTC) if earliest and planned == total else None]
