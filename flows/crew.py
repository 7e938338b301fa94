"""How a run has shards polled and texts embedded by a crew of workers; no Prefect.

The run alone stores: what workers give back are values, so a shard that is done twice is stored once.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from flows.display import current_display
from flows.feeds.urls import host_key
from flows.run import Batch, MonitorRun
from flows.shard_work import Crew, EmbeddedTexts, EmbedJob, Pending, PolledShard, PollJob
from flows.shards import cut_texts
from tocsin.errors import ModelError, WorkerLost
from tocsin.logging import replay_log

if TYPE_CHECKING:
    from models.encode import Encoder, Progress, Vectors

log = logging.getLogger(__name__)

# Shards under way for each slot, so that a worker that is done finds the next one waiting.
_AHEAD = 2


def poll_apart(run: MonitorRun, crew: Crew, batches: Sequence[Batch]) -> Iterator[Batch]:
    """Have the batches polled by the crew and give each when it came, in the batches' order.

    Later batches are polled while the caller works on one, so what is stored does not hang on who was
    quicker. With full texts they are not: the caller then asks hosts too, which must not be asked from two
    sides. A batch whose worker was lost twice is not given; its feeds stay due.
    """
    display = current_display()
    display.start_step("Polling feeds", sum(len(batch.requests) for batch in batches))
    waiting, running = deque(batches), deque[tuple[Batch, Pending[PolledShard]]]()
    most = max(crew.slots(), 1) * _AHEAD
    while waiting or running:
        _start(run, crew, waiting, running, most)
        ready = len(running) if run.options.full_text else 1
        for batch in list(_collect(run, [running.popleft() for _ in range(ready)])):
            for _ in batch.requests:
                display.advance_step("Polling feeds")
            yield batch


def _start(
    run: MonitorRun,
    crew: Crew,
    waiting: deque[Batch],
    running: deque[tuple[Batch, Pending[PolledShard]]],
    most: int,
) -> None:
    """Start what may be; a batch waits for the one before it in its lane, as both ask the same host."""
    while waiting and len(running) < most:
        if any(batch.lane == waiting[0].lane for batch, _ in running):
            return
        batch = waiting.popleft()
        running.append((batch, crew.poll(_poll_job(run, batch))))


def _poll_job(run: MonitorRun, batch: Batch) -> PollJob:
    asked = {host_key(state.moved_to or feed.url) for feed, state in batch.requests}
    brakes = {host: brake for host, brake in run.brakes.items() if host in asked}
    level = logging.getLogger("flows").getEffectiveLevel()
    return PollJob(batch.requests, options=run.options.poll, brakes=brakes, log_level=level)


def _collect(run: MonitorRun, started: Iterable[tuple[Batch, Pending[PolledShard]]]) -> Iterator[Batch]:
    for batch, pending in started:
        try:
            with run.report.timing("poll"):
                answer = pending.result()
        except WorkerLost as error:
            log.error("shard.lost feeds=%d error=%s", len(batch.requests), error)  # noqa: TRY400  a sentence
            run.report.lost_feeds += len(batch.requests)
            continue
        replay_log(answer.log)
        run.brakes.update(answer.brakes)
        batch.polled = answer.polled
        run.report.count_polled(batch.polled)
        yield batch


def embed_apart(
    run: MonitorRun, encoder: Encoder, texts: Sequence[str], *, progress: Progress | None = None
) -> Vectors:
    """Embed texts as `encoder` does, by the crew where there is more than one slice for it.

    A slice whose worker was lost twice is embedded here. Raises: ModelError if a worker has another encoder.
    """
    crew = run.crew
    if crew is None or len(texts) <= crew.shard_texts:
        return encoder.embed(texts, progress=progress)
    import numpy as np  # noqa: PLC0415  most runs find nothing new

    slices = cut_texts(texts, crew.shard_texts)
    jobs = [crew.embed(_embed_job(run, each)) for each in slices]
    parts: list[Vectors] = []
    for pending, each in zip(jobs, slices, strict=True):
        parts.append(_vectors(pending, encoder, each))
        if progress is not None:
            progress(sum(map(len, parts)), len(texts))
    return np.concatenate(parts)


def _embed_job(run: MonitorRun, texts: Sequence[str]) -> EmbedJob:
    options = run.options
    return EmbedJob(
        texts, encoder=options.encoder, languages=options.encoder_languages, setup=options.encoder_setup
    )


def _vectors(pending: Pending[EmbeddedTexts], encoder: Encoder, texts: Sequence[str]) -> Vectors:
    try:
        answer = pending.result()
    except WorkerLost as error:
        log.warning("texts.embedded_here texts=%d error=%s", len(texts), error)
        return encoder.embed(texts)
    if answer.revision != encoder.revision:
        raise ModelError(
            f"TOCSIN_ENCODER: a worker has {answer.revision} where this run has {encoder.revision}: "
            "install the same version and the same encoder on all machines"
        )
    return answer.vectors
