"""What people said of articles, as the heads learn it: the text that was judged, and their yes or no."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from models.few_label import Label
from models.text import compose_text
from storage.database import Database
from storage.labels import LabelledText, load_labels
from storage.learning import learning_topics

log = logging.getLogger(__name__)

# Characters below which a summary says too little to judge an article by, if its page was read.
SHORT_SUMMARY = 200


def telling_text(summary: str, full_text: str | None) -> str:
    """Return what an article is judged by beside its headline: its summary, or the page of a short one."""
    return full_text if len(summary) < SHORT_SUMMARY and full_text else summary


def learn_labels(db: Database, topics: Sequence[str], *, revision: str) -> dict[str, list[Label]]:
    """Load the labels of `topics`, the newest of each, with their stored vectors by encoder `revision`.

    Those of a topic for which somebody decided that labels do not count are left out.
    """
    with db.read() as con:
        found = load_labels(con, learning_topics(con, topics), revision=revision)
    for topic, labels in found.items():
        relevant = sum(label.positive for label in labels)
        log.info("labels.loaded topic=%s relevant=%d irrelevant=%d", topic, relevant, len(labels) - relevant)
    return {topic: [to_label(each) for each in labels] for topic, labels in found.items()}


def to_label(found: LabelledText) -> Label:
    """Make what a head learns of what was judged."""
    text = compose_text(found.title, telling_text(found.summary, found.full_text))
    return Label(text, found.positive, found.embedding, found.title)
