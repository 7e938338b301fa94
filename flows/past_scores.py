"""Scores of the past for versions of topics: stored where runs made them, else made of stored vectors.

No article is embedded again: the transformer sees only the phrases of topics whose definition is new. Of what
is scored anew, the articles nearest to the threshold are scored with their text, as a run does, all others by
vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flows.chosen import open_chosen_encoder
from flows.labels import learn_labels, telling_text
from models.fitted import hash_definition
from models.heads import Heads, build_heads, shipped_revision
from models.text import compose_text
from storage.database import Database
from storage.past import (
    Ids,
    Vectors,
    iterate_vectors,
    load_past_articles,
    load_past_ids,
    load_past_scores,
    load_vectors,
)
from tocsin.settings import Settings
from tocsin.types import Topic

if TYPE_CHECKING:
    from models.encode import Encoder

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

# Articles that are scored with their text, over all topics; each costs a third of a millisecond and topic.
MOST_READ = 600
_CERTAIN = 1e-6


@dataclass(frozen=True, slots=True)
class Side:
    """A topic as it would be, and the version in use (None: there is none)."""

    topic: Topic
    used: Topic | None

    @property
    def versions(self) -> tuple[Topic, ...]:
        """One or both."""
        return (self.topic,) if self.used is None else (self.topic, self.used)


class PastScores:
    """The scores of versions of topics for the articles `ids`, in the order of their numbers.

    `read` articles were scored with their text, beside those whose scores were stored.
    """

    def __init__(self, ids: Ids, first_seen_at: datetime | None) -> None:
        self.ids = ids
        self.first_seen_at = first_seen_at
        self.read = 0
        self._scores: dict[str, Floats] = {}
        self._missing: dict[str, npt.NDArray[np.bool_]] = {}

    def scores_of(self, topic: Topic) -> Floats:
        """Return a score for each of `ids`."""
        return self._scores[hash_definition(topic)]

    def is_stored(self, topic: Topic) -> bool:
        """Tell whether all of a topic's scores are those that runs stored."""
        return not self._missing[hash_definition(topic)].any()

    def add_stored(self, topic: Topic, ids: Ids, scores: Vectors) -> None:
        """Take what was stored; what is missing is to be scored."""
        values = np.full(len(self.ids), np.nan)
        rows, known = _rows_of(self.ids, ids)
        values[rows] = scores[known]
        self._scores[hash_definition(topic)] = values
        self._missing[hash_definition(topic)] = np.isnan(values)

    def add_scored(self, topic: Topic, rows: Rows, scores: Vectors) -> None:
        """Take scores for some rows; where one was stored that stays."""
        key = hash_definition(topic)
        missing = self._missing[key][rows]
        self._scores[key][rows[missing]] = scores[missing]

    def nearest(self, topic: Topic, count: int) -> Rows:
        """Find the rows that were scored anew with scores nearest to the topic's threshold, in log-odds."""
        rows = np.flatnonzero(self._missing[hash_definition(topic)])
        bar = _log_odds(np.array([topic.effective_threshold]))
        away = np.abs(_log_odds(self.scores_of(topic)[rows]) - bar)
        return rows[np.argsort(away, kind="stable")[:count]]


def score_past(
    db: Database,
    settings: Settings,
    sides: Sequence[Side],
    *,
    since: datetime,
    known: Mapping[tuple[str, str], Topic],
) -> PastScores:
    """Score all versions for the articles first seen since then.

    `known` are the recorded definitions; scores that were stored for one that says the same count.
    Raises: StorageError.
    """
    encoder = None if settings.encoder is None else _open(settings)
    revision = shipped_revision() if encoder is None else encoder.revision
    topics = {hash_definition(topic): topic for side in sides for topic in side.versions}
    meanings: dict[str, list[str]] = {}
    for (_, version), topic in known.items():
        meanings.setdefault(hash_definition(topic), []).append(version)
    with db.read() as con:
        ids, first = load_past_ids(con, since, revision)
        past = PastScores(ids, None if first is None else first.astimezone(UTC))
        for meaning, topic in topics.items():
            used = meanings.get(meaning, [])
            stored = load_past_scores(con, topic.name, used, since=since, revision=revision)
            past.add_stored(topic, *stored)
    lacking = [topic for topic in topics.values() if not past.is_stored(topic)]
    if lacking and len(ids):
        groups = _build(db, lacking, encoder or _open(settings))
        _score_by_vectors(db, past, groups, since=since)
        _score_by_texts(db, past, groups)
    return past


def _open(settings: Settings) -> Encoder:
    return open_chosen_encoder(settings.encoder, settings.encoder_languages, settings.encoder_setup)


def _build(db: Database, topics: Sequence[Topic], encoder: Encoder) -> list[Heads]:
    """Build the heads of all versions; two of one name go into different groups."""
    groups: list[list[Topic]] = []
    for topic in topics:
        free = [group for group in groups if topic.name not in {each.name for each in group}]
        if free:
            free[0].append(topic)
        else:
            groups.append([topic])
    labels = learn_labels(db, sorted({topic.name for topic in topics}), revision=encoder.revision)
    return [build_heads(group, encoder, labels=labels) for group in groups]


def _score_by_vectors(db: Database, past: PastScores, groups: Sequence[Heads], *, since: datetime) -> None:
    with db.read() as con:
        for ids, vectors in iterate_vectors(con, since, groups[0].encoder_revision):
            rows, known = _rows_of(past.ids, ids)
            for heads in groups:
                scores = heads.score(vectors)
                for column, topic in enumerate(heads.topics):
                    past.add_scored(topic, rows, scores[known, column])


def _score_by_texts(db: Database, past: PastScores, groups: Sequence[Heads]) -> None:
    """Score what is nearest to a threshold with its text too; names are not looked for, which would embed."""
    topics = [topic for heads in groups for topic in heads.topics]
    near = [past.nearest(topic, MOST_READ // len(topics)) for topic in topics]
    wanted = past.ids[np.unique(np.concatenate(near))].tolist()
    with db.read() as con:
        found = [each.article for each in load_past_articles(con, wanted, with_texts=True)]
        ids = [each.article_id for each in found]
        vectors = load_vectors(con, ids, groups[0].encoder_revision)
    texts = [compose_text(each.title, telling_text(each.summary, each.full_text)) for each in found]
    rows = np.searchsorted(past.ids, ids)
    for heads in groups:
        scores = heads.score_plainly(vectors, texts)
        for column, topic in enumerate(heads.topics):
            past.add_scored(topic, rows, scores[:, column])
    past.read = len(found)


def _rows_of(ids: Ids, others: Ids) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Find the rows of `others` in sorted `ids`: the rows of those that are there, and which those are."""
    if not len(ids):
        return np.empty(0, np.intp), np.zeros(len(others), np.bool_)
    places = np.searchsorted(ids, others).clip(max=len(ids) - 1)
    known = np.asarray(ids[places] == others)
    return places[known], known


def _log_odds(scores: Floats) -> Floats:
    clipped = scores.clip(_CERTAIN, 1 - _CERTAIN)
    return np.asarray(np.log(clipped / (1 - clipped)))
