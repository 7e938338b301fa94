"""Fits the rule of stories to labelled pairs: python -m models.fit_stories --data FOLDER [--pairs FILE].

FOLDER holds pool.jsonl.gz, FILE the labels of pairs of its articles, which choose weights and thresholds; the
fresh pairs beside it are only measured. Run it again whenever the encoder changes (some minutes).
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models.background import load_background
from models.encode import Encoder, Vectors, load_encoder
from models.fit_zero_shot import fit_logistic
from models.manifest import mark_file
from models.stories import (
    AGAINST,
    FEATURES,
    Known,
    StoryRule,
    Storyteller,
    is_copy,
    is_next_issue,
    is_one_outlet,
    measure_pair,
    write_rule,
)
from models.story_words import StoryWords, Weights, compare_words, speak_against
from models.text import compose_text
from tocsin.types import StoryArticle

POOL = "pool.jsonl.gz"
PAIRS = Path(__file__).parents[1] / "tests" / "models" / "story_pairs.jsonl"
FRESH = PAIRS.with_name("story_pairs_fresh.jsonl")  # only ever measured
PRECISION = 0.985  # asked of the pairs for fitting, so that others may lose a little
THRESHOLDS = (1.5, 1.75, 2.0, 2.25, 2.5, 3.0)
COMPANIES = (0.0, 0.75, 1.5)
RIDGE = 1.0  # on weights of standardised features

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two articles by their ids, and what a person says of them."""

    one: str
    other: str
    label: Literal["same", "different", "unsure"]
    half: Literal["fit", "report", "stream", "banded"]  # the last two of fresh pairs
    drawn: str


@dataclass(frozen=True)
class Pool:
    """The dated English articles, oldest first, their rows by id, and their vectors float32 (n, d)."""

    articles: list[StoryArticle]
    rows: dict[str, int]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Found:
    """How far decisions agree with labels; pairs that a person was unsure of count neither way."""

    precision: float
    recall: float
    same: int
    joined: int


def read_pairs(path: Path = PAIRS) -> list[Pair]:
    """Read the labelled pairs."""
    return [Pair(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def read_pool(path: Path, encoder: Encoder, *, only: AbstractSet[str] | None = None) -> Pool:
    """Read and embed the pool, or only the articles of these ids, as a run of `monitor` would."""
    taken = [pair for pair in _dated(path) if only is None or pair[0] in only]
    dated = sorted(taken, key=lambda pair: pair[1].at)
    numbered = [replace(article, article_id=row) for row, (_, article) in enumerate(dated)]
    texts = [compose_text(article.title, article.summary) for article in numbered]
    return Pool(numbered, {name: row for row, (name, _) in enumerate(dated)}, encoder.embed(texts))


def _dated(path: Path) -> Iterator[tuple[str, StoryArticle]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            item = json.loads(line)
            at = _read_time(item.get("published") or "")
            if item["lang"] == "en" and at is not None:
                summary = item.get("summary") or ""
                yield item["id"], StoryArticle(0, item["title"], summary, item["outlet"], at, language="en")


def _read_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def measure_pairs(pairs: Sequence[Pair], pool: Pool, weights: Weights) -> tuple[Vectors, Bools]:
    """Measure every pair: features float32 (pairs, features), and whether something speaks against it."""
    features, against = [], []
    for pair in pairs:
        rows = pool.rows[pair.one], pool.rows[pair.other]
        one, other = (pool.articles[row] for row in rows)
        words = StoryWords(one, weights), StoryWords(other, weights)
        cosine = float(pool.vectors[rows[0]] @ pool.vectors[rows[1]])
        shared = compare_words(*words)
        features.append(measure_pair(one, other, cosine, shared))
        apart = is_one_outlet(one, other) and not is_copy(cosine, shared, one, other)
        against.append(apart or is_next_issue(one, other) or speak_against(*words))
    return np.array(features), np.array(against)


def fit_odds(features: Vectors, same: Bools) -> tuple[Floats, float]:
    """Fit a logistic regression to standardised features; return weights (features,) and offset."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    found = fit_logistic((features - mean) / spread, same.astype(np.float64), ridge=RIDGE)
    weights = np.asarray(found[:-1] / spread, dtype=np.float64)
    return weights, float(found[-1] - weights @ mean)


def agree(joined: Bools, pairs: Sequence[Pair], half: str | None = None) -> Found:
    """Compare decisions (pairs,) with the labels of one half, or of all."""
    counted = np.array([half in {None, pair.half} and pair.label != "unsure" for pair in pairs])
    same = np.array([pair.label == "same" for pair in pairs]) & counted
    right = int((joined & same).sum())
    total = int((joined & counted).sum())
    return Found(right / max(total, 1), right / max(int(same.sum()), 1), int(same.sum()), total)


def tell_pool(rule: StoryRule, weights: Weights, pool: Pool) -> list[int]:
    """Give every article of the pool its story, all of them in one go."""
    nothing = Known([], np.empty((0, pool.vectors.shape[1]), dtype=np.float32))
    ties = Storyteller(rule, weights).tie(pool.articles, pool.vectors, nothing)
    return [tie.story_id for tie in ties]


def join_pairs(stories: Sequence[int], pairs: Sequence[Pair], pool: Pool) -> Bools:
    """Tell of every pair whether both are in one story."""
    return np.array([stories[pool.rows[pair.one]] == stories[pool.rows[pair.other]] for pair in pairs])


def choose_rule(rule: StoryRule, weights: Weights, pool: Pool, pairs: Sequence[Pair]) -> StoryRule:
    """Take the thresholds of highest recall that are precise enough, stories and all, else the strictest."""
    best, recall = replace(rule, threshold=max(THRESHOLDS), company=max(COMPANIES)), 0.0
    for threshold, company in product(THRESHOLDS, COMPANIES):
        tried = replace(rule, threshold=threshold, company=company)
        found = agree(join_pairs(tell_pool(tried, weights, pool), pairs, pool), pairs)
        if found.precision >= PRECISION and found.recall > recall:
            best, recall = tried, found.recall
    return best


def fit(pool: Pool, pairs: Sequence[Pair], revision: str) -> StoryRule:
    """Fit weights to the pairs that nothing forbids, then thresholds to all that are labelled."""
    weights = Weights(load_background().lexicon)
    features, against = measure_pairs(pairs, pool, weights)
    taken = ~against & np.array([pair.label != "unsure" for pair in pairs])
    same = np.array([pair.label == "same" for pair in pairs])
    found, offset = fit_odds(features[taken], same[taken])
    named = {name: round(float(value), 4) for name, value in zip(FEATURES, found, strict=True)}
    return choose_rule(StoryRule(revision, named, round(offset, 4), 0, 0), weights, pool, pairs)


def report_rule(rule: StoryRule, pool: Pool, pairs: Sequence[Pair], fresh: Sequence[Pair]) -> dict[str, Any]:
    """Measure a rule on the pairs it was fitted to, and on both kinds of fresh ones."""
    weights = Weights(load_background().lexicon)
    every = [*(replace(pair, half="fit") for pair in pairs), *fresh]
    features, against = measure_pairs(every, pool, weights)
    alone = np.where(against, AGAINST, features @ rule.vector + rule.offset) >= rule.threshold
    joined = join_pairs(tell_pool(rule, weights, pool), every, pool)
    return {
        name: {half: _plain(agree(decided, every, half)) for half in ("fit", "stream", "banded")}
        for name, decided in (("in_stories", joined), ("pair_by_pair", alone))
    }


def _plain(found: Found) -> dict[str, float]:
    rounded = {"precision": round(found.precision, 3), "recall": round(found.recall, 3)}
    return {**rounded, "same": found.same, "joined": found.joined}


def main() -> None:
    """Fit from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.fit_stories", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {POOL}")
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="labelled pairs")
    options = parser.parse_args()
    encoder, pairs = load_encoder(), read_pairs(options.pairs)
    pool = read_pool(options.data / POOL, encoder)
    rule = fit(pool, pairs, encoder.revision)
    files = {"pool": options.data / POOL, "pairs": options.pairs, "fresh": FRESH}
    marks = {name: mark_file(path).sha256 for name, path in files.items()}
    rule = replace(rule, report={**report_rule(rule, pool, pairs, read_pairs(FRESH)), "sha256": marks})
    write_rule(rule)
    sys.stdout.write(json.dumps(rule.report, indent=2) + "\n")


if __name__ == "__main__":
    main()
