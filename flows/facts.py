"""Gathers the facts that deciding asks for: what was told, what waits for outlets, what budgets allow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from flows.alerts.budget import fit_threshold
from flows.alerts.quiet import start_of_day
from flows.alerts.rules import AlertRules, Match
from flows.alerts.tiers import fold_outlet
from flows.run import Batch, MonitorRun
from flows.stories import gather_outlets
from storage import alerts, budgets, decisions, stories
from storage.decisions import Waiting
from tocsin.phrases import fold_phrase
from tocsin.types import Topic

# How far back a daily budget looks; today is not part of it, so its threshold stays for the day.
BUDGET_PAST = timedelta(days=30)


def load_waiting(run: MonitorRun, batch: Batch) -> list[Waiting]:
    """Load what earlier runs left waiting for other outlets, of the stories that the batch adds to."""
    touched = sorted({tie.story_id for tie in batch.ties if tie.story_id != tie.article_id})
    if not touched:
        return []
    with run.db.read() as con:
        return decisions.load_waiting(con, touched)


def match_waiting(run: MonitorRun, waiting: Sequence[Waiting]) -> list[Match]:
    """Make matches again of what waited, for the topics as they are now; a dropped topic waits no more."""
    topics = {topic.name: topic for topic in run.topics}
    return [Match(each.article, topics[each.topic], each.score) for each in waiting if each.topic in topics]


def make_rules(
    run: MonitorRun, batch: Batch, close: Sequence[Match], waiting: Sequence[Waiting], *, now: datetime
) -> AlertRules:
    """Make the rules for a batch's close matches (those that waited among them) from the facts of storage."""
    policy = run.options.policy
    ids = sorted({match.article.article_id for match in close})
    placed = {tie.article_id: tie.story_id for tie in batch.ties}
    placed |= {each.article.article_id: each.story_id for each in waiting}
    about = sorted({placed[article_id] for article_id in ids})
    with run.db.read() as con:
        alerted = alerts.alerted_pairs(con, ids)
        told = alerts.load_told(con, about)
        known = stories.load_outlets(con, about)
    outlets = {story: policy.tiers.heard(names) for story, names in gather_outlets(batch, known).items()}
    return AlertRules(
        now=now,
        default_channel=run.options.channel,
        quiet_feeds=_first_polls(batch) if run.options.baseline else frozenset(),
        already_alerted=alerted,
        max_age=policy.max_age,
        stories=placed,
        told=told,
        outlets={story: len(names) for story, names in outlets.items()},
        standings={story: policy.tiers.standing(names) for story, names in outlets.items()},
        tiers=policy.tiers,
        coverage_jump=run.options.coverage_jump,
        fitted=fit_thresholds(run, now),
        told_today=_load_rung_today(run, now),
        hold_until=policy.quiet_until(now),
    )


def fit_thresholds(run: MonitorRun, now: datetime) -> dict[str, float]:
    """Fit the threshold of each topic with a daily budget on the days before today, once a day and run."""
    today = start_of_day(now, run.options.policy.zone)
    if run.fitted is None or run.fitted[0] != today:
        run.fitted = today, _fit(run, today)
    return run.fitted[1]


def _fit(run: MonitorRun, today: datetime) -> dict[str, float]:
    budgeted = [topic for topic in run.topics if topic.daily_budget is not None]
    if not budgeted:
        return {}
    encoder, heads = run.judge()
    named = dict(zip((topic.name for topic in run.topics), heads.names, strict=True))
    policy = run.options.policy
    asked = budgets.PastQuestion(
        since=today - BUDGET_PAST,
        until=today,
        encoder_revision=encoder.revision,
        floors={topic.name: topic.effective_threshold for topic in budgeted},
        heads={topic.name: named[topic.name] for topic in budgeted},
        max_age=policy.max_age,
        muted=sorted(policy.tiers.muted),
        baseline=run.options.baseline,
        filters={topic.name: _filter_of(topic) for topic in budgeted},
    )
    with run.db.read() as con:
        past, since = budgets.load_past(con, asked)
    return {
        topic.name: fit_threshold(
            topic, past, (today - since.get(topic.name, today)) / timedelta(days=1), policy.tiers
        )
        for topic in budgeted
    }


def _filter_of(topic: Topic) -> budgets.TopicFilter:
    return budgets.TopicFilter(
        outlets=[fold_outlet(outlet) for outlet in topic.outlets],
        languages=topic.languages,
        must=[fold_phrase(phrase) for phrase in topic.must],
        never=[fold_phrase(phrase) for phrase in topic.never],
    )


def _load_rung_today(run: MonitorRun, now: datetime) -> dict[str, tuple[float, ...]]:
    if not any(topic.daily_budget for topic in run.topics):
        return {}
    with run.db.read() as con:
        return budgets.load_rung_since(con, start_of_day(now, run.options.policy.zone))


def _first_polls(batch: Batch) -> frozenset[str]:
    return frozenset(state.url for _, state in batch.requests if state.baseline_at is None)
