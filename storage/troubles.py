"""Episodes in which alerts could not be delivered as promised: each is told to the operator once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

import duckdb

from tocsin.types import ChannelTrouble


def record_troubles(
    con: duckdb.DuckDBPyConnection,
    run_id: str,
    troubles: Iterable[ChannelTrouble],
    worked: Collection[str],
    now: datetime,
) -> list[ChannelTrouble]:
    """End the episodes of subjects that worked, begin those of new troubles, and return the new ones."""
    con.execute(
        "UPDATE channel_troubles SET ended_at = $now WHERE ended_at IS NULL AND subject IN "
        "(SELECT unnest($worked))",
        {"now": now, "worked": list(worked)},
    )
    lasting = con.execute("SELECT subject FROM channel_troubles WHERE ended_at IS NULL").fetchall()
    known = {subject for (subject,) in lasting}
    fresh = [trouble for trouble in troubles if trouble.subject not in known]
    for trouble in fresh:
        con.execute(
            "INSERT INTO channel_troubles (subject, channel, code, message, since, run_id) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [trouble.subject, trouble.channel, trouble.code, trouble.message, now, run_id],
        )
    return fresh
