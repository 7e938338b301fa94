"""The steps of a `monitor` run as plain functions: begin, poll, judge, store, watch for spikes,
deliver, read feedback, finish, publish.

Each takes the run first. Nothing here knows Prefect; `flows.monitor` wraps the steps as tasks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from flows.crew import poll_apart
from flows.display import current_display
from flows.feedback import read_feedback
from flows.feeds.health import find_warnings
from flows.feeds.poll import poll_feeds
from flows.feeds.schedule import due_feeds, hold_back, schedule_poll
from flows.identify import judge_batch
from flows.publish import publish_history
from flows.report import FeedFailure
from flows.run import Batch, MonitorRun
from flows.shards import cut_shards
from flows.spikes import watch_spikes
from flows.tell import deliver_outbox
from flows.warn import compose_warnings, hold_warnings
from models.topics import default_topics
from storage import alerts, articles, decisions, feeds, runs, topics
from tocsin.encoder_setup import EncoderSetup
from tocsin.errors import StorageError, TocsinError
from tocsin.types import Feed, FeedState, FeedWarning, FetchFailed

log = logging.getLogger(__name__)

Step = Callable[..., Any]

# Feeds polled, judged and stored together: bounds memory, and what a killed run has to do again.
BATCH_SIZE = 250
# Every feed is polled within a day; older fetches need not be read to know how long each takes.
_MEASURED_WITHIN = timedelta(days=2)


def run_steps(run: MonitorRun, *, wrap: Callable[[Step], Step] = lambda step: step) -> None:
    """Take a run through its steps in order; `wrap` may make each step a task of an orchestrator."""
    try:
        for batch in _poll_batches(run, wrap(begin_run)(run), wrap(poll_batch)):
            wrap(judge_batch)(run, batch)
            wrap(store_batch)(run, batch)
        wrap(watch_spikes)(run)
        wrap(deliver_outbox)(run)
        wrap(read_feedback)(run)
        wrap(finish_run)(run)
        wrap(publish_history)(run)
    except TocsinError as error:
        log.error("run.failed error=%s", error)  # noqa: TRY400  the message is written to be read
        with suppress(StorageError):
            _record_end(run, "failed", {"error": str(error)})
        raise


def _record_end(run: MonitorRun, end: runs.RunEnd, also: dict[str, object]) -> None:
    report, now = run.report.to_dict() | also, run.clock()
    run.db.change(lambda con: runs.finish_run(con, run.run_id, end, report=report, now=now))


def begin_run(run: MonitorRun) -> list[Batch]:
    """Record the run, its feeds and its topics; give the due feeds in batches."""
    now = run.clock()
    with run.report.timing("begin"):
        states = run.db.change(lambda con: _record_begin(run, con, now))
    options = run.options
    if options.encoder or options.cross_encoder or options.encoder_setup != EncoderSetup():
        _open_chosen_models(run)
    requests = _due_requests(run, states, now)
    due = {state.url for _, state in requests}
    run.waiting = [state for state in states.values() if state.url not in due]
    run.report.feeds = len(run.options.feeds)
    run.report.not_due = run.report.feeds - len(requests)
    log.info("run.started feeds=%d due=%d topics=%d", run.report.feeds, len(requests), len(run.topics))
    return _cut_batches(run, requests, now)


def _record_begin(run: MonitorRun, con: Any, now: datetime) -> dict[str, FeedState]:
    """Record the run, its topics and its feeds; give the feeds' states."""
    runs.start_run(con, run.run_id, "monitor", now=now)
    in_use = run.options.topics or topics.newest_topics(con) or default_topics()
    run.versions = topics.record_topics(con, in_use, run_id=run.run_id, now=now, person=run.options.person)
    run.topics = tuple(topic.leaning(run.options.sensitivity) for topic in in_use)
    feeds.save_feeds(con, run.options.feeds, now)
    return feeds.load_states(con, [feed.url for feed in run.options.feeds])


def _cut_batches(run: MonitorRun, requests: Sequence[tuple[Feed, FeedState]], now: datetime) -> list[Batch]:
    """Cut the due feeds for a crew by host; so few that one shard holds them are not worth asking it."""
    if run.crew is None or len(requests) <= run.crew.shard_feeds:
        return [Batch(requests[at : at + BATCH_SIZE]) for at in range(0, len(requests), BATCH_SIZE)]
    with run.report.timing("begin"), run.db.read() as con:
        measured = feeds.last_seconds(con, [feed.url for feed, _ in requests], since=now - _MEASURED_WITHIN)
    shards = cut_shards(requests, size=run.crew.shard_feeds, options=run.options.poll, measured=measured)
    return [Batch(shard.requests, lane=shard.lane) for shard in shards]


def _poll_batches(
    run: MonitorRun, batches: Sequence[Batch], poll_here: Callable[[MonitorRun, Batch], None]
) -> Iterator[Batch]:
    """Give the batches polled, in their order: one after the other here, or ahead of time by the crew."""
    if run.crew is not None and any(batch.lane is not None for batch in batches):
        yield from poll_apart(run, run.crew, batches)
        return
    for batch in batches:
        poll_here(run, batch)
        yield batch


def _open_chosen_models(run: MonitorRun) -> None:
    """Load the models that a person chose before anything is polled, since they may be missing."""
    with run.report.timing("models"):
        _, heads = run.judge()
    run.report.heads = sorted(set(heads.names))


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
                brakes=run.brakes,
            )
        )
    run.report.count_polled(batch.polled)


def store_batch(run: MonitorRun, batch: Batch) -> None:
    """Write all that the batch brought in one transaction: fetches, next polls, articles, scores, alerts."""
    now = run.clock()
    states = _next_states(run, batch, now)
    held = hold_back(run.waiting, batch.polled, now)

    def store(con: Any) -> tuple[Sequence[FeedWarning], int]:
        feeds.save_states(con, [*states, *held])
        _store_found(run, batch, con, now)
        return _warn_operator(run, con, states, now)

    with run.report.timing("store"):
        fresh, told = run.db.change(store)
    run.warned += fresh
    run.report.feed_warnings += told
    _report_failures(run, batch, states)
    batch.forget()


def _store_found(run: MonitorRun, batch: Batch, con: Any, now: datetime) -> None:
    found = batch.identified
    feeds.record_fetches(con, run.run_id, batch.polled, found.new_per_feed)
    articles.store_articles(
        con, run.run_id, articles=found.articles, sightings=found.sightings, keys=found.keys
    )
    if batch.scores is not None:
        _store_judgement(run, batch, con, now)
    alerts.store_alerts(con, run.run_id, batch.alerts)
    decisions.store_decisions(con, run.run_id, batch.decisions)


def _store_judgement(run: MonitorRun, batch: Batch, con: Any, now: datetime) -> None:
    from storage import scores, stories  # noqa: PLC0415  with numpy and pyarrow, which a quiet poll can spare

    assert batch.embeddings is not None  # noqa: S101  scores come of them
    assert batch.scores is not None  # noqa: S101  asked before
    stories.store_ties(con, run.run_id, batch.ties)
    encoder, heads = run.judge()
    unread = [article.article_id for article in batch.unscored]
    scores.mark_unscored(con, encoder.revision, unread, reason=scores.LANGUAGE, now=now)
    ids = [article.article_id for article in batch.scored]
    scores.store_embeddings(con, encoder.revision, ids, batch.embeddings)
    block = scores.ScoreBlock(
        article_ids=ids,
        topics=[topic.name for topic in run.topics],
        versions=[run.versions[topic.name] for topic in run.topics],
        encoder_revision=encoder.revision,
        heads=heads.names,
        values=batch.scores,
        refined=batch.refined,
    )
    scores.store_scores(con, block, now)


def _warn_operator(
    run: MonitorRun, con: Any, states: Sequence[FeedState], now: datetime
) -> tuple[Sequence[FeedWarning], int]:
    """Put into the outbox what is wrong with feeds and was not told before; give it, and how many alerts."""
    fresh = feeds.record_warnings(con, run.run_id, find_warnings(states, now), now)
    named = {feed.url: feed for feed in run.options.feeds}
    told = compose_warnings(fresh, named, channel=run.options.operator_channel, now=now)
    told = hold_warnings(told, run.options.policy, now)
    return fresh, alerts.store_alerts(con, run.run_id, told)


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


def finish_run(run: MonitorRun) -> None:
    """Record the run's report."""
    with run.report.timing("finish"):
        _record_end(run, "completed", {})
    log.info("run.finished seconds=%s", run.report.seconds)
