"""Another encoder for all history: articles that it has not embedded yet are, while runs go on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any

import numpy as np

from flows.display import current_display
from flows.labels import telling_text
from models.encode import Encoder, Vectors
from models.text import compose_text
from storage import reembed as stored
from storage import runs
from storage.database import Database
from storage.publish import publish
from tocsin.errors import StorageError

log = logging.getLogger(__name__)

FLOW = "reembed"
PIECE = 256  # articles stored together: about a second's work, which a kill at the wrong moment costs
STEP = "Embedding articles"

Lock = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class ReembedRequest:
    """What was asked for.

    `since`: only articles first seen from that day on (UTC). `most`: so many articles at most, the newest
    first; None: all. `drop_others`: when none is left to do, what other encoders made of these goes.
    """

    since: date | None = None
    most: int | None = None
    drop_others: bool = False


@dataclass(slots=True)
class ReembedReport:
    """What was done: `embedded` articles, `left` to do, and the embeddings stored, by encoder revision.

    `uncovered` articles are in languages that the encoder does not cover. `dropped` embeddings were removed.
    """

    run_id: str
    encoder_revision: str
    embedded: int = 0
    left: int = 0
    uncovered: int = 0
    dropped: int = 0
    stored: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    publish_error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Place:
    """Where it happens: the history, and what keeps other runs out of its folder for a moment."""

    db: Database
    lock: Lock


def reembed_history(
    place: Place,
    encoder: Encoder,
    request: ReembedRequest,
    *,
    run_id: str,
    clock: Callable[[], datetime],
) -> ReembedReport:
    """Embed what `encoder` has not embedded yet, the newest first, and publish it. Scores stay as they are.

    The folder is locked only to read and to store a piece, so that runs go on meanwhile. Killed at any
    moment, the same call again completes the work.

    Raises: StorageError if there is no history, StorageBusy if another run holds the folder for too long.
    """
    place.db.require_history()
    began, report = time.perf_counter(), ReembedReport(run_id, encoder.revision)
    with place.lock(), place.db.read() as con:
        missing = stored.find_missing(con, encoder.revision, languages=encoder.languages, since=request.since)
        every = stored.find_missing(con, encoder.revision, languages=(), since=request.since)
    report.uncovered = len(every) - len(missing)
    _embed_missing(place, encoder, missing[: request.most], report)
    report.left = len(missing) - len(missing[: request.most])
    report.seconds["embed"] = round(time.perf_counter() - began, 3)
    with place.lock():
        _finish(place.db, report, request, clock)
    log.info("reembed.finished embedded=%d left=%d dropped=%d", report.embedded, report.left, report.dropped)
    return report


def _embed_missing(place: Place, encoder: Encoder, article_ids: stored.Ids, report: ReembedReport) -> None:
    display = current_display()
    display.start_step(STEP, len(article_ids))
    for done, piece in _cut(article_ids):
        with place.lock(), place.db.read() as con:
            texts = stored.load_stored_texts(con, piece)
        vectors = _embed(encoder, texts)
        add = partial(_add, revision=encoder.revision, texts=texts, vectors=vectors)
        with place.lock():
            report.embedded += place.db.change(add)
        display.move_step(STEP, done)


def _add(con: Any, *, revision: str, texts: list[stored.StoredText], vectors: Vectors) -> int:
    return stored.add_embeddings(con, revision, [text.article_id for text in texts], vectors)


def _cut(article_ids: stored.Ids) -> Iterator[tuple[int, stored.Ids]]:
    """Give pieces, each with how many articles are done after it."""
    for at in range(0, len(article_ids), PIECE):
        piece = article_ids[at : at + PIECE]
        yield at + len(piece), piece


def _embed(encoder: Encoder, texts: list[stored.StoredText]) -> Vectors:
    """Embed articles by the same text as a run does."""
    if not texts:
        return np.empty((0, encoder.dimensions), np.float32)
    return encoder.embed(
        [compose_text(text.title, telling_text(text.summary, text.full_text)) for text in texts]
    )


def _finish(
    db: Database, report: ReembedReport, request: ReembedRequest, clock: Callable[[], datetime]
) -> None:
    """Drop what is not wanted any more, note the run in one transaction, and publish."""

    def note(con: Any) -> None:
        if request.drop_others and not report.left:
            report.dropped = stored.drop_embeddings(con, but=report.encoder_revision)
        report.stored = stored.count_embedded(con)
        # A run is noted when it is over: while it went on, other runs did too, which would call it abandoned.
        runs.start_run(con, report.run_id, FLOW, now=clock())
        runs.finish_run(con, report.run_id, "completed", report=report.to_dict(), now=clock())

    db.change(note)
    if db.path is None:
        return
    try:
        publish(db, now=clock())
    except StorageError as error:
        report.publish_error = str(error)
        log.warning("history.publish_failed error=%s", error)
