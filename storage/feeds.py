"""Feeds and fetches: what is remembered of a feed between polls, and what each poll brought."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb

from storage.rows import (
    BIGINT,
    DOUBLE,
    DURATION,
    INSTANT,
    INTEGER,
    TEXT,
    TEXTS,
    Columns,
    build_column,
    build_rows,
    incoming,
)
from tocsin.types import Feed, FeedState, FeedWarning, Fetched, FetchFailed, Polled, Validators

_FEEDS: Columns = {"url": TEXT, "title": TEXT, "outlet": TEXT, "folder": TEXT, "added_at": INSTANT}

_STATES: Columns = {
    "url": TEXT,
    "validators_url": TEXT,
    "etag": TEXT,
    "last_modified": TEXT,
    "body_hash": TEXT,
    "polled_at": INSTANT,
    "succeeded_at": INSTANT,
    "full_fetch_at": INSTANT,
    "next_poll_at": INSTANT,
    "poll_interval": DURATION,
    "failures": INTEGER,
    "baseline_at": INSTANT,
    "moved_to": TEXT,
    "moved_at": INSTANT,
    "redirect_to": TEXT,
    "redirect_count": INTEGER,
    "redirect_since": INSTANT,
    "gone_at": INSTANT,
    "failing_since": INSTANT,
    "distrust_304_at": INSTANT,
    "last_new_at": INSTANT,
    "entry_gap": DURATION,
    "usual_gap": DURATION,
}
_STATE_NAMES = ", ".join(_STATES)
# Times without a zone: DuckDB's Python makes each of the others through pytz, ten times as slowly.
_STATE_VALUES = ", ".join(f"{n} AT TIME ZONE 'UTC'" if kind == INSTANT else n for n, kind in _STATES.items())

_FETCHES: Columns = {
    "run_id": TEXT,
    "feed_url": TEXT,
    "fetched_at": INSTANT,
    "outcome": TEXT,
    "status": INTEGER,
    "severity": TEXT,
    "reason": TEXT,
    "message": TEXT,
    "final_url": TEXT,
    "received_bytes": BIGINT,
    "seconds": DOUBLE,
    "entries": INTEGER,
    "new_articles": INTEGER,
    "notes": TEXTS,
}
_FETCH_NAMES = ", ".join(_FETCHES)

_WARNINGS: Columns = {
    "warning_id": TEXT,
    "feed_url": TEXT,
    "kind": TEXT,
    "since": INSTANT,
    "message": TEXT,
    "warned_at": INSTANT,
    "run_id": TEXT,
}
_WARNING_NAMES = ", ".join(_WARNINGS)


def save_feeds(con: duckdb.DuckDBPyConnection, feeds: Iterable[Feed], now: datetime) -> None:
    """Remember feeds; what a known feed is said to be called replaces what was said before, None does not."""
    unique = {feed.url: feed for feed in feeds}
    rows = [(feed.url, feed.title, feed.outlet, feed.folder, now) for feed in unique.values()]
    with incoming(con, build_rows(_FEEDS, rows)):
        con.execute(
            """
            UPDATE feeds SET
                title = coalesce(incoming.title, feeds.title),
                outlet = coalesce(incoming.outlet, feeds.outlet),
                folder = coalesce(incoming.folder, feeds.folder)
            FROM incoming WHERE feeds.url = incoming.url
            """
        )
        con.execute(
            """
            INSERT INTO feeds (url, title, outlet, folder, added_at, failures)
            SELECT url, title, outlet, folder, added_at, 0 FROM incoming ANTI JOIN feeds USING (url)
            """
        )


def load_states(con: duckdb.DuckDBPyConnection, urls: Iterable[str]) -> dict[str, FeedState]:
    """Load what is remembered of these feeds, by URL; a feed never met gives a fresh state."""
    wanted = list(dict.fromkeys(urls))
    with incoming(con, build_column("url", TEXT, wanted)):
        rows = con.execute(f"SELECT {_STATE_VALUES} FROM feeds SEMI JOIN incoming USING (url)").fetchall()  # noqa: S608 - names are ours
    known = {row[0]: _read_state(row) for row in rows}
    return {url: known.get(url) or FeedState(url) for url in wanted}


def save_states(con: duckdb.DuckDBPyConnection, states: Iterable[FeedState]) -> None:
    """Replace what is remembered of these feeds; an unlisted feed gets a row."""
    unique = {state.url: state for state in states}
    assignments = ", ".join(f"{name} = incoming.{name}" for name in _STATES if name != "url")
    with incoming(con, build_rows(_STATES, [_write_state(state) for state in unique.values()])):
        con.execute(f"UPDATE feeds SET {assignments} FROM incoming WHERE feeds.url = incoming.url")  # noqa: S608 - names are ours
        con.execute(
            f"INSERT INTO feeds ({_STATE_NAMES}, added_at) "  # noqa: S608 - names are ours
            f"SELECT {_STATE_NAMES}, polled_at FROM incoming ANTI JOIN feeds USING (url)"
        )


def record_fetches(
    con: duckdb.DuckDBPyConnection, run_id: str, polled: Sequence[Polled], counts: Mapping[str, int]
) -> None:
    """Record what a poll brought, and as the last outcome of each feed that is stored.

    `counts` gives the new articles by feed URL; a missing feed had none. A repeated run adds nothing.
    """
    unique = {item.feed.url: item for item in polled}
    rows = [_write_fetch(run_id, item, counts.get(url, 0)) for url, item in unique.items()]
    with incoming(con, build_rows(_FETCHES, rows)):
        con.execute(
            f"INSERT INTO fetches ({_FETCH_NAMES}) "  # noqa: S608 - names are ours
            f"SELECT {_FETCH_NAMES} FROM incoming ANTI JOIN fetches USING (run_id, feed_url)"
        )
        con.execute(
            """
            UPDATE feeds SET
                last_outcome = incoming.outcome, last_severity = incoming.severity,
                last_status = incoming.status, last_reason = incoming.reason, last_message = incoming.message
            FROM incoming WHERE feeds.url = incoming.feed_url
            """
        )


def last_seconds(con: duckdb.DuckDBPyConnection, urls: Iterable[str], *, since: datetime) -> dict[str, float]:
    """Give how long the last exchange with each feed took, in seconds; not of feeds without one since then.

    A feed that was left alone, as its host asked us to stop, had no exchange.
    """
    with incoming(con, build_column("feed_url", TEXT, list(dict.fromkeys(urls)))):
        rows = con.execute(
            """
            SELECT feed_url, arg_max(seconds, fetched_at) FROM fetches SEMI JOIN incoming USING (feed_url)
            WHERE fetched_at >= ? AND seconds > 0 GROUP BY feed_url
            """,
            [since],
        ).fetchall()
    return dict(rows)


def record_warnings(
    con: duckdb.DuckDBPyConnection, run_id: str, warnings: Iterable[FeedWarning], now: datetime
) -> list[FeedWarning]:
    """Record warnings and return those that were never recorded before: only these are to be told."""
    unique = {warning.warning_id: warning for warning in warnings}
    if not unique:
        return []
    rows = [
        (each.warning_id, each.feed_url, each.kind, each.since, each.message, now, run_id)
        for each in unique.values()
    ]
    with incoming(con, build_rows(_WARNINGS, rows)):
        new = "FROM incoming ANTI JOIN feed_warnings USING (warning_id)"
        fresh = {name for (name,) in con.execute(f"SELECT warning_id {new}").fetchall()}
        con.execute(f"INSERT INTO feed_warnings ({_WARNING_NAMES}) SELECT {_WARNING_NAMES} {new}")
    return [warning for warning in unique.values() if warning.warning_id in fresh]


def _write_fetch(run_id: str, polled: Polled, new_articles: int) -> tuple[object, ...]:
    outcome, exchange = polled.outcome, polled.outcome.exchange
    failed = outcome if isinstance(outcome, FetchFailed) else None
    name = "failed" if failed else "new" if isinstance(outcome, Fetched) else "not_modified"
    return (
        run_id,
        polled.feed.url,
        exchange.fetched_at,
        name,
        exchange.status,
        failed and failed.severity,
        failed and failed.reason,
        failed and failed.message,
        exchange.final_url,
        exchange.received_bytes,
        exchange.seconds,
        len(polled.parsed.entries) if polled.parsed else 0,
        new_articles,
        list(polled.parsed.notes) if polled.parsed else None,
    )


def _write_state(state: FeedState) -> tuple[object, ...]:
    validators = state.validators
    return (
        state.url,
        validators and validators.url,
        validators and validators.etag,
        validators and validators.last_modified,
        state.body_hash,
        state.polled_at,
        state.succeeded_at,
        state.full_fetch_at,
        state.next_poll_at,
        state.interval,
        state.failures,
        state.baseline_at,
        state.moved_to,
        state.moved_at,
        state.redirect_to,
        state.redirect_count,
        state.redirect_since,
        state.gone_at,
        state.failing_since,
        state.distrust_304_at,
        state.last_new_at,
        state.entry_gap,
        state.usual_gap,
    )


def _read_state(values: tuple[Any, ...]) -> FeedState:
    row = dict(zip(_STATES, values, strict=True))
    has_validators = row["validators_url"] is not None
    return FeedState(
        url=row["url"],
        validators=Validators(row["validators_url"], row["etag"], row["last_modified"])
        if has_validators
        else None,
        body_hash=row["body_hash"],
        polled_at=_in_utc(row["polled_at"]),
        succeeded_at=_in_utc(row["succeeded_at"]),
        full_fetch_at=_in_utc(row["full_fetch_at"]),
        next_poll_at=_in_utc(row["next_poll_at"]),
        interval=row["poll_interval"],
        failures=row["failures"],
        baseline_at=_in_utc(row["baseline_at"]),
        moved_to=row["moved_to"],
        moved_at=_in_utc(row["moved_at"]),
        redirect_to=row["redirect_to"],
        redirect_count=row["redirect_count"] or 0,  # empty in rows from before it was counted
        redirect_since=_in_utc(row["redirect_since"]),
        gone_at=_in_utc(row["gone_at"]),
        failing_since=_in_utc(row["failing_since"]),
        distrust_304_at=_in_utc(row["distrust_304_at"]),
        last_new_at=_in_utc(row["last_new_at"]),
        entry_gap=row["entry_gap"],
        usual_gap=row["usual_gap"],
    )


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.replace(tzinfo=UTC)
