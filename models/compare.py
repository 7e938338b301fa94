"""Compares two revisions on the same labelled articles, pair by pair: an older report against new scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.encode import Vectors
from models.evaluate import MEASURES, Scored, evaluate_scores
from models.intervals import Interval, Sample, average_topics, find_intervals, resample
from models.text import clean_text
from tocsin.errors import SettingsError

HINT = "make it with `tocsin evaluate FILE --json --scores`"


@dataclass(frozen=True)
class OldRun:
    """What an older report says of the topics that are evaluated now too. `scores` is (articles, topics)."""

    topics: tuple[str, ...]
    thresholds: tuple[float, ...]
    heads: dict[str, str]
    encoder_revision: str
    scores: Vectors


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure, before and now. `interval` is that of now less before; `is_clear`: it leaves out 0."""

    before: float | None
    now: float | None
    interval: Interval | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


@dataclass(frozen=True, slots=True)
class Change:
    """An article whose verdict changed; `row` is its place in the file. `is_right`: None if it is unsure."""

    topic: str
    row: int
    title: str
    before: float
    now: float
    is_match: bool
    is_right: bool | None


@dataclass(frozen=True)
class Comparison:
    """Differences by topic and measure, those of the means, and the changed verdicts, largest move first."""

    before: OldRun
    topics: dict[str, dict[str, Difference]]
    mean: dict[str, Difference]
    changes: list[Change]


def read_old_run(path: Path, scored: Scored) -> OldRun:
    """Read a report for comparison with `scored`.

    Raises: SettingsError if it cannot be read, holds no scores, is of other articles, or shares no topic.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or not isinstance(data.get("scores"), dict):
            raise SettingsError(f"{path}: is not a report with scores: {HINT}")
        if data["data_sha256"] != scored.data_sha256:
            raise SettingsError(f"{path}: was measured on another file of articles: {HINT} on this one")
        names = tuple(topic.name for topic in scored.heads.topics if topic.name in data["scores"])
        run = _old_run(data, names)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SettingsError(f"{path}: is not a report that can be compared ({error!r}): {HINT}") from error
    if not names:
        raise SettingsError(f"{path}: has none of the topics that are evaluated now")
    if run.scores.shape != (len(scored.articles), len(names)):
        raise SettingsError(f"{path}: has not one score for each article: {HINT}")
    return run


def _old_run(data: dict[str, Any], names: Sequence[str]) -> OldRun:
    return OldRun(
        topics=tuple(names),
        thresholds=tuple(float(data["topics"][name]["threshold"]) for name in names),
        heads={name: str(data["heads"][name]) for name in names},
        encoder_revision=str(data["encoder_revision"]),
        scores=np.array([data["scores"][name] for name in names], dtype=np.float32).T,
    )


def compare_runs(old: OldRun, scored: Scored) -> Comparison:
    """Compare on the topics that both know; each resample draws the same articles for both."""
    everything = [topic.name for topic in scored.heads.topics]
    columns = [everything.index(name) for name in old.topics]
    topics = [scored.heads.topics[column] for column in columns]
    aged = [
        topic.model_copy(update={"threshold": threshold})
        for topic, threshold in zip(topics, old.thresholds, strict=True)
    ]
    labels, scores = scored.labels()[:, columns], scored.scores[:, columns]
    moved = resample(Sample(scores, labels, [topic.effective_threshold for topic in topics])) - resample(
        Sample(old.scores, labels, old.thresholds)
    )
    before = evaluate_scores(old.scores, scored.articles, aged)
    now = evaluate_scores(scores, scored.articles, topics)
    by_topic = {
        name: _differences(before.topics[name], now.topics[name], find_intervals(moved[:, column]))
        for column, name in enumerate(old.topics)
    }
    mean = {
        name: Difference(before.mean[name], now.mean[name], interval)
        for name, interval in find_intervals(average_topics(moved)).items()
    }
    return Comparison(old, by_topic, mean, _find_changes(old, scored, columns))


def _differences(before: Any, now: Any, intervals: dict[str, Interval | None]) -> dict[str, Difference]:
    return {name: Difference(getattr(before, name), getattr(now, name), intervals[name]) for name in MEASURES}


def _find_changes(old: OldRun, scored: Scored, columns: Sequence[int]) -> list[Change]:
    labels, scores = scored.labels()[:, columns], scored.scores[:, columns]
    then = old.scores >= np.array(old.thresholds, dtype=np.float32)
    now = scores >= scored.heads.thresholds[columns]
    rows, places = np.nonzero(then != now)
    changes = [
        Change(
            topic=old.topics[place],
            row=row,
            title=clean_text(scored.articles[row].title),
            before=float(old.scores[row, place]),
            now=float(scores[row, place]),
            is_match=bool(now[row, place]),
            is_right=None if np.isnan(labels[row, place]) else bool(labels[row, place] == now[row, place]),
        )
        for row, place in zip(rows.tolist(), places.tolist(), strict=True)
    ]
    return sorted(changes, key=lambda change: -abs(change.now - change.before))
