"""Decides by comparing whether people's labels count in a topic's scores, and goes back. No Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from flows.chosen import open_chosen_encoder
from flows.labels import to_label
from flows.topic_store import find_topic, recorded_topics
from models.heads import shipped_revision
from models.learn import LEAST, Comparison, compare_heads, has_enough
from storage.database import Database
from storage.folder import history_path, lock_data_folder
from storage.labels import load_labels
from storage.learning import Learning, learning_topics, load_learning, record_learning
from tocsin.errors import SettingsError
from tocsin.settings import Settings


@dataclass(frozen=True, slots=True)
class LearnReport:
    """What came of learning a topic. `found` is None where there were too few labels to compare by.

    `counted` and `counts` say whether labels counted in its scores before, and do from now on.
    """

    topic: str
    relevant: int
    irrelevant: int
    counted: bool
    counts: bool
    found: Comparison | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, ready for JSON."""
        better = None if self.found is None else self.found.is_better
        return asdict(self) | {"is_better": better, "message": self.message}

    @property
    def message(self) -> str:
        """Say what was found and what holds now."""
        labels = f"{self.topic}: {self.relevant} relevant and {self.irrelevant} irrelevant labels"
        state = "labels count" if self.counts else "labels do not count"
        now = f"{state}, as before" if self.counts is self.counted else f"{state} from the next run on"
        if self.found is None:
            return f"{labels}; at least {LEAST} of each are needed to compare. {now.capitalize()}."
        each = self.found
        gain = f"gain {each.gain:+.3f} ± {each.noise:.3f}"
        fell = f"log loss {each.loss_before:.3f} → {each.loss_after:.3f} ({gain})"
        errors = f"errors {each.errors_before} → {each.errors_after} of {each.labels}"
        verdict = "better with labels" if each.is_better else "not better with labels"
        return f"{labels}; held back in turn: {fell}, {errors}: {verdict}. {now.capitalize()}."


def learn_topic(settings: Settings, name: str, *, now: datetime, keep: bool = True) -> LearnReport:
    """Compare a topic's head with and without its labels, and let them count only if it is better with them.

    With too few labels nothing is decided. `keep` False records nothing either.
    Raises: TopicError for an unknown topic, SettingsError with another encoder, StorageError.
    """
    topic = find_topic(recorded_topics(settings), name)
    encoder = open_chosen_encoder(settings.encoder, settings.encoder_languages, settings.encoder_setup)
    if encoder.revision != shipped_revision():
        raise SettingsError("TOCSIN_ENCODER: labels correct scores of the shipped encoder only; unset it")
    db = Database(history_path(settings.data))
    with db.read() as con:
        given = load_labels(con, [name], revision=encoder.revision).get(name, [])
        counted = bool(learning_topics(con, [name]))
    labels = [to_label(each) for each in given]
    relevant = sum(label.positive for label in labels)
    found = compare_heads(topic, labels, encoder) if has_enough(labels) else None
    counts = counted if found is None else found.is_better
    report = LearnReport(name, relevant, len(labels) - relevant, counted, counts, found)
    if keep and found is not None:
        _record(settings, Learning(name, counts, now, settings.person, report.to_dict()))
    return report


def go_back(settings: Settings, name: str, *, now: datetime) -> bool:
    """Turn the last decision on a topic round; return whether its labels count now.

    Raises: TopicError for an unknown topic, StorageError.
    """
    find_topic(recorded_topics(settings), name)
    with Database(history_path(settings.data)).read() as con:
        counted = bool(learning_topics(con, [name]))
    _record(settings, Learning(name, not counted, now, settings.person))
    return not counted


def labelled_topics(settings: Settings) -> Sequence[str]:
    """Name the topics in use that have any label, in their order."""
    names = [topic.name for topic in recorded_topics(settings)]
    with Database(history_path(settings.data)).read() as con:
        found = load_labels(con, names, most=1)
    return [name for name in names if name in found]


def load_decisions(settings: Settings, name: str) -> list[Learning]:
    """Load all decisions on a topic, oldest first. Raises: StorageError."""
    with Database(history_path(settings.data)).read() as con:
        return load_learning(con, name)


def _record(settings: Settings, decided: Learning) -> None:
    with lock_data_folder(settings.data):
        Database(history_path(settings.data)).change(lambda con: record_learning(con, decided))
