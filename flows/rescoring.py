"""A new or changed topic applied to all history: stored embeddings are scored again; nobody is alerted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import Any

import numpy as np

from flows.display import current_display
from flows.labels import learn_labels, telling_text
from models.compose_many import Pair, compose_texts
from models.encode import Encoder
from models.heads import Heads, build_heads
from models.rescore import Glance, Rescored, glance, join_glances, join_rescored
from models.topics import default_topics
from storage import rescore as stored
from storage import runs
from storage.database import Database
from storage.publish import publish
from storage.topics import newest_topics, record_topics
from tocsin.errors import StorageError, TopicError
from tocsin.types import Topic

log = logging.getLogger(__name__)

_Look = tuple[stored.Slice, Glance]
"""A slice, and what its vectors say."""
FLOW = "rescore"
TURN = 4.0  # seconds after which a transaction takes no further slice
TEXTS = 30_000  # that many are asked of DuckDB together


@dataclass(frozen=True, slots=True)
class RescoreRequest:
    """What was asked for. `topics` None: those in use; `names` chooses some of them, none of them means all.

    `since`: only articles first seen from that day on (UTC). `by_vectors`: no text is read.
    """

    topics: tuple[Topic, ...] | None = None
    names: tuple[str, ...] = ()
    since: date | None = None
    by_vectors: bool = False


@dataclass(slots=True)
class RescoreReport:
    """What a rescore did.

    `articles` were scored for each of `topics`, `added` scores are new, the others were stored already.
    `left_out` counts articles without an embedding of `encoder_revision`, by the revision they have; those
    without any stand under an empty name. `texts` were read for words.
    """

    run_id: str
    encoder_revision: str
    topics: list[str]
    articles: int = 0
    added: int = 0
    texts: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    publish_error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def rescore_history(
    db: Database,
    request: RescoreRequest,
    *,
    load_encoder: Callable[[], Encoder],
    run_id: str,
    clock: Callable[[], datetime],
) -> RescoreReport:
    """Score stored embeddings for topics, put the scores in use, and publish them. Rings nobody.

    Topics that are given come into use from now on. Older scores are kept. A few slices are one transaction:
    killed at any moment, the same call again completes the work, and once more it adds nothing. The caller
    holds the lock of the data folder.

    Raises: TopicError for a name that is no topic, StorageError if there is no history.
    """
    db.require_history()
    begin = time.perf_counter()
    encoder = load_encoder()

    def begin_run(con: Any) -> tuple[Topic, ...]:
        runs.start_run(con, run_id, FLOW, now=clock())
        in_use = request.topics or newest_topics(con) or default_topics()
        chosen = choose_topics(in_use, request.names)
        record_topics(con, in_use, run_id=run_id, now=clock())
        return chosen

    chosen = db.change(begin_run)
    heads = _build_heads(db, chosen, encoder)
    work = _Work(db, heads, request, RescoreReport(run_id, encoder.revision, [each.name for each in chosen]))
    report = work.report
    loaded = time.perf_counter()
    work.go(clock)
    report.seconds = {"models": round(loaded - begin, 3), "score": round(time.perf_counter() - loaded, 3)}
    said = report.to_dict()
    db.change(lambda con: runs.finish_run(con, run_id, "completed", report=said, now=clock()))
    _publish(db, report, clock())
    log.info("rescore.finished articles=%d added=%d texts=%d", report.articles, report.added, report.texts)
    return report


def choose_topics(topics: Sequence[Topic], names: Iterable[str]) -> tuple[Topic, ...]:
    """Return the topics of these names, all if there are none. Raises: TopicError for an unknown name."""
    wanted = list(names)
    known = {topic.name for topic in topics}
    for name in wanted:
        if name not in known:
            raise TopicError(f"topic {name} is not in use: choose among {', '.join(sorted(known)) or 'none'}")
    return tuple(topic for topic in topics if not wanted or topic.name in wanted)


def _build_heads(db: Database, topics: Sequence[Topic], encoder: Encoder) -> Heads:
    labels = learn_labels(db, [topic.name for topic in topics], revision=encoder.revision)
    return build_heads(topics, encoder, labels=labels)


class _Work:
    """One rescore on its way through the slices."""

    def __init__(self, db: Database, heads: Heads, request: RescoreRequest, report: RescoreReport) -> None:
        self._db, self._heads, self._request = db, heads, request
        self._scored: set[str] = set()
        self.report = report

    def go(self, clock: Callable[[], datetime]) -> None:
        """Score all slices, oldest first."""
        revision, since = self._heads.encoder_revision, self._request.since
        with self._db.read() as con:
            self.report.articles, self.report.left_out = stored.count_vectors(con, revision, since=since)
            slices = stored.list_slices(con, since=since) if self._heads.topics else []
            self._scored = stored.find_scored(con, self.report.topics)
        display = current_display()
        display.start_step("Rescoring articles", self.report.articles)
        done = 0
        while slices:
            with self._db.write() as con:
                done += self._take_turn(con, slices, clock())
            display.move_step("Rescoring articles", done)

    def _take_turn(self, con: Any, slices: list[stored.Rows], now: datetime) -> int:
        """Score slices for a while, store them together, take them off the list; return how many articles.

        One after the other, in one thread: while DuckDB reads in two, what else runs slows both.
        """
        began = time.monotonic()
        seen: list[tuple[stored.Slice, Rescored]] = []
        looks: list[_Look] = []
        while slices and (not (seen or looks) or time.monotonic() - began < TURN):
            looks.append(self._look(con, slices.pop(0)))
            if sum(len(glanced.vectors) for _, glanced in looks) >= TEXTS:
                seen += self._read(con, looks)
                looks = []
        seen += self._read(con, looks)
        part = stored.join_slices([part for part, _ in seen])
        if len(part.article_ids):
            found = join_rescored([found for _, found in seen])
            self.report.added += self._store(con, part, found, now)
        return len(part.article_ids)

    def _read(self, con: Any, looks: Sequence[_Look]) -> list[tuple[stored.Slice, Rescored]]:
        """Score slices with the texts that heads want."""
        if self._request.by_vectors:
            return [(part, glanced.leave()) for part, glanced in looks]
        wanted = [part.article_ids[glanced.rows] for part, glanced in looks]
        texts = iter(self._load_texts(con, wanted))
        composed = [compose_texts(list(islice(texts, len(ids)))) for ids in wanted]
        return [
            (part, glanced.read(self._heads, each))
            for (part, glanced), each in zip(looks, composed, strict=True)
        ]

    def _load_texts(self, con: Any, wanted: Sequence[stored.Ids]) -> list[Pair]:
        article_ids = np.concatenate([stored.NOTHING.article_ids, *wanted])
        self.report.texts += len(article_ids)
        return _tell(stored.load_texts(con, article_ids)) if len(article_ids) else []

    def _look(self, con: Any, rows: stored.Rows) -> _Look:
        """Read a slice and score it by vectors, piece by piece while each is in the processor's cache."""
        revision, since = self._heads.encoder_revision, self._request.since
        nothing = np.empty((0, self._heads.dimensions), np.float32)
        parts, glances = [stored.NOTHING], [glance(self._heads, nothing)]
        for piece in stored.read_slice(con, revision, rows, since=since):
            parts.append(piece.part)
            glances.append(glance(self._heads, piece.vectors))
        return stored.join_slices(parts), join_glances(glances)

    def _store(self, con: Any, part: stored.Slice, found: Rescored, now: datetime) -> int:
        """Store the scores of a slice; return how many are new."""
        heads, added = self._heads, 0
        for column, (topic, head) in enumerate(zip(heads.topics, heads.names, strict=True)):
            scorer = stored.Scorer(topic.name, topic.version, heads.encoder_revision, head)
            values, by_text = found.scores[:, column], found.by_text[:, column]
            table = stored.build_scores(part, np.ascontiguousarray(values), by_text=by_text)
            store = stored.replace_scores if topic.name in self._scored else stored.add_scores
            added += store(con, scorer, table, now=now)
        return added


def _tell(texts: Iterable[stored.Texts]) -> list[Pair]:
    """Choose what each text is judged by, as a run does."""
    return [(title, telling_text(summary, full_text)) for title, summary, full_text in texts]


def _publish(db: Database, report: RescoreReport, now: datetime) -> None:
    """Publish the new scores; what cannot be published now goes with the next run."""
    if db.path is None:
        return
    begin = time.perf_counter()
    try:
        publish(db, now=now)
    except StorageError as error:
        report.publish_error = str(error)
        log.warning("history.publish_failed error=%s", error)
    report.seconds["publish"] = round(time.perf_counter() - begin, 3)
