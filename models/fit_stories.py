"""Fits the rule of stories to labelled pairs: python -m models.fit_stories --data FOLDER.

FOLDER holds pool.jsonl.gz and history.jsonl.gz. Limits are chosen on months of the history, with weights that
saw nothing of these months; the fresh pairs are only measured, at the end. Run it again whenever the encoder
changes (some minutes).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from models.background import load_background
from models.encode import Vectors, load_encoder
from models.fit_zero_shot import fit_logistic
from models.manifest import mark_file, read_manifest
from models.measure_stories import (
    Lot,
    compare_pool,
    join_pairs,
    look_at_pairs,
    measure_fresh,
    split_lots,
)
from models.stories import Compared
from models.story_events import FOLDER as EVENT_FOLDER
from models.story_events import EventReader, load_event_reader
from models.story_pairs import (
    FRESH,
    FRESH_MONTHS,
    HELD_OUT,
    HISTORY,
    PAIRS,
    POOL,
    Bools,
    Pool,
    agree,
    name_articles,
    read_history,
    read_pairs,
    read_pool,
)
from models.story_rule import EVENT_COSINE, FEATURES, CloserRule, Limits, StoryRule, write_rule
from models.story_words import Weights

PRECISION, LEAST_RECALL, LOWER_PRECISION = 0.95, 0.35, 0.92
THRESHOLDS = tuple(float(each) for each in np.arange(0.0, 4.01, 0.25))
COMPANIES = (-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5)
DOUBTFUL = -2.0  # log-odds at sight from which a pair is read closer
RIDGE = 1.0  # on weights of standardised features
NOTHING_KNOWN = StoryRule("", dict.fromkeys(FEATURES, 0.0), 0.0, Limits(0, 0))


@dataclass(frozen=True)
class Samples:
    """Pairs that can be learnt from: features (n, f), labels (n,) and the months of their articles."""

    features: Vectors
    same: Bools
    months: Sequence[set[str]]

    def keep(self, rows: Sequence[int]) -> Samples:
        """Keep some rows."""
        return Samples(self.features[rows], self.same[rows], [self.months[row] for row in rows])

    def within(self, months: Collection[str]) -> list[int]:
        """Give the rows whose articles are both of some months."""
        return [row for row, found in enumerate(self.months) if found <= set(months)]

    def outside(self, months: Collection[str]) -> list[int]:
        """Give the rows with no article of some months."""
        return [row for row, found in enumerate(self.months) if not found & set(months)]


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


def gather_closer(lots: Sequence[Lot], weights: Weights, reader: EventReader) -> Samples:
    """Take the samples of the held-out months, with the cosine of event vectors as last feature."""
    within = [
        Lot(lot.pool, [pair for pair in lot.pairs if lot.months(pair) <= set(HELD_OUT)]) for lot in lots
    ]
    articles = [
        (lot.pool.articles[one], lot.pool.articles[other])
        for lot in within
        for pair, look in zip(lot.pairs, look_at_pairs(NOTHING_KNOWN, lot, weights), strict=True)
        if look.is_open and pair.label != "unsure"
        for one, other in [lot.rows(pair)]
    ]
    seen = gather_samples(within, weights)
    return replace(seen, features=np.column_stack([seen.features, reader.compare(articles)]))


def fit_odds(features: Vectors, same: Bools) -> tuple[Vectors, float]:
    """Fit a logistic regression to standardised features; return weights (features,) and offset."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    found = fit_logistic((features - mean) / spread, same.astype(np.float64), ridge=RIDGE)
    weights = (found[:-1] / spread).astype(np.float32)
    return weights, float(found[-1] - weights @ mean)


def fit_rule(samples: Samples, revision: str) -> StoryRule:
    """Fit the weights at sight; limits are to be chosen."""
    named, offset = _name_weights(FEATURES, samples)
    return replace(NOTHING_KNOWN, encoder_revision=revision, weights=named, offset=offset)


def fit_closer(samples: Samples, revision: str) -> CloserRule:
    """Fit the weights of a closer reading."""
    named, offset = _name_weights((*FEATURES, EVENT_COSINE), samples)
    return CloserRule(revision, named, offset, DOUBTFUL)


def _name_weights(names: Sequence[str], samples: Samples) -> tuple[dict[str, float], float]:
    weights, offset = fit_odds(samples.features, samples.same)
    return {n: round(float(value), 4) for n, value in zip(names, weights, strict=True)}, round(offset, 4)


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


def cut_months(lot: Lot) -> list[tuple[str, Lot]]:
    """Cut the history into the held-out months, each with its own articles and pairs."""
    return [(month, _cut(lot, month)) for month in HELD_OUT]


def _cut(lot: Lot, month: str) -> Lot:
    rows = [row for row, article in enumerate(lot.pool.articles) if f"{article.at:%Y-%m}" == month]
    moved = {row: place for place, row in enumerate(rows)}
    articles = [replace(lot.pool.articles[row], article_id=moved[row]) for row in rows]
    names = {name: moved[row] for name, row in lot.pool.rows.items() if row in moved}
    pairs = [pair for pair in lot.pairs if pair.one in names and pair.other in names]
    return Lot(Pool(articles, names, lot.pool.vectors[rows]), pairs)


@dataclass(frozen=True)
class Material:
    """What a rule is fitted to: pairs at sight, those of held-out months read closer, and their stream."""

    seen: Samples
    read: Samples
    stream: Lot
    revisions: tuple[str, str]

    def fit(self, *, without: str = "") -> StoryRule:
        """Fit weights to the pairs that touch a month not."""
        seen, read = (each.keep(each.outside([without])) for each in (self.seen, self.read))
        closer = fit_closer(read, self.revisions[1])
        return replace(fit_rule(seen, self.revisions[0]), closer=closer)


def fit(material: Material, weights: Weights, reader: EventReader) -> StoryRule:
    """Fit weights to all pairs, and the limits to months that were held out in turn."""
    stream = [
        (compare_pool(material.fit(without=month), lot.pool, weights, reader), lot)
        for month, lot in cut_months(material.stream)
    ]
    limits, reached = choose_limits(stream)
    return replace(material.fit(), limits=limits, report={"held_out_months": reached})


def main() -> None:
    """Fit from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.fit_stories", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {POOL} and {HISTORY}")
    options = parser.parse_args()
    encoder, weights, reader = (
        load_encoder(),
        Weights(load_background().lexicon),
        load_event_reader(most=sys.maxsize),
    )
    pairs, fresh = read_pairs(), read_pairs(FRESH)
    pool = read_pool(options.data / POOL, encoder, only=name_articles(pairs))
    lots = split_lots(pairs, pool, read_history(options.data, encoder, None, only=name_articles(pairs)))
    _, stream = split_lots(pairs, pool, read_history(options.data, encoder, HELD_OUT))
    revisions = (encoder.revision, read_manifest(EVENT_FOLDER).revision)
    read = gather_closer(lots, weights, reader)
    rule = fit(Material(gather_samples(lots, weights), read, stream, revisions), weights, reader)
    _, lot = split_lots(fresh, pool, read_history(options.data, encoder, FRESH_MONTHS))
    measured = measure_fresh(rule, lot, weights, reader)
    files = {"pool": options.data / POOL, "history": options.data / HISTORY, "pairs": PAIRS, "fresh": FRESH}
    marks = {name: mark_file(path).sha256 for name, path in files.items()}
    rule = replace(rule, report={**rule.report, "fresh": measured, "sha256": marks})
    write_rule(rule)
    sys.stdout.write(json.dumps(rule.report, indent=2) + "\n")


if __name__ == "__main__":
    main()
