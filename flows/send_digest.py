"""Sends digests: which channels get one, what it says, and its way through delivery; no Prefect."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from flows.alerts.chart import draw_week
from flows.alerts.console import ConsoleOutlet
from flows.alerts.deliver import deliver_alerts
from flows.alerts.digest import STORIES_SHOWN, digest_id_of, digest_lines, last_period
from flows.alerts.digest_outlet import DigestOutlet, Tools
from flows.alerts.outlet import Outlet
from flows.alerts.webhook import WEBHOOK
from flows.assemble import default_channel, outlets_of
from flows.chosen import topics_in_use
from flows.display import current_display
from storage import digests, runs
from storage.database import Database
from storage.folder import history_path, lock_data_folder
from tocsin.errors import SettingsError
from tocsin.logging import logging_run
from tocsin.settings import Settings
from tocsin.telling import Digest, PeriodKind
from tocsin.types import AlertState

log = logging.getLogger(__name__)

# What may be spent on waiting for a slow or failing Slack; what is left is sent when it is asked for again.
MAX_WAIT = timedelta(minutes=2)
# A digest that could not be sent for longer than this is no news any more.
LONGEST_WAIT = timedelta(days=14)

Standing = tuple[AlertState, str | None]


@dataclass(frozen=True, slots=True)
class DigestRequest:
    """What a person asked for. `channel` None: every channel that topics alert. A dry run keeps nothing."""

    kind: PeriodKind = "weekly"
    channel: str | None = None
    dry_run: bool = False


@dataclass(slots=True)
class DigestOutcome:
    """What became of a channel's digest: sent, sent_before, shown (a dry run), skipped or waiting.

    `skipped` and `waiting`: `error` says why. `stories` counts a story once for
    each of its topics.
    """

    channel: str
    period: str
    digest_id: str
    state: str
    topics: int
    stories: int
    chart: bool = False
    error: str | None = None


@dataclass(slots=True)
class DigestReport:
    """What a run of digests came to."""

    run_id: str
    period: str
    since: str
    until: str
    dry_run: bool
    digests: list[DigestOutcome] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        """Tell whether no digest waits to be sent."""
        return all(each.state != "waiting" for each in self.digests)

    def to_dict(self) -> dict[str, object]:
        """Give the report as plain values, ready for JSON."""
        return asdict(self)


def send_digests(
    settings: Settings,
    request: DigestRequest,
    *,
    run_id: str,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    wait: Callable[[float], None] = time.sleep,
) -> DigestReport:
    """Send each channel its digest of the last whole day or week, unless it was sent before.

    Raises:
        SettingsError: no topic alerts the channel that was asked for.
        StorageBusy: a run works in the data folder.
        StorageError: there is no history yet.
    """
    with logging_run(run_id), lock_data_folder(settings.data):
        sending = _Sending(settings, request, Database(history_path(settings.data)), clock, wait)
        return sending.show(run_id) if request.dry_run else sending.run(run_id)


@dataclass
class _Sending:
    """One run of digests."""

    settings: Settings
    request: DigestRequest
    db: Database
    clock: Callable[[], datetime]
    wait: Callable[[float], None]

    def show(self, run_id: str) -> DigestReport:
        """Print what would be sent, also what was sent before."""
        report, console = self._begin_report(run_id), ConsoleOutlet(current_display().alerts)
        for digest in self._make(report):
            console.print_lines([*digest_lines(digest), ""])
            report.digests.append(_outcome(digest, "shown"))
        return report

    def run(self, run_id: str) -> DigestReport:
        """Send what was not sent before, and what earlier periods left waiting."""
        report, now = self._begin_report(run_id), self.clock()
        made = self._make(report)
        with self.db.read() as con:
            begins = digests.history_begins(con)
        reasons = {each.digest_id: _why_not(each, begins) for each in made}
        sendable = {each.digest_id: each for each in made if reasons[each.digest_id] is None}

        def ask(con: Any) -> dict[str, Any]:
            runs.start_run(con, run_id, "digest", now=now)
            before = digests.load_digest_states(con, sendable)
            for digest in sendable.values():
                digests.ask_for_digest(con, run_id, digest, now)
            return before

        before = self.db.change(ask)
        charted = self._deliver(sendable)
        with self.db.read() as con:
            after = digests.load_digest_states(con, sendable)
        for digest in made:
            told, error = _tell(before.get(digest.digest_id), after.get(digest.digest_id))
            error = reasons[digest.digest_id] or error
            report.digests.append(_outcome(digest, told, error, chart=digest.digest_id in charted))
        end: runs.RunEnd = "completed" if report.succeeded else "failed"
        said, ended_at = report.to_dict(), self.clock()
        self.db.change(lambda con: runs.finish_run(con, run_id, end, report=said, now=ended_at))
        return report

    def _begin_report(self, run_id: str) -> DigestReport:
        period = last_period(self.request.kind, self.clock())
        span = period.since.isoformat(), period.until.isoformat()
        return DigestReport(run_id, period.name, *span, self.request.dry_run)

    def _make(self, report: DigestReport) -> list[Digest]:
        """Make the digests of the period, and those asked for in the last weeks and not delivered."""
        channels = self._channels()
        now = self.clock()
        wanted = {(name, report.period): last_period(self.request.kind, now) for name in channels}
        with self.db.read() as con:
            for channel, period in digests.load_waiting(con, now - LONGEST_WAIT):
                if channel in channels:
                    wanted.setdefault((channel, period.name), period)
            return [
                Digest(
                    digest_id_of(channel, period),
                    channel,
                    period,
                    digests.load_topic_digests(con, channels[channel], period, top=STORIES_SHOWN),
                    digests.chart_days(period),
                )
                for (channel, _), period in sorted(wanted.items(), key=lambda each: each[1].since)
            ]

    def _channels(self) -> dict[str, list[str]]:
        """Give the topics of each channel that gets a digest, in the order in which they are watched."""
        found: dict[str, list[str]] = {}
        for topic in topics_in_use(self.settings):
            for name in topic.alert_channels or (default_channel(self.settings).removeprefix("#"),):
                found.setdefault(name, []).append(topic.name)
        wanted = self.request.channel
        if wanted is None:
            return found
        name = wanted.removeprefix("#")
        if name not in found:
            known = ", ".join(sorted(found)) or "none"
            raise SettingsError(f"--channel: no topic alerts {name}; topics alert {known}")
        return {name: found[name]}

    def _deliver(self, wanted: Mapping[str, Digest]) -> set[str]:
        """Deliver what was not delivered yet; return the ids of those that went out with their chart."""
        outlets: dict[str, DigestOutlet] = {}
        find = outlets_of(self.settings, dry_run=False)

        def outlet_for(channel: str) -> Outlet:
            if channel not in outlets:
                outlets[channel] = DigestOutlet(find(channel), wanted, Tools(_draw, self.wait))
            return outlets[channel]

        outbox = digests.DigestOutbox(self.db, wanted)
        deliver_alerts(outbox, outlet_for, clock=self.clock, wait=self.wait, max_wait=MAX_WAIT)
        return {digest_id for outlet in outlets.values() for digest_id in outlet.with_chart}


def _draw(digest: Digest) -> bytes | None:
    """Draw a chart; without matplotlib there is none, and the log says so."""
    try:
        return draw_week(digest)
    except SettingsError as error:
        log.warning("digest.chart_left_out channel=%s reason=%s", digest.channel, error)
        return None


def _why_not(digest: Digest, begins: datetime | None) -> str | None:
    """Say why a digest is not to be sent at all; None if it is."""
    if digest.channel.startswith(WEBHOOK):
        return "webhooks take no digests"
    if begins is None or begins >= digest.period.until:
        return "the history begins after this period"
    return None


def _tell(before: Standing | None, after: Standing | None) -> tuple[str, str | None]:
    """Say what became of a digest that stood so before and stands so now, and what stopped it if it waits."""
    if after is None:
        return "skipped", None
    if before is not None and before[0] == "delivered":
        return "sent_before", None
    return ("sent", None) if after[0] == "delivered" else ("waiting", after[1])


def _outcome(digest: Digest, state: str, error: str | None = None, *, chart: bool = False) -> DigestOutcome:
    return DigestOutcome(
        channel=digest.channel,
        period=digest.period.name,
        digest_id=digest.digest_id,
        state=state,
        topics=len(digest.topics),
        stories=sum(topic.stories for topic in digest.topics),
        chart=chart,
        error=error,
    )
