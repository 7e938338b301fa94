"""The steps of a `monitor` run as plain functions: begin, poll, judge, store, deliver, finish.

Each takes the run first. Nothing here knows Prefect; `flows.monitor` wraps the steps as tasks.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.alerts.decide import AlertRules, Match, decide_alerts, find_matches, select_matches
from flows.alerts.deliver import deliver_alerts
from flows.alerts.outlet import Outlet
from flows.display import current_display
from flows.feeds.identity import Identified, identify_entries, keys_to_look_up
from flows.feeds.options import PollOptions
from flows.feeds.poll import poll_feeds
from flows.feeds.schedule import due_feeds, schedule_poll
from flows.report import FeedFailure, RunReport
from models.encode import Encoder, load_encoder
from models.explain import Match as Explained
from models.explain import explain_matches
from models.heads import Heads, build_heads
from models.text import compose_text
from models.topics import default_topics
from storage import alerts, articles, feeds, runs, scores, topics
from storage.database import Database
from tocsin.errors import StorageError, TocsinError
from tocsin.types import Alert, Feed, FeedState, FetchFailed, Polled, Score, Topic

log = logging.getLogger(__name__)

Step = Callable[..., Any]

# Feeds polled, judged and stored together: bounds memory, and what a killed run has to do again.
BATCH_SIZE = 250
# A claimed date older than this is not news, whatever feed it turns up in.
MAX_AGE = timedelta(days=7)
# What a run may spend on waiting for a slow or failing Slack; what is left stays in the outbox.
MAX_DELIVERY_WAIT = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """What a run was asked to do. `topics` None: the newest recorded ones, else the default ten.

    `baseline`: a feed's first poll is stored and scored but not alerted. `poll_all`: also feeds
    that are not due. `channel` is where topics without a channel of their own alert.
    """

    feeds: tuple[Feed, ...]
    topics: tuple[Topic, ...] | None
    channel: str
    poll: PollOptions
    baseline: bool = True
    poll_all: bool = False


class MonitorRun:
    """One run's tools and facts.

    A plain class on purpose: Prefect walks through every dataclass, list and dict that a task is given.
    """

    def __init__(
        self,
        *,
        db: Database,
        options: MonitorOptions,
        outlet_for: Callable[[str], Outlet],
        clock: Callable[[], datetime],
        run_id: str,
    ) -> None:
        self.db = db
        self.options = options
        self.outlet_for = outlet_for
        self.clock = clock
        self.report = RunReport(run_id=run_id, database=str(db.path))
        self.topics: tuple[Topic, ...] = ()
        self.versions: dict[str, str] = {}
        self.rng = random.Random(run_id)  # noqa: S311  spreads polls, guards nothing
        self._judge: tuple[Encoder, Heads] | None = None

    @property
    def run_id(self) -> str:
        """The id in every log line and row of this run."""
        return self.report.run_id

    def judge(self) -> tuple[Encoder, Heads]:
        """Load the encoder and build the heads when the first article needs them."""
        if self._judge is None:
            encoder = load_encoder()
            self._judge = encoder, build_heads(self.topics, encoder)
        return self._judge


class Batch:
    """Feeds that go through the steps together, and what the steps made of them (opaque to Prefect)."""

    def __init__(self, requests: Sequence[tuple[Feed, FeedState]]) -> None:
        self.requests = list(requests)
        self.polled: list[Polled] = []
        self.identified = Identified((), (), {}, {}, {})
        self.embeddings: npt.NDArray[np.float32] | None = None
        self.scores: npt.NDArray[np.float32] | None = None
        self.alerts: list[Alert] = []


def run_steps(run: MonitorRun, *, wrap: Callable[[Step], Step] = lambda step: step) -> None:
    """Take a run through its steps in order; `wrap` may make each step a task of an orchestrator."""
    try:
        for batch in wrap(begin_run)(run):
            wrap(poll_batch)(run, batch)
            wrap(judge_batch)(run, batch)
            wrap(store_batch)(run, batch)
        wrap(deliver_outbox)(run)
        wrap(finish_run)(run)
    except TocsinError as error:
        log.error("run.failed error=%s", error)  # noqa: TRY400  the message is written to be read
        with suppress(StorageError), run.db.write() as con:
            report = run.report.to_dict() | {"error": str(error)}
            runs.finish_run(con, run.run_id, "failed", report=report, now=run.clock())
        raise


def begin_run(run: MonitorRun) -> list[Batch]:
    """Record the run, its feeds and its topics; give the due feeds in batches."""
    now = run.clock()
    with run.report.timing("begin"), run.db.write() as con:
        runs.start_run(con, run.run_id, "monitor", now=now)
        run.topics = run.options.topics or topics.newest_topics(con) or default_topics()
        run.versions = topics.record_topics(con, run.topics, run_id=run.run_id, now=now)
        feeds.save_feeds(con, run.options.feeds, now)
        states = feeds.load_states(con, [feed.url for feed in run.options.feeds])
    requests = _due_requests(run, states, now)
    run.report.feeds = len(run.options.feeds)
    run.report.not_due = run.report.feeds - len(requests)
    log.info("run.started feeds=%d due=%d topics=%d", run.report.feeds, len(requests), len(run.topics))
    return [Batch(requests[at : at + BATCH_SIZE]) for at in range(0, len(requests), BATCH_SIZE)]


def _due_requests(
    run: MonitorRun, states: dict[str, FeedState], now: datetime
) -> list[tuple[Feed, FeedState]]:
    by_url = {feed.url: feed for feed in run.options.feeds}
    due = states.values() if run.options.poll_all else due_feeds(states.values(), now)
    return [(by_url[state.url], state) for state in due]


def poll_batch(run: MonitorRun, batch: Batch) -> None:
    """Fetch and parse the batch's feeds; a feed's failure is a value among the outcomes."""
    display = current_display()
    display.start_step("Polling feeds", len(batch.requests))
    with run.report.timing("poll"):
        batch.polled = asyncio.run(
            poll_feeds(
                batch.requests,
                clock=run.clock,
                options=run.options.poll,
                on_polled=lambda _: display.advance_step("Polling feeds"),
            )
        )
    run.report.count_polled(batch.polled)


def judge_batch(run: MonitorRun, batch: Batch) -> None:
    """Tell new articles from those seen, score them, and decide which of them ring."""
    now = run.clock()
    with run.report.timing("identify"):
        with run.db.read() as con:
            known = articles.find_known(con, keys_to_look_up(batch.polled))
        batch.identified = identify_entries(batch.polled, known, now=now)
    run.report.new_articles += len(batch.identified.articles)
    if not batch.identified.articles:
        return
    with run.report.timing("score"):
        _score(run, batch)
    with run.report.timing("decide"):
        _decide(run, batch, now)


def _score(run: MonitorRun, batch: Batch) -> None:
    display = current_display()
    new = batch.identified.articles
    before = run.report.new_articles - len(new)
    display.start_step("Scoring articles", len(new))
    encoder, heads = run.judge()
    texts = [compose_text(article.title, article.summary) for article in new]
    batch.embeddings = encoder.embed(
        texts,
        progress=lambda done, _: display.move_step("Scoring articles", before + done),
    )
    batch.scores = heads.score(batch.embeddings, texts)


def _decide(run: MonitorRun, batch: Batch, now: datetime) -> None:
    new = batch.identified.articles
    with run.db.read() as con:
        told = alerts.alerted_pairs(con, [article.article_id for article in new])
    matches = find_matches(new, _scores_that_count(run, batch), run.topics)
    run.report.count_matches([match.topic.name for match in matches])
    rules = AlertRules(
        now=now,
        default_channel=run.options.channel,
        quiet_feeds=_first_polls(batch) if run.options.baseline else frozenset(),
        already_alerted=told,
        max_age=MAX_AGE,
    )
    ringing = select_matches(matches, rules)
    batch.alerts = decide_alerts(ringing, _find_reasons(run, ringing), rules)
    run.report.alerts.decided += len(batch.alerts)


def _scores_that_count(run: MonitorRun, batch: Batch) -> Iterator[Score]:
    """Give only the scores at or above their topic's threshold: most of a batch's never count."""
    assert batch.scores is not None  # noqa: S101  scored before
    encoder, heads = run.judge()
    # In double precision, as the database compares them later.
    thresholds = np.array([topic.effective_threshold for topic in run.topics], np.float64)
    for row, column in np.argwhere(batch.scores.astype(np.float64) >= thresholds).tolist():
        topic = run.topics[column]
        yield Score(
            article_id=batch.identified.articles[row].article_id,
            topic=topic.name,
            topic_version=topic.version,
            encoder_revision=encoder.revision,
            head=heads.names[column],
            score=float(batch.scores[row, column]),
        )


def _find_reasons(run: MonitorRun, matches: Sequence[Match]) -> dict[tuple[int, str], str]:
    encoder, heads = run.judge()
    explained = [
        Explained(match.article.title, match.article.summary, match.topic.name, match.score)
        for match in matches
    ]
    reasons = explain_matches(encoder, heads, explained)
    return {
        (match.article.article_id, match.topic.name): reason.sentence
        for match, reason in zip(matches, reasons, strict=True)
    }


def _first_polls(batch: Batch) -> frozenset[str]:
    return frozenset(state.url for _, state in batch.requests if state.baseline_at is None)


def store_batch(run: MonitorRun, batch: Batch) -> None:
    """Write all that the batch brought in one transaction: fetches, next polls, articles, scores, alerts."""
    now = run.clock()
    found = batch.identified
    states = _next_states(run, batch, now)
    with run.report.timing("store"), run.db.write() as con:
        feeds.save_states(con, states)
        feeds.record_fetches(con, run.run_id, batch.polled, found.new_per_feed)
        articles.store_articles(
            con, run.run_id, articles=found.articles, sightings=found.sightings, keys=found.keys
        )
        _store_scores(run, batch, con, now)
        alerts.store_alerts(con, run.run_id, batch.alerts)
    _report_failures(run, batch, states)


def _store_scores(run: MonitorRun, batch: Batch, con: Any, now: datetime) -> None:
    if batch.embeddings is None or batch.scores is None:
        return
    encoder, heads = run.judge()
    ids = [article.article_id for article in batch.identified.articles]
    scores.store_embeddings(con, encoder.revision, ids, batch.embeddings)
    block = scores.ScoreBlock(
        article_ids=ids,
        topics=[topic.name for topic in run.topics],
        versions=[run.versions[topic.name] for topic in run.topics],
        encoder_revision=encoder.revision,
        heads=heads.names,
        values=batch.scores,
    )
    scores.store_scores(con, block, now)


def _next_states(run: MonitorRun, batch: Batch, now: datetime) -> list[FeedState]:
    return [
        schedule_poll(
            state,
            polled,
            now=now,
            seen_share=batch.identified.seen_share.get(state.url),
            jitter=run.rng.random(),
        )
        for (_, state), polled in zip(batch.requests, batch.polled, strict=True)
    ]


def _report_failures(run: MonitorRun, batch: Batch, states: Sequence[FeedState]) -> None:
    for polled, state in zip(batch.polled, states, strict=True):
        outcome = polled.outcome
        if isinstance(outcome, FetchFailed):
            run.report.failures.append(
                FeedFailure(
                    feed=outcome.exchange.final_url,
                    severity=outcome.severity,
                    reason=outcome.reason,
                    message=outcome.message,
                    next_poll_at=state.next_poll_at.isoformat(timespec="seconds")
                    if state.next_poll_at
                    else None,
                )
            )


def deliver_outbox(run: MonitorRun) -> None:
    """Send what waits in the outbox, this run's alerts and earlier ones, and count what is left."""
    display = current_display()
    with run.report.timing("deliver"):
        with run.db.read() as con:
            waiting = alerts.outbox_counts(con)
        display.start_step("Sending alerts", sum(waiting.values()) - waiting["delivered"])
        delivered = deliver_alerts(
            alerts.DuckOutbox(run.db),
            run.outlet_for,
            clock=run.clock,
            wait=time.sleep,
            max_wait=MAX_DELIVERY_WAIT,
            on_delivered=lambda _: display.advance_step("Sending alerts"),
        )
        with run.db.read() as con:
            left = alerts.outbox_counts(con)
    run.report.alerts.delivered = delivered.delivered
    run.report.alerts.pending = left["pending"] + left["sending"]
    run.report.alerts.failed = left["failed"]
    run.report.delivery_errors = list(delivered.problems)


def finish_run(run: MonitorRun) -> None:
    """Record the run's report."""
    with run.report.timing("finish"), run.db.write() as con:
        runs.finish_run(con, run.run_id, "completed", report=run.report.to_dict(), now=run.clock())
    log.info("run.finished seconds=%s", run.report.seconds)
