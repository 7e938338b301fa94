"""An outbox that keeps quiet hours, also for alerts that were decided before them and are late."""

from __future__ import annotations

from datetime import datetime

from flows.alerts.deliver import Outbox
from flows.alerts.rules import AlertPolicy
from tocsin.types import Alert, Delivery


class QuietOutbox:
    """Gives nothing out while it is quiet, except an operator's warnings where they are not held."""

    def __init__(self, outbox: Outbox, policy: AlertPolicy) -> None:
        self._outbox = outbox
        self._policy = policy

    def load_due(self, now: datetime, /) -> list[Alert]:
        """Load what is due and may ring now; a warning is what names no topic."""
        if self._policy.quiet_until(now) is None:
            return self._outbox.load_due(now)
        if self._policy.hold_warnings:
            return []
        return [alert for alert in self._outbox.load_due(now) if not alert.reasons]

    def record(self, *deliveries: Delivery) -> None:
        """Record steps of sending."""
        self._outbox.record(*deliveries)
