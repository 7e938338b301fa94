"""Whether all is well: what the facts mean, and what to do about each. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from storage.status import StatusFacts
from tocsin.errors import SettingsError

Level = Literal["good", "problem"]

# A waiting alert is late after this: a run drains the outbox for two minutes at most.
LATE = timedelta(minutes=30)
# So many of the feeds may fail before it is the machine's fault rather than theirs.
MOST_FAILING = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it is and, if it is a problem, what to do."""

    subject: str
    level: Level
    text: str


def judge_status(facts: StatusFacts, *, now: datetime, max_age: timedelta) -> list[Finding]:
    """Judge runs, feeds, the outbox and channels; a run must have succeeded within `max_age`."""
    return [
        _judge_runs(facts, now, max_age),
        *_judge_feeds(facts),
        _judge_outbox(facts, now),
        *_judge_channels(facts),
    ]


def _judge_runs(facts: StatusFacts, now: datetime, max_age: timedelta) -> Finding:
    last, ok = facts.last_run, facts.succeeded_at
    if last is None or ok is None:
        return Finding("runs", "problem", "No run has succeeded yet: start one with `tocsin monitor`")
    text = f"the last success was {_ago(ok, now)}"
    if facts.failed_in_a_row:
        why = f": {last.error}" if last.error else ""
        text += f", and {facts.failed_in_a_row} failed since{why}"
    if now - ok <= max_age:
        return Finding("runs", "good", text)
    return Finding(
        "runs", "problem", f"{text}; see tocsin.log, and whether `tocsin serve` or cron still runs it"
    )


def _judge_feeds(facts: StatusFacts) -> Iterator[Finding]:
    total = sum(facts.feeds.values())
    failing = sum(count for health, count in facts.feeds.items() if health not in {"ok", "new"})
    shown = (
        ", ".join(f"{count} {health}" for health, count in sorted(facts.feeds.items())) or "none polled yet"
    )
    if total and failing > MOST_FAILING * total:
        yield Finding(
            "feeds", "problem", f"{shown}: most fail, so look at the network first; `tocsin feeds health`"
        )
    else:
        yield Finding("feeds", "good", shown)
    if facts.overdue:
        yield Finding(
            "pace",
            "problem",
            f"{facts.overdue} feeds are overdue by an hour: runs are too seldom or too slow",
        )


def _judge_outbox(facts: StatusFacts, now: datetime) -> Finding:
    shown = ", ".join(f"{count} {state}" for state, count in sorted(facts.alerts.items())) or "no alerts yet"
    oldest = facts.oldest_waiting
    if oldest is not None and now - oldest > LATE:
        return Finding(
            "alerts",
            "problem",
            f"{shown}; the oldest that waits was decided {_ago(oldest, now)}: `tocsin slack check`",
        )
    return Finding("alerts", "good", shown)


def _judge_channels(facts: StatusFacts) -> list[Finding]:
    return [Finding("channel", "problem", text) for text in facts.troubles]


def _ago(moment: datetime, now: datetime) -> str:
    minutes = max(int((now - moment).total_seconds() // 60), 0)
    if minutes < 120:
        return f"{minutes} minutes ago"
    return f"{minutes // 60} hours ago" if minutes < 2880 else f"{minutes // 1440} days ago"


# ---------------------------------------------------------------- metrics


def render_metrics(facts: StatusFacts) -> bytes:
    """Give the facts in Prometheus' text format; counters are of the whole history, so they never reset."""
    return generate_latest(_registry(lambda: facts))


@contextmanager
def serving_metrics(load_facts: Callable[[], StatusFacts], port: int) -> Iterator[int]:
    """Answer Prometheus on this machine's own address for a while; port 0 takes a free one. Gives the port.

    Raises: SettingsError if the port is taken.
    """
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=_registry(load_facts))
    except OSError as error:
        raise SettingsError(f"--metrics-port {port}: {error.strerror}") from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _registry(load_facts: Callable[[], StatusFacts]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Facts(load_facts))
    return registry


class _Facts:
    """A collector of the facts at the moment when it is asked."""

    def __init__(self, load_facts: Callable[[], StatusFacts]) -> None:
        self._load_facts = load_facts

    def collect(self) -> Iterator[Metric]:
        """Give the families; times are Unix seconds."""
        facts = self._load_facts()
        yield _labelled(CounterMetricFamily, "tocsin_fetches", "Fetches by outcome", "outcome", facts.fetches)
        yield CounterMetricFamily("tocsin_articles", "Articles stored", value=facts.articles)
        yield CounterMetricFamily("tocsin_scores", "Scores stored", value=facts.scores)
        yield _labelled(GaugeMetricFamily, "tocsin_alerts", "Alerts by state now", "state", facts.alerts)
        yield _labelled(GaugeMetricFamily, "tocsin_feeds", "Feeds by health now", "health", facts.feeds)
        yield GaugeMetricFamily("tocsin_feeds_overdue", "Feeds overdue by an hour", value=facts.overdue)
        yield GaugeMetricFamily(
            "tocsin_channel_troubles", "Troubles of channels now", value=len(facts.troubles)
        )
        yield GaugeMetricFamily(
            "tocsin_last_success_timestamp_seconds",
            "End of the last run that succeeded",
            value=_seconds(facts.succeeded_at),
        )
        yield GaugeMetricFamily(
            "tocsin_oldest_waiting_alert_timestamp_seconds",
            "When the oldest alert that waits was decided; 0: none",
            value=_seconds(facts.oldest_waiting),
        )
        steps = facts.last_run.seconds if facts.last_run else {}
        yield _labelled(
            GaugeMetricFamily, "tocsin_run_step_seconds", "Wall time of the last run by step", "step", steps
        )
        buckets = [
            ("+Inf" if bound == math.inf else str(bound), count) for bound, count in facts.latency.items()
        ]
        latency = HistogramMetricFamily(
            "tocsin_alert_latency_seconds", "From first sight of the article to delivery, 30 days"
        )
        latency.add_metric([], buckets or [("+Inf", 0)], sum_value=facts.latency_sum)
        yield latency


def _labelled(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    name: str,
    about: str,
    label: str,
    values: dict[str, int] | dict[str, float],
) -> Metric:
    family = kind(name, about, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
