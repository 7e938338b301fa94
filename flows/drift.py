"""Whether the news of now differ from those before: measured from the history, and told once a week."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from flows.warn import compose_drift
from models.drift import EDGES, Drift, Mix, join_rare, judge_mix, name_bins
from storage import alerts, runs
from storage.database import Database
from storage.drift import Days, Span, load_spans

FLOW = "watch_drift"
REFERENCE_DAYS = 28
WEEK = timedelta(days=7)
MOST_TOLD = 3  # measures that are told of in words, as a headline has room; the others are counted
_SCORES = "scores of "
_MOVES = ("moved", "moved a little")  # the worst first


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What two spans of days held, and how each measure moved."""

    days: Days
    before: Span
    now: Span
    found: tuple[Drift, ...]

    def matches(self, drift: Drift) -> tuple[int, int] | None:
        """Return a topic's matches before and now; None for a measure that is not of a topic's scores."""
        topic = drift.measure.removeprefix(_SCORES)
        return (self.before.matches[topic], self.now.matches[topic]) if topic in self.now.matches else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        measures = [
            {**asdict(each), "matches_before": matched[0], "matches_now": matched[1]}
            for each in self.found
            for matched in [self.matches(each) or (None, None)]
        ]
        return {
            "reference_since": self.days.reference_since.isoformat(),
            "since": self.days.since.isoformat(),
            "until": self.days.until.isoformat(),
            "articles_before": self.before.articles,
            "articles_now": self.now.articles,
            "measures": measures,
        }


@dataclass(frozen=True, slots=True)
class Told:
    """A week's report. `is_new`: it was put into the outbox now, and not before."""

    week: str
    message: str
    is_new: bool
    report: DriftReport


def measure_drift(db: Database, days: Days) -> DriftReport:
    """Compare `days` with those before them. Raises: StorageError if there is no history."""
    with db.read() as con:
        before, now = load_spans(con, days, edges=EDGES)
    mixes = {
        f"{_SCORES}{topic}": Mix(name_bins(before.scores[topic]), name_bins(bins))
        for topic, bins in now.scores.items()
    }
    mixes["languages"] = join_rare(Mix(before.languages, now.languages))
    mixes["outlets"] = join_rare(Mix(before.outlets, now.outlets))
    seen_on = (before.days, now.days)
    found = tuple(judge_mix(name, mix, days=seen_on) for name, mix in mixes.items())
    return DriftReport(days, before, now, found)


def last_week(today: date) -> Days:
    """Return the last whole week, Monday to Sunday, against the four before it."""
    monday = today - timedelta(days=today.weekday()) - WEEK
    return Days(monday, monday + WEEK - timedelta(days=1), REFERENCE_DAYS)


def tell_week(db: Database, *, channel: str, run_id: str, now: datetime) -> Told:
    """Put last week's drift into the outbox for the operator's channel, unless it was put there before.

    The next delivery (that of `monitor`) sends it. The run is recorded with the report. The caller holds the
    lock of the data folder.
    """
    report = measure_drift(db, last_week(now.date()))
    week = f"{report.days.since:%G-W%V}"
    message = write_drift(report)
    alert = compose_drift(week, message, channel=channel, now=now)

    def store(con: Any) -> int:
        runs.start_run(con, run_id, FLOW, now=now)
        told = alerts.store_alerts(con, run_id, [alert])
        runs.finish_run(con, run_id, "completed", report={"week": week, **report.to_dict()}, now=now)
        return told

    return Told(week, message, bool(db.change(store)), report)


def write_drift(report: DriftReport) -> str:
    """Say in one line what moved, the most first, and how many measures did not or cannot be told."""
    moved = sorted((each for each in report.found if each.verdict in _MOVES), key=_by_size)
    told = [f"{each.measure} {each.verdict} ({describe_move(report, each)})" for each in moved[:MOST_TOLD]]
    counts = Counter(each.verdict for each in report.found)
    rest = [
        f"{count} {words}"
        for count, words in (
            (len(moved) - len(told), "more moved"),
            (counts["steady"], "steady"),
            (counts["too little data"], "with too little data"),
        )
        if count
    ]
    span = f"{report.days.since:%d %b} to {report.days.until:%d %b %Y}, {report.now.articles:,} articles"
    return f"Drift, {span}: {'; '.join([*told, ', '.join(rest)] if rest else told)}"


def _by_size(drift: Drift) -> tuple[int, float]:
    return _MOVES.index(drift.verdict), -(drift.index or 0)


def describe_move(report: DriftReport, drift: Drift) -> str:
    """Say in words what moved: the share of matches for a topic, else the groups that moved most."""
    if drift.index is None:
        return "cannot be told yet"
    matches = report.matches(drift)
    if matches is not None:
        shares = [("matches", matches[0] / drift.before, matches[1] / drift.now)]
    else:
        shares = [share for share in drift.shares if round(share[1], 3) != round(share[2], 3)]
    return ", ".join(f"{name} {before:.1%} → {now:.1%}" for name, before, now in shares)
