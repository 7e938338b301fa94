"""Retention as plain steps: prune in one transaction, compact, publish. Knows no orchestrator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from storage import runs
from storage.compact import compact
from storage.database import Database
from storage.prune import KINDS, USUAL, Kind, Pruned, PruneOrder, prune
from storage.publish import publish
from storage.size import measure_history
from tocsin.errors import SettingsError, StorageError

FLOW = "prune"
# Views over the newest 91 days (co_topics), stories and budgets say the same after a prune as before.
LEAST_DAYS = 92
_AGE = re.compile(r"([1-9]\d{0,4})([dwy])")
_DAYS = {"d": 1, "w": 7, "y": 365}


@dataclass(slots=True)
class RetentionReport:
    """What a prune did. Sizes are of the live history, in bytes; `publish_error`: done, but not published."""

    before: datetime
    dry_run: bool
    removed: dict[str, int] = field(default_factory=dict)
    texts: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    compact_error: str | None = None
    publish_error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "before": self.before.isoformat(timespec="seconds"),
            "dry_run": self.dry_run,
            "removed": self.removed,
            "texts": self.texts,
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "compact_error": self.compact_error,
            "publish_error": self.publish_error,
        }


def read_order(
    age: str, now: datetime, *, what: Sequence[str] = (), keep_matches: bool = False
) -> PruneOrder:
    """Read an age such as 400d, 60w or 2y, and what goes. Raises: SettingsError."""
    found = _AGE.fullmatch(age.strip())
    days = int(found[1]) * _DAYS[found[2]] if found else 0
    if days < LEAST_DAYS:
        raise SettingsError(
            f"--older-than: {age!r} is no age of at least {LEAST_DAYS} days; write it as 400d, 60w or 2y"
        )
    if unknown := sorted(set(what) - set(KINDS)):
        raise SettingsError(f"--what: {', '.join(unknown)}: choose of {', '.join(KINDS)}")
    # By whole days (UTC): the counts that trends rest on are those of days.
    first_kept = (now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    chosen = cast(tuple[Kind, ...], tuple(dict.fromkeys(what))) or USUAL
    return PruneOrder(first_kept, chosen, keep_matches)


class _Undone(Exception):
    """Ends a transaction without keeping it; nothing went wrong."""

    def __init__(self, pruned: Pruned) -> None:
        super().__init__()
        self.pruned = pruned


def prune_history(
    db: Database, order: PruneOrder, *, run_id: str, now: datetime, dry_run: bool = False
) -> RetentionReport:
    """Prune, give the room back to the disk, publish; `dry_run` counts only and keeps nothing.

    Hold the data folder's lock. Pruning is one transaction: killed before its end nothing is gone, killed
    after it the next call gives the room back and publishes. A copy or publication that fails is reported:
    what was pruned stays pruned.
    """
    db.require_history()
    report = RetentionReport(order.before, dry_run, bytes_before=measure_history(db).total)
    pruned = _count(db, order) if dry_run else _prune(db, order, run_id, now)
    report.removed, report.texts = pruned.removed, pruned.texts
    if not dry_run:
        _give_back(db, report)
        said = report.to_dict()
        db.change(lambda con: runs.finish_run(con, run_id, "completed", report=said, now=now))
        _publish(db, report, now)
    report.bytes_after = measure_history(db).total
    return report


def _prune(db: Database, order: PruneOrder, run_id: str, now: datetime) -> Pruned:
    def remove(con: Any) -> Pruned:
        runs.start_run(con, run_id, FLOW, now=now)
        return prune(con, order)

    return db.change(remove)


def _count(db: Database, order: PruneOrder) -> Pruned:
    try:
        with db.write() as con:
            raise _Undone(prune(con, order))  # noqa: TRY301  the transaction is what it leaves
    except _Undone as undone:
        return undone.pruned


def _give_back(db: Database, report: RetentionReport) -> None:
    try:
        report.bytes_after = compact(db).after
    except StorageError as error:
        report.compact_error = str(error)


def _publish(db: Database, report: RetentionReport, now: datetime) -> None:
    try:
        publish(db, now=now)
    except StorageError as error:
        report.publish_error = str(error)
