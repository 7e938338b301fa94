"""The dead man's alert: tells the operator, once an episode, that no run succeeded for too long; no Prefect.

It goes past the outbox, since the history may be locked or broken, with the same rules of delivery.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from flows.alerts.deliver import deliver_alerts
from flows.alerts.hold import QuietOutbox
from flows.alerts.outlet import Outlet
from flows.assemble import operator_channel, outlets_of
from flows.chosen import alert_policy
from flows.status import Finding, judge_status
from flows.warn import OUTLET, stand_in
from storage.database import Database
from storage.folder import history_path
from storage.silence import Silence, SilenceFile, hold_silence
from storage.status import load_status
from tocsin.errors import StorageError
from tocsin.settings import Settings
from tocsin.types import Alert, Delivery

MAX_WAIT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Watch:
    """What a look at the runs found. `told`: the operator was told of it now."""

    is_well: bool
    text: str
    told: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """What a look needs of the world; `outlet_for` None: the outlets of the settings."""

    clock: Callable[[], datetime]
    wait: Callable[[float], None] = time.sleep
    outlet_for: Callable[[str], Outlet] | None = None


def tell_silence(settings: Settings, tools: Tools, *, max_age: timedelta) -> Watch:
    """Tell the operator's channel if no run succeeded for `max_age`; the next success ends the episode.

    Where no run ever succeeded, or the history cannot be read, it is told after `max_age` of that. Called
    again or twice at once it tells no second time. Raises: StorageError if it cannot keep what it told.
    """
    now = tools.clock()
    problem, has_succeeded = look_at_runs(settings, now=now, max_age=max_age)
    with hold_silence(settings.data) as file:
        if problem.level == "good":
            file.forget()
            return Watch(is_well=True, text=problem.text)
        silence = _begun(file, now)
        if silence.message is None and (has_succeeded or now - silence.since >= max_age):
            silence = replace(silence, message=f"Monitoring has stopped: {problem.text}")
        file.save(silence)
        if silence.message is None or silence.state == "delivered":
            return Watch(is_well=False, text=problem.text)
        outlet_for = tools.outlet_for or outlets_of(settings, dry_run=False)
        outbox = _OneAlert(file, silence, operator_channel(settings))
        policy = alert_policy(settings)
        report = deliver_alerts(
            QuietOutbox(outbox, policy), outlet_for, clock=tools.clock, wait=tools.wait, max_wait=MAX_WAIT
        )
    return Watch(
        is_well=False, text=problem.text, told=report.delivered > 0, error="; ".join(report.problems) or None
    )


def look_at_runs(settings: Settings, *, now: datetime, max_age: timedelta) -> tuple[Finding, bool]:
    """Judge the runs alone, and say whether one ever succeeded; an unreadable history is a finding."""
    try:
        with Database(history_path(settings.data)).read() as con:
            facts = load_status(con, now)
    except StorageError as error:
        return Finding("history", "problem", str(error)), False
    runs = next(each for each in judge_status(facts, now=now, max_age=max_age) if each.subject == "runs")
    return runs, facts.succeeded_at is not None


def _begun(file: SilenceFile, now: datetime) -> Silence:
    """Give the episode that lasts, else one that begins now; it has no message yet."""
    silence_id = hashlib.sha256(f"silence {now.isoformat()}".encode()).hexdigest()[:24]
    return file.load() or Silence(silence_id, now)


class _OneAlert:
    """An outbox that holds the episode's alert and nothing else."""

    def __init__(self, file: SilenceFile, silence: Silence, channel: str) -> None:
        self._file = file
        self._silence = silence
        self._channel = channel

    def load_due(self, now: datetime, /) -> list[Alert]:
        silence = self._silence
        if silence.retry_at is not None and now < silence.retry_at:
            return []
        return [
            Alert(
                alert_id=silence.silence_id,
                article_id=stand_in(silence.silence_id),
                channel=self._channel.removeprefix("#"),
                title=silence.message or "",
                url=None,
                outlet=OUTLET,
                published_at=silence.since,
                decided_at=silence.since,
                reasons=(),
                state=silence.state,
                attempts=silence.attempts,
            )
        ]

    def record(self, *deliveries: Delivery) -> None:
        for each in deliveries:
            begins = each.state == "sending" and self._silence.state != "sending"
            self._silence = replace(
                self._silence,
                state=each.state,
                retry_at=each.retry_at,
                attempts=self._silence.attempts + begins,
            )
        self._file.save(self._silence)
