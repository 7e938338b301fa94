"""The worst errors of an evaluation: which articles were told wrongly, and how far off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.encode import Encoder
from models.evaluate import Scored
from models.explain import Match, explain_matches
from models.text import clean_text
from tocsin.types import Reason

Kind = Literal["false_alarm", "miss"]


@dataclass(frozen=True, slots=True)
class Mistake:
    """An article on the wrong side of a topic's threshold. `row` is its place in the file, from 0.

    `reason`: what spoke most for the topic, also in an article that was missed.
    """

    topic: str
    kind: Kind
    score: float
    row: int
    title: str
    reason: Reason | None = None


def find_mistakes(scored: Scored, *, most: int) -> list[Mistake]:
    """Find by topic the worst false alarms, highest score first, and the worst misses, lowest first.

    At most `most` of each kind and topic; equal scores stay in the file's order.
    """
    found: list[Mistake] = []
    labels = scored.labels()
    for column in range(len(scored.heads.topics)):
        scores = scored.scores[:, column]
        matched = scores >= scored.heads.thresholds[column]
        alarms = np.flatnonzero(matched & (labels[:, column] == 0))
        misses = np.flatnonzero(~matched & (labels[:, column] == 1))
        alarms = alarms[np.argsort(-scores[alarms], kind="stable")][:most]
        misses = misses[np.argsort(scores[misses], kind="stable")][:most]
        found += _mistakes(scored, column, "false_alarm", alarms.tolist())
        found += _mistakes(scored, column, "miss", misses.tolist())
    return found


def _mistakes(scored: Scored, column: int, kind: Kind, rows: Sequence[int]) -> list[Mistake]:
    topic = scored.heads.topics[column].name
    return [
        Mistake(topic, kind, float(scored.scores[row, column]), row, clean_text(scored.articles[row].title))
        for row in rows
    ]


def explain_mistakes(encoder: Encoder, scored: Scored, mistakes: Sequence[Mistake]) -> list[Mistake]:
    """Give each mistake its reason."""
    asked = [
        Match(mistake.title, scored.articles[mistake.row].summary, mistake.topic, mistake.score)
        for mistake in mistakes
    ]
    reasons = explain_matches(encoder, scored.heads, asked)
    return [
        Mistake(each.topic, each.kind, each.score, each.row, each.title, reason)
        for each, reason in zip(mistakes, reasons, strict=True)
    ]
