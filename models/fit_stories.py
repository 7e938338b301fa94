"""Fits the rule of stories to labelled pairs: python -m models.fit_stories --data FOLDER.

FOLDER holds pool.jsonl.gz and history.jsonl.gz. Limits are chosen on months of the history, with weights that
saw nothing of these months; the fresh pairs are only measured, at the end. Run it again whenever the encoder
changes (some minutes).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from models.background import load_background
from models.encode import Vectors, load_encoder
from models.fit_zero_shot import fit_logistic
from models.manifest import mark_file
from models.measure_stories import (
    Lot,
    compare_pool,
    join_pairs,
    look_at_pairs,
    measure_fresh,
    split_lots,
)
from models.stories import Compared
from models.story_pairs import (
    FITTED_MONTHS,
    FRESH,
    FRESH_MONTHS,
    HISTORY,
    PAIRS,
    POOL,
    Bools,
    Pool,
    agree,
    read_history,
    read_pairs,
    read_pool,
)
from models.story_rule import FEATURES, Limits, StoryRule, write_rule
from models.story_words import Weights

PRECISION, LEAST_RECALL, LOWER_PRECISION = 0.95, 0.35, 0.92
THRESHOLDS = tuple(float(each) for each in np.arange(0.0, 4.01, 0.25))
COMPANIES = (-1.0, 0.0, 0.75, 1.5, 2.25)
RIDGE = 1.0  # on weights of standardised features
NOTHING_KNOWN = StoryRule("", dict.fromkeys(FEATURES, 0.0), 0.0, Limits(0, 0))


@dataclass(frozen=True)
class Samples:
    """Pairs that can be learnt from: features (n, f), labels (n,) and the months of their articles."""

    features: Vectors
    same: Bools
    months: Sequence[set[str]]


def gather_samples(lots: Sequence[Lot], weights: Weights) -> Samples:
    """Take the pairs that are labelled, and left open by what only copies may join."""
    found = [
        (look.features, pair.label == "same", lot.months(pair))
        for lot in lots
        for pair, look in zip(lot.pairs, look_at_pairs(NOTHING_KNOWN, lot, weights), strict=True)
        if look.is_open and pair.label != "unsure"
    ]
    features, same, months = zip(*found, strict=True)
    return Samples(np.array(features), np.array(same), months)


def fit_odds(features: Vectors, same: Bools) -> tuple[Vectors, float]:
    """Fit a logistic regression to standardised features; return weights (features,) and offset."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    found = fit_logistic((features - mean) / spread, same.astype(np.float64), ridge=RIDGE)
    weights = (found[:-1] / spread).astype(np.float32)
    return weights, float(found[-1] - weights @ mean)


def fit_rule(samples: Samples, revision: str, *, without: Sequence[str] = ()) -> StoryRule:
    """Fit the weights to the pairs that touch none of some months; limits are to be chosen."""
    rows = _keep(samples, without)
    weights, offset = fit_odds(samples.features[rows], samples.same[rows])
    named = {name: round(float(value), 4) for name, value in zip(FEATURES, weights, strict=True)}
    return replace(NOTHING_KNOWN, encoder_revision=revision, weights=named, offset=round(offset, 4))


def _keep(samples: Samples, without: Sequence[str]) -> list[int]:
    return [row for row, months in enumerate(samples.months) if not months & set(without)]


Stream = Sequence[tuple[Compared, Lot]]


def choose_limits(stream: Stream) -> tuple[Limits, dict[str, float]]:
    """Take the limits of highest recall that are precise enough in stories; the second is what they reach."""
    pairs = [pair for _, lot in stream for pair in lot.pairs]
    found = {}
    for threshold, company in product(THRESHOLDS, COMPANIES):
        limits = Limits(threshold, company)
        joined = np.concatenate([join_pairs(compared, limits, lot) for compared, lot in stream])
        found[limits] = agree(joined, pairs)
    for asked in (PRECISION, LOWER_PRECISION):
        precise = [(each.recall, limits.threshold, limits) for limits, each in found.items()
                   if each.precision >= asked]  # fmt: skip
        best = max(precise, key=lambda each: each[:2], default=None)
        if best is not None and (best[0] >= LEAST_RECALL or asked == LOWER_PRECISION):
            reached = found[best[2]]
            return best[2], {"asked": asked} | _plain(reached.precision, reached.recall)
    strictest = Limits(max(THRESHOLDS), max(COMPANIES))
    return strictest, _plain(found[strictest].precision, found[strictest].recall)


def _plain(precision: float, recall: float) -> dict[str, float]:
    return {"precision": round(precision, 3), "recall": round(recall, 3)}


def cut_month_lots(lot: Lot) -> list[tuple[Sequence[str], Lot]]:
    """Cut the history into groups of months, each with its own articles and pairs."""
    return [(months, _cut(lot, months)) for months in FITTED_MONTHS]


def _cut(lot: Lot, months: Sequence[str]) -> Lot:
    rows = [row for row, article in enumerate(lot.pool.articles) if f"{article.at:%Y-%m}" in months]
    moved = {row: place for place, row in enumerate(rows)}
    articles = [replace(lot.pool.articles[row], article_id=moved[row]) for row in rows]
    names = {name: moved[row] for name, row in lot.pool.rows.items() if row in moved}
    pairs = [pair for pair in lot.pairs if pair.one in names and pair.other in names]
    return Lot(Pool(articles, names, lot.pool.vectors[rows]), pairs)


def fit(lots: Sequence[Lot], history: Lot, weights: Weights, revision: str) -> StoryRule:
    """Fit weights to all pairs, and the limits to months that were held out in turn."""
    samples = gather_samples(lots, weights)
    stream = []
    for months, lot in cut_month_lots(history):
        rule = fit_rule(samples, revision, without=months)
        stream.append((compare_pool(rule, lot.pool, weights), lot))
    limits, reached = choose_limits(stream)
    return replace(fit_rule(samples, revision), limits=limits, report={"held_out_months": reached})


def main() -> None:
    """Fit from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.fit_stories", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {POOL} and {HISTORY}")
    options = parser.parse_args()
    encoder, weights = load_encoder(), Weights(load_background().lexicon)
    pool = read_pool(options.data / POOL, encoder)
    months = [month for group in FITTED_MONTHS for month in group]
    lots = split_lots(read_pairs(), pool, read_history(options.data, encoder, months))
    rule = fit(lots, lots[1], weights, encoder.revision)
    fresh = split_lots(read_pairs(FRESH), pool, read_history(options.data, encoder, FRESH_MONTHS))
    halves = zip(("pool", "history"), fresh, strict=True)
    measured = {half: measure_fresh(rule, lot, weights) for half, lot in halves}
    files = {"pool": options.data / POOL, "history": options.data / HISTORY, "pairs": PAIRS, "fresh": FRESH}
    marks = {name: mark_file(path).sha256 for name, path in files.items()}
    rule = replace(rule, report={**rule.report, "fresh": measured, "sha256": marks})
    write_rule(rule)
    sys.stdout.write(json.dumps(rule.report, indent=2) + "\n")


if __name__ == "__main__":
    main()
