"""Fits what the zero-shot head shares over all topics: python -m models.fit_zero_shot --data FOLDER.

FOLDER holds train.jsonl (fitted on), dev.jsonl (reported on), history.jsonl.gz and pool.jsonl.gz
(background, no labels). Writes background.npz, background_terms.txt and zero_shot.json, from which no text
can be read back. Same data, same figures.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.background import PATH as BACKGROUND
from models.background import Background, save_background
from models.encode import FOLDER, Encoder, Vectors, load_encoder
from models.evaluate import LabelledArticle, evaluate_scores, label_matrix, read_labelled
from models.held_out import LIKENESS, Draw, LabelledSet, Within, draw_definition, measure_draw
from models.lexical import build_lexicon
from models.manifest import CARD, mark_file
from models.neighbourhoods import gather_neighbourhoods
from models.text import compose_text
from models.topic_report import average_tables, describe_scores
from models.topics import default_topics
from models.zero_shot import PATH, Calibration, save_calibration, widen_features
from tocsin.topic import THRESHOLDS, Topic

BACKGROUND_ARTICLES = 12_000
NEIGHBOURHOODS = 600
LEAST_ARTICLES = 8  # that hold a term
RIDGE = 1.0  # of the logistic regression
LEAST_TOPICS = 3
SEED = 0
# Examples and counter-examples of the topics that are fitted on, and how often each is drawn.
DRAWS = {(0, 0): 1, (3, 0): 2, (3, 3): 1, (8, 0): 2, (8, 4): 2, (13, 6): 2}

Floats = npt.NDArray[np.float64]


def read_background(path: Path, *, limit: int | None = None, seed: int = SEED) -> list[str]:
    """Return the texts of English articles in `path` (JSON lines, gzip), a random sample if limited."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        articles = [data for data in map(json.loads, lines) if data.get("lang") == "en"]
    if limit is not None:
        articles = random.Random(seed).sample(articles, min(limit, len(articles)))  # noqa: S311 - a sample
    return [compose_text(data["title"], data.get("summary") or "") for data in articles]


def build_background(data: Path, encoder: Encoder, dev: LabelledSet, within: Vectors) -> Background:
    """Measure ordinary news (history) and the words of the domain's news (pool), without what is in dev."""
    history = read_background(data / "history.jsonl.gz", limit=BACKGROUND_ARTICLES)
    vectors = encoder.embed(history)
    pool = read_background(data / "pool.jsonl.gz")
    near = encoder.embed(pool)
    strange = (near @ dev.vectors.T).max(axis=1) < LIKENESS
    pool = [text for text, kept in zip(pool, strange, strict=True) if kept]
    lexicon = build_lexicon([*pool, *history], least=LEAST_ARTICLES)
    covariance = np.cov(vectors.T, dtype=np.float64).astype(np.float32)
    neighbourhoods = gather_neighbourhoods(near[strange], pool, lexicon, count=NEIGHBOURHOODS, seed=SEED)
    return Background(vectors.mean(axis=0), covariance, within, lexicon, neighbourhoods)


def read_set(path: Path, topics: Sequence[Topic], encoder: Encoder) -> LabelledSet:
    """Read and embed labelled articles."""
    articles = tuple(read_labelled(path))
    texts = tuple(compose_text(article.title, article.summary) for article in articles)
    return LabelledSet(articles, texts, encoder.embed(texts), label_matrix(articles, topics))


def fit_logistic(features: Floats, labels: Floats, *, ridge: float = 0.01) -> Floats:
    """Fit weights and, last, the intercept, by Newton's method on the ridge-penalised likelihood."""
    design = np.column_stack([features, np.ones(len(features))])
    penalty = np.diag([ridge] * features.shape[1] + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-(design @ weights).clip(-30, 30)))
        gradient = design.T @ (labels - chance) - penalty @ weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + penalty
        step: Floats = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    return weights


@dataclass(frozen=True)
class Measured:
    """A drawn topic's features (n, 4) on train and dev, and which rows of train may be used."""

    draw: Draw
    train: Vectors
    dev: Vectors
    usable: npt.NDArray[np.bool_]

    @property
    def examples(self) -> int:
        """How many examples the definition has."""
        return len(self.draw.topic.examples)

    @property
    def kind(self) -> tuple[int, int]:
        """How many examples and counter-examples the definition has, as in `DRAWS`."""
        return self.examples, len(self.draw.topic.counter_examples)


def measure_draws(
    draws: Iterable[Draw],
    train: LabelledSet,
    dev: LabelledSet,
    encoder: Encoder,
    *,
    background: Background,
    within: Within,
) -> list[Measured]:
    """Measure drawn topics on both sets, each without what its own labels would add."""
    found = []
    for draw in draws:
        own, other = measure_draw(draw, (train, dev), encoder, background, within)
        usable = train.far_from(draw.rows) & ~np.isnan(train.labels[:, draw.column])
        found.append(Measured(draw, own, other, usable))
    return found


def fit_calibration(measured: Sequence[Measured], labels: Floats, revision: str) -> Calibration:
    """Fit on the pairs (article of train, drawn topic) whose labels (n, topics) are known."""
    known = np.concatenate([labels[each.usable, each.draw.column] for each in measured])
    wide = np.concatenate([_widen(each.train[each.usable], each.examples) for each in measured])
    wordless = np.concatenate(
        [_widen(_without_words(each.train[each.usable]), each.examples) for each in measured]
    )
    return Calibration(
        encoder_revision=revision,
        with_text=_rounded_weights(fit_logistic(wide, known, ridge=RIDGE)),
        without_text=_rounded_weights(fit_logistic(wordless, known, ridge=RIDGE)),
        base_rate=round(float(known.mean()), 4),
        prior=round(float(known.mean()), 4),
    )


def _widen(features: Vectors, examples: int) -> Floats:
    return widen_features(features[:, None], np.array([examples]))[:, 0].astype(np.float64)


def _without_words(features: Vectors) -> Vectors:
    return features * np.array([1, 0, 0, 1], dtype=np.float32)


def _rounded_weights(weights: Floats) -> tuple[float, ...]:
    return tuple(round(float(weight), 4) for weight in weights)


def score_measured(
    each: Measured, calibration: Calibration, *, has_text: bool = True
) -> tuple[Vectors, Vectors]:
    """Score train and dev, (n,) each."""
    found = []
    for features in (each.train, each.dev):
        seen = features if has_text else _without_words(features)
        logits = calibration.log_odds(seen[:, None], np.array([each.examples]), has_text=has_text)
        found.append(np.asarray(1 / (1 + np.exp(-logits[:, 0])), dtype=np.float32))
    return found[0], found[1]


def calibrate_without(measured: Sequence[Measured], labels: Floats, revision: str) -> list[Calibration]:
    """Return, for each topic (column), a calibration fitted on the draws of all others."""
    return [
        fit_calibration([each for each in measured if each.draw.column != column], labels, revision)
        for column in range(labels.shape[1])
    ]


def summarize(
    scores: Vectors, articles: Sequence[LabelledArticle], topics: Sequence[Topic]
) -> dict[str, Any]:
    """Return AP by topic, and the mean figures at each of the thresholds that sensitivities stand for."""
    summary: dict[str, Any] = {}
    for sensitivity, threshold in THRESHOLDS.items():
        level = [topic.model_copy(update={"threshold": threshold}) for topic in topics]
        result = evaluate_scores(scores, articles, level)
        summary[sensitivity] = {name: _rounded(value) for name, value in result.mean.items() if name != "ap"}
        summary["ap"] = {name: _rounded(figures.ap) for name, figures in result.topics.items()}
        summary["mean_ap"] = _rounded(result.mean["ap"])
    return summary


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def draw_all(topics: Sequence[Topic], train: LabelledSet) -> list[Draw]:
    """Draw every topic as often and as fully as `DRAWS` says."""
    return [
        draw_definition(topics, column, train, examples=examples, counters=counters, seed=seed)
        for (examples, counters), times in DRAWS.items()
        for seed in range(times)
        for column in range(len(topics))
    ]


def unseen_topics(encoder_folder: Path) -> tuple[Topic, ...]:
    """The default topics that the encoder in a folder was not tuned for."""
    card = encoder_folder / CARD
    learned = json.loads(card.read_text(encoding="utf-8"))["topics"] if card.exists() else ()
    return tuple(topic for topic in default_topics() if topic.name not in learned)


def fit(data: Path, shipped: Encoder, learner: Encoder, topics: Sequence[Topic]) -> Calibration:
    """Fit on train with `learner`, which must not have been tuned for `topics`; report each left out in turn.

    A tuned encoder knows its topics too well: evidence weighed on them would count for too much on others.
    Only the background that is saved is measured with the encoder that is shipped.
    """
    train, dev = (read_set(data / f"{name}.jsonl", topics, learner) for name in ("train", "dev"))
    within = Within(train)
    background = build_background(data, learner, dev, within.average())
    measured = measure_draws(
        draw_all(topics, train), train, dev, learner, background=background, within=within
    )
    left_out = calibrate_without(measured, train.labels, shipped.revision)
    report = report_topics(measured, left_out, (train, dev), [topic.name for topic in topics])
    names = ("train.jsonl", "dev.jsonl", "history.jsonl.gz", "pool.jsonl.gz")
    report |= {"sha256": {name: mark_file(data / name).sha256 for name in names}, "seed": SEED}
    report |= {"measured_with": learner.revision}
    if shipped.revision != learner.revision:
        dev = replace(dev, vectors=shipped.embed(list(dev.texts)))
        background = build_background(data, shipped, dev, within.average())
    save_background(background, BACKGROUND)
    return replace(fit_calibration(measured, train.labels, shipped.revision), report=report)


def report_topics(
    measured: Sequence[Measured],
    left_out: Sequence[Calibration],
    sets: Sequence[LabelledSet],
    names: Sequence[str],
) -> dict[str, Any]:
    """Measure each topic by the calibration of the others, for each kind of draw; means over draws."""
    found: dict[str, Any] = {"note": "each topic by a calibration fitted on the other topics, mean of draws"}
    for examples, counters in DRAWS:
        kind = [m for m in measured if m.kind == (examples, counters)]
        tables = {name: average_tables(rows, names) for name, rows in _tabulate(kind, left_out, sets).items()}
        for name in ("train", "dev_without_text"):  # single topics are told of on dev only
            del tables[name]["topics"]
        found[f"{examples} examples, {counters} counter-examples"] = tables
    return found


def _tabulate(
    kind: Sequence[Measured], left_out: Sequence[Calibration], sets: Sequence[LabelledSet]
) -> dict[str, list[dict[str, float]]]:
    """Describe each draw: on train, on dev, and on dev by vectors alone."""
    tables: dict[str, list[dict[str, float]]] = {"train": [], "dev": [], "dev_without_text": []}
    for each in kind:
        column, calibration = each.draw.column, left_out[each.draw.column]
        own, other = score_measured(each, calibration)
        bare = score_measured(each, calibration, has_text=False)[1]
        labels = [every.labels[:, column] for every in sets]
        for name, scores, known in (
            ("train", own[each.usable], labels[0][each.usable]),
            ("dev", other, labels[1]),
            ("dev_without_text", bare, labels[1]),
        ):
            tables[name].append({"topic": column} | describe_scores(scores, known))
    return tables


def main() -> None:
    """Fit from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.fit_zero_shot", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder with train.jsonl, dev.jsonl, history.jsonl.gz, pool.jsonl.gz",
    )
    parser.add_argument(
        "--held-out",
        type=Path,
        default=FOLDER,
        help="folder of an encoder tuned as the shipped one, but without some of the default topics",
    )
    arguments = parser.parse_args()
    topics = unseen_topics(arguments.held_out)
    if len(topics) < LEAST_TOPICS:
        parser.error(
            f"the encoder in {arguments.held_out} was tuned for all default topics but {len(topics)}, so they"
            " tell nothing of others: make one with `python -m models.fine_tune --hold-out …`"
        )
    calibration = fit(arguments.data, load_encoder(), load_encoder(arguments.held_out), topics)
    save_calibration(calibration, PATH)
    sys.stdout.write(json.dumps(calibration.report, indent=2) + "\n")


if __name__ == "__main__":
    main()
