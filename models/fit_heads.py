"""Fits the heads of the default topics: python -m models.fit_heads --data FOLDER.

FOLDER holds train.jsonl and pool.jsonl.gz (weights are fitted on the first, on what pool_labels.jsonl says of
the second, and on the topics' own phrases) and dev.jsonl (only for what turns log-odds into scores). Writes
fitted.json, fitted.npz and fitted_terms.txt. Same data, same figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.encode import Encoder, Vectors, load_encoder
from models.evaluate import LabelledArticle, label_matrix, read_labelled
from models.fit_zero_shot import fit_logistic, summarize
from models.fitted import PATH, FittedFile, FittedTopic, Line, Weights, hash_definition, save_fitted
from models.lexical import Lexicon, build_lexicon
from models.manifest import mark_file
from models.pool import POOL_LABELS, read_pool
from models.text import compose_text
from models.topics import default_topics
from tocsin.types import Topic

# Figures of what lost are in docs/classifier.md.
EMBEDDING_RIDGE = 0.3
TERMS_RIDGE = 1 / 30
LEAST_ARTICLES = 5  # that hold a term, so that no text can be read back from the terms
LIKENESS = 0.85  # cosine at which two articles tell of one event, and share a fold
FOLDS = 5
SEED = 0

Floats = npt.NDArray[np.float64]
Folds = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Examples:
    """What is learned from: texts, their vectors (n, d), labels (n, topics: 1, 0, NaN unknown), folds (n,).

    Fold -1 is in every training part and never measured.
    """

    texts: list[str]
    vectors: Vectors
    labels: Floats
    folds: Folds

    def __add__(self, other: Examples) -> Examples:
        return Examples(
            self.texts + other.texts,
            np.vstack([self.vectors, other.vectors]),
            np.vstack([self.labels, other.labels]),
            np.r_[self.folds, other.folds],
        )

    @property
    def articles(self) -> list[str]:
        """The texts that are articles, not phrases."""
        return [text for text, fold in zip(self.texts, self.folds, strict=True) if fold >= 0]

    def take(self, rows: npt.NDArray[np.bool_]) -> Examples:
        """Keep only some rows."""
        texts = [text for text, kept in zip(self.texts, rows, strict=True) if kept]
        return Examples(texts, self.vectors[rows], self.labels[rows], self.folds[rows])


def read_examples(articles: Sequence[LabelledArticle], topics: Sequence[Topic], encoder: Encoder) -> Examples:
    """Embed labelled articles and deal them into folds."""
    texts = [compose_text(article.title, article.summary) for article in articles]
    vectors = encoder.embed(texts)
    return Examples(texts, vectors, label_matrix(articles, topics), deal_folds(vectors))


def phrase_examples(topics: Sequence[Topic], encoder: Encoder) -> Examples:
    """Make examples of the topics' phrases: each speaks for or against its own topic only."""
    phrases = [
        (phrase, column, label)
        for column, topic in enumerate(topics)
        for label, group in ((1.0, topic.examples), (0.0, topic.counter_examples))
        for phrase in group
    ]
    labels = np.full((len(phrases), len(topics)), np.nan)
    for row, (_, column, label) in enumerate(phrases):
        labels[row, column] = label
    texts = [phrase for phrase, _, _ in phrases]
    return Examples(texts, encoder.embed(texts), labels, np.full(len(texts), -1))


def deal_folds(vectors: Vectors, *, seed: int = SEED) -> Folds:
    """Deal articles into `FOLDS` at random, all those of one event into the same."""
    groups = np.arange(len(vectors))
    for row in range(len(vectors)):
        for near in np.flatnonzero(vectors[:row] @ vectors[row] >= LIKENESS):
            groups[groups == groups[row]] = groups[near]
    _, members = np.unique(groups, return_inverse=True)
    dealt: Folds = np.random.default_rng(seed).permutation(members.max() + 1) % FOLDS
    return np.asarray(dealt[members])


def fit_wide(design: Vectors, labels: Floats, *, ridge: float) -> Floats:
    """Fit logistic regressions with more columns than rows, one for each of labels (n, k; NaN: unknown).

    Return weights and, last, the intercept: (columns + 1, k). Newton's method on the dual, which has one
    unknown for each row, however many columns there are.
    """
    kernel = (design @ design.T).astype(np.float64) + 1.0  # + 1: the intercept's column
    known, wanted = ~np.isnan(labels), np.nan_to_num(labels)
    logits = np.zeros(labels.shape)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-logits.clip(-30, 30)))
        root = np.sqrt((chance * (1 - chance)).clip(1e-10)) * known
        aims = root * logits + np.divide(wanted - chance, root, out=np.zeros_like(root), where=known)
        dual = root * _solve(kernel, root, aims, ridge)
        before, logits = logits, kernel @ dual
        if np.abs(logits - before).max() < 1e-5:
            break
    return np.vstack([design.T @ dual, dual.sum(axis=0)])


def _solve(kernel: Floats, root: Floats, aims: Floats, ridge: float) -> Floats:
    """Solve (ridge I + R K R) x = aim for all columns at once by conjugate gradients, R = diag(root)."""
    found = np.zeros_like(aims)
    left, step = aims.copy(), aims.copy()
    size = (left**2).sum(axis=0)
    for _ in range(1_000):
        bent = ridge * step + root * (kernel @ (root * step))
        pace = size / np.maximum((step * bent).sum(axis=0), 1e-300)
        found += pace * step
        left -= pace * bent
        before, size = size, (left**2).sum(axis=0)
        if (size <= 1e-16 * (aims**2).sum(axis=0)).all():
            break
        step = left + size / np.maximum(before, 1e-300) * step
    return found


def fit_weights(examples: Examples, lexicon: Lexicon) -> Weights:
    """Fit both regressions of each topic on the rows with a label for it."""
    vectors, known = examples.vectors.astype(np.float64), ~np.isnan(examples.labels)
    columns = [
        fit_logistic(vectors[rows], labels[rows], ridge=EMBEDDING_RIDGE)
        for rows, labels in zip(known.T, examples.labels.T, strict=True)
    ]
    terms = fit_wide(lexicon.weigh_all(examples.texts), examples.labels, ridge=TERMS_RIDGE)
    return Weights(np.stack(columns, axis=1).astype(np.float32), terms.astype(np.float32), lexicon)


def fit_line(logits: Vectors, labels: Floats) -> Line:
    """Fit what turns log-odds into probabilities: a logistic regression (Platt, 1999).

    One for all topics, (n, topics) as one column: a topic has too few matches for a slope of its own.
    """
    known = ~np.isnan(labels)
    slope, offset = fit_logistic(logits[known][:, None].astype(np.float64), labels[known])
    return Line(round(float(slope), 4), round(float(offset), 4))


def apply_line(logits: Vectors, line: Line) -> Vectors:
    """Turn log-odds (n, topics) into scores."""
    bent = (logits * line.slope + line.offset).clip(-30, 30)
    return np.asarray(1 / (1 + np.exp(-bent)), dtype=np.float32)


def calibration_error(scores: Vectors, labels: Floats, *, bins: int = 10) -> float:
    """Return the expected calibration error over all known pairs, in `bins` of equal width."""
    known = ~np.isnan(labels)
    scores, labels = scores[known], labels[known]
    places = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [abs(float((scores - labels)[places == place].sum())) for place in range(bins)]
    return sum(gaps) / len(scores)


@dataclass(frozen=True)
class Fitting:
    """What has been fitted, and the log-odds of dev with (0) and without (1) its texts.

    A line is fitted on dev alone: the encoder has been tuned on train, whose log-odds flatter it.
    """

    dev: Examples
    weights: Weights
    logits: tuple[Vectors, Vectors]

    def line(self, kind: int, rows: npt.NDArray[np.bool_] | slice = slice(None)) -> Line:
        """Fit the line on the chosen rows of dev."""
        return fit_line(self.logits[kind][rows], self.dev.labels[rows])

    def score_dev(self, kind: int) -> Vectors:
        """Score each article of dev by a line fitted without its fold."""
        scores = np.empty_like(self.logits[kind])
        for fold in range(FOLDS):
            out = self.dev.folds == fold
            scores[out] = apply_line(self.logits[kind][out], self.line(kind, ~out))
        return scores


def fit(train: Examples, dev: Examples, phrases: Examples) -> Fitting:
    """Fit on train and the phrases, and measure log-odds of dev."""
    weights = fit_weights(train + phrases, build_lexicon(train.texts, least=LEAST_ARTICLES))
    return Fitting(
        dev, weights, (weights.measure(dev.vectors, dev.texts), weights.measure(dev.vectors, None))
    )


def report(fitting: Fitting, articles: Sequence[LabelledArticle], topics: Sequence[Topic]) -> dict[str, Any]:
    """Measure on dev: `dev` by lines fitted without an article's fold, `dev_as_shipped` by the final one."""
    shipped = apply_line(fitting.logits[0], fitting.line(0))
    honest, bare = fitting.score_dev(0), fitting.score_dev(1)
    raw = np.asarray(1 / (1 + np.exp(-fitting.logits[0])), dtype=np.float32)
    return {
        "dev": summarize(honest, articles, topics),
        "dev_without_text": summarize(bare, articles, topics),
        "dev_as_shipped": summarize(shipped, articles, topics),
        "calibration_error": {
            "before": round(calibration_error(raw, fitting.dev.labels), 4),
            "after": round(calibration_error(honest, fitting.dev.labels), 4),
        },
        "seed": SEED,
        "folds": FOLDS,
    }


def describe(fitting: Fitting, topics: Sequence[Topic], revision: str) -> FittedFile:
    """Make the file's record of what was fitted, with lines fitted on all of dev."""
    with_text, without_text = fitting.line(0), fitting.line(1)
    fitted = tuple(
        FittedTopic(topic.name, hash_definition(topic), with_text, without_text) for topic in topics
    )
    return FittedFile(revision, fitted, files={})


def main() -> None:
    """Fit from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.fit_heads", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with train.jsonl, pool.jsonl.gz and dev.jsonl"
    )
    folder = parser.parse_args().data
    encoder, topics = load_encoder(), default_topics()
    train = read_labelled(folder / "train.jsonl") + read_pool(folder)
    dev = read_labelled(folder / "dev.jsonl")
    examples = [read_examples(articles, topics, encoder) for articles in (train, dev)]
    fitting = fit(examples[0], examples[1], phrase_examples(topics, encoder))
    measured = report(fitting, dev, topics)
    measured["articles"] = len(train)
    files = [*(folder / name for name in ("train.jsonl", "pool.jsonl.gz", "dev.jsonl")), POOL_LABELS]
    measured["sha256"] = {file.name: mark_file(file).sha256 for file in files}
    save_fitted(replace(describe(fitting, topics, encoder.revision), report=measured), fitting.weights, PATH)
    sys.stdout.write(json.dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    main()
