"""Whether all is well: what the facts mean, and what Prometheus is told."""

import math
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flows.status import judge_status, render_metrics, serving_metrics
from storage.status import LastRun, StatusFacts
from tocsin.errors import SettingsError

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WELL = StatusFacts(
    last_run=LastRun("completed", NOW - 6 * MINUTE, NOW - 5 * MINUTE, seconds={"poll": 1.5}),
    succeeded_at=NOW - 5 * MINUTE,
    feeds={"ok": 9, "failing": 1},
    fetches={"new": 5, "failed": 2},
    articles=120,
    scores=1200,
    alerts={"delivered": 7, "pending": 1},
    latency={5.0: 3, math.inf: 7},
    latency_sum=40.0,
)


def _problems(facts):
    found = judge_status(facts, now=NOW, max_age=60 * MINUTE)
    return {each.subject: each.text for each in found if each.level == "problem"}


def test_nothing_is_wrong_where_all_is_well():
    assert _problems(WELL) == {}


@pytest.mark.parametrize(
    ("changes", "subject", "words"),
    [
        ({"last_run": None, "succeeded_at": None}, "runs", "tocsin monitor"),
        ({"succeeded_at": NOW - 90 * MINUTE, "failed_in_a_row": 3}, "runs", "3 failed since"),
        ({"feeds": {"failing": 6, "ok": 4}}, "feeds", "network"),
        ({"overdue": 4}, "pace", "4 feeds"),
        ({"oldest_waiting": NOW - 40 * MINUTE}, "alerts", "40 minutes ago"),
        ({"troubles": ("Slack channel x: the app is not in it",)}, "channel", "not in it"),
    ],
)
def test_each_thing_that_is_wrong_is_named_with_what_to_do(changes, subject, words):
    problems = _problems(replace(WELL, **changes))
    assert list(problems) == [subject]
    assert words in problems[subject]


def test_what_ended_the_last_run_is_told():
    failed = LastRun("failed", NOW, NOW, error="the disk is full")
    facts = replace(WELL, last_run=failed, failed_in_a_row=1, succeeded_at=NOW - 3 * 24 * 60 * MINUTE)
    assert "the disk is full" in _problems(facts)["runs"]
    assert "3 days ago" in _problems(facts)["runs"]


def test_an_alert_that_has_just_begun_to_wait_is_no_problem():
    assert _problems(replace(WELL, oldest_waiting=NOW - 5 * MINUTE)) == {}


def _samples(text):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_the_facts():
    told = _samples(render_metrics(WELL).decode())
    assert told["tocsin_fetches_total", "failed"] == 2
    assert told[("tocsin_articles_total",)] == 120
    assert told["tocsin_alerts", "pending"] == 1
    assert told[("tocsin_last_success_timestamp_seconds",)] == (NOW - 5 * MINUTE).timestamp()
    assert told["tocsin_run_step_seconds", "poll"] == 1.5
    assert told["tocsin_alert_latency_seconds_bucket", "5.0"] == 3
    assert told[("tocsin_alert_latency_seconds_count",)] == 7
    assert told[("tocsin_alert_latency_seconds_sum",)] == 40


def test_a_history_without_runs_has_metrics_too():
    assert _samples(render_metrics(StatusFacts()).decode())[("tocsin_articles_total",)] == 0


def test_metrics_are_of_the_moment_when_they_are_asked_for():
    counts = iter([1, 2])
    with serving_metrics(lambda: StatusFacts(articles=next(counts)), 0) as port:
        answers = []
        for _ in range(2):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                answers.append(_samples(answer.read().decode())[("tocsin_articles_total",)])
        with pytest.raises(SettingsError, match=str(port)), serving_metrics(StatusFacts, port):
            pass
    assert answers == [1, 2]
