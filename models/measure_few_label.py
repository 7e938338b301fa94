"""Measures the few-label head on topics held out: python -m models.measure_few_label --data … --held-out ….

Labels are dealt as feedback gives them: articles of train drawn in proportion to the score that the topic's
definition alone gave them, so that most are alerts that rang, and each gets a yes or a no.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from models.background import Background, load_background, save_background
from models.encode import Encoder, load_encoder
from models.few_label import Label, correct_head
from models.fit_zero_shot import (
    build_background,
    calibrate_without,
    draw_all,
    measure_draws,
    read_set,
    unseen_topics,
)
from models.held_out import Draw, LabelledSet, Within, draw_definition
from models.topic_report import average_tables, describe_scores
from models.zero_shot import Calibration, ZeroShotHead
from tocsin.types import Topic

LABELS = (0, 8, 16, 64)


def deal_labels(head: ZeroShotHead, draw: Draw, train: LabelledSet, *, seed: int) -> list[Label]:
    """Deal the most labels that are measured, in the order in which they would come in."""
    known = train.far_from(draw.rows) & ~np.isnan(train.labels[:, draw.column])
    rows = np.flatnonzero(known)
    chance = head.score(train.vectors[rows], [train.texts[row] for row in rows])[:, 0].astype(np.float64)
    rng = np.random.default_rng((seed, draw.column))
    chosen = rng.choice(rows, max(LABELS), replace=False, p=chance / chance.sum())
    return [Label(train.texts[row], bool(train.labels[row, draw.column])) for row in chosen]


def measure_topic(
    head: ZeroShotHead, draw: Draw, sets: Sequence[LabelledSet], encoder: Encoder, background: Background
) -> list[dict[str, float]]:
    """Describe dev's scores of one drawn topic after each count of labels."""
    train, dev = sets
    labels = deal_labels(head, draw, train, seed=len(draw.rows))
    rows = []
    for count in LABELS:
        corrected = correct_head(head, {draw.topic.name: labels[:count]}, encoder, background)
        scores = corrected.score(dev.vectors, dev.texts)[:, 0]
        figures = describe_scores(scores, dev.labels[:, draw.column])
        rows.append({"topic": draw.column, "labels": count} | figures)
    return rows


def measure(
    data: Path, learner: Encoder, topics: Sequence[Topic], *, kept: Path | None, examples: int, draws: int
) -> dict[str, Any]:
    """Measure topics, each by a background and a calibration that know nothing of its labels.

    `learner` must not have been tuned for `topics`. `kept` is where its background is kept, if anywhere.
    """
    train, dev = (read_set(data / f"{name}.jsonl", topics, learner) for name in ("train", "dev"))
    within = Within(train)
    background = _measure_background(data, learner, dev, within, kept=kept)
    fitted = measure_draws(draw_all(topics, train), train, dev, learner, background=background, within=within)
    left_out: list[Calibration] = calibrate_without(fitted, train.labels, learner.revision)
    rows = []
    for column in range(len(topics)):
        unaware = replace(background, within=within.average(without=[column]))
        for seed in range(draws):
            draw = draw_definition(topics, column, train, examples=examples, counters=0, seed=100 + seed)
            head = ZeroShotHead([draw.topic], learner, unaware, left_out[column])
            rows += measure_topic(head, draw, (train, dev), learner, unaware)
    names = [topic.name for topic in topics]
    return {
        f"{count} labels": average_tables([row for row in rows if row["labels"] == count], names)
        for count in LABELS
    }


def _measure_background(
    data: Path, learner: Encoder, dev: LabelledSet, within: Within, *, kept: Path | None
) -> Background:
    """Measure ordinary news with `learner`, which takes minutes, or read what was kept of it."""
    if kept is not None and kept.exists():
        return load_background(kept)
    background = build_background(data, learner, dev, within.average())
    if kept is not None:
        save_background(background, kept)
    return background


def main() -> None:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.measure_few_label", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.jsonl and dev.jsonl")
    parser.add_argument("--held-out", type=Path, required=True, help="encoder as `fit_zero_shot` takes it")
    parser.add_argument(
        "--background", type=Path, help="file (.npz) to keep its background in, or read it from"
    )
    parser.add_argument("--examples", type=int, default=3, help="in each topic's definition")
    parser.add_argument("--draws", type=int, default=3)
    arguments = parser.parse_args()
    found = measure(
        arguments.data,
        load_encoder(arguments.held_out),
        unseen_topics(arguments.held_out),
        kept=arguments.background,
        examples=arguments.examples,
        draws=arguments.draws,
    )
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
