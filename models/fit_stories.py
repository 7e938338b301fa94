"""Fits the rule of stories to labelled pairs: python -m models.fit_stories --data FOLDER [--pairs FILE].

FOLDER holds pool.jsonl.gz, FILE the labels of pairs of its articles. One half of the pairs chooses weights
and thresholds, the other half is only measured. Run it again whenever the encoder changes (some minutes).
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
    is_next_issue,
    measure_pair,
    write_rule,
)
from models.story_words import StoryWords, Weights, compare_words, speak_against
from models.text import compose_text
from tocsin.types import StoryArticle

POOL = "pool.jsonl.gz"
PAIRS = Path(__file__).parents[1] / "tests" / "models" / "story_pairs.jsonl"
FRESH = PAIRS.with_name("story_pairs_fresh.jsonl")  # only ever measured
PRECISION = 0.98  # asked of the fitting half, so that the other half may lose a little
THRESHOLDS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
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
        features.append(measure_pair(one, other, cosine, compare_words(*words)))
        against.append(is_next_issue(one, other) or speak_against(*words))
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


def choose_rule(
    rule: StoryRule, weights: Weights, pool: Pool, pairs: Sequence[Pair]
) -> tuple[StoryRule, Bools]:
    """Take the lowest threshold with which the fitting half is precise enough, stories and all."""
    joined = np.zeros(len(pairs), dtype=np.bool_)
    for threshold in THRESHOLDS:
        rule = replace(rule, threshold=threshold, company=threshold)
        joined = join_pairs(tell_pool(rule, weights, pool), pairs, pool)
        if agree(joined, pairs, "fit").precision >= PRECISION:
            break
    return rule, joined


def fit(pool: Pool, pairs: Sequence[Pair], revision: str) -> StoryRule:
    """Fit weights and thresholds on one half of the pairs, and measure both."""
    weights = Weights(load_background().lexicon)
    features, against = measure_pairs(pairs, pool, weights)
    taken = np.array([pair.half == "fit" and pair.label != "unsure" for pair in pairs])
    same = np.array([pair.label == "same" for pair in pairs])
    found, offset = fit_odds(features[taken], same[taken])
    named = {name: round(float(value), 4) for name, value in zip(FEATURES, found, strict=True)}
    rule, joined = choose_rule(StoryRule(revision, named, round(offset, 4), 0, 0), weights, pool, pairs)
    alone = np.where(against, AGAINST, features @ rule.vector + rule.offset) >= rule.threshold
    return replace(rule, report=_report(pairs, in_stories=joined, pair_by_pair=alone))


def _report(pairs: Sequence[Pair], **decisions: Bools) -> dict[str, Any]:
    return {
        name: {half: _plain(agree(joined, pairs, half)) for half in ("fit", "report")}
        for name, joined in decisions.items()
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
    rule = fit(read_pool(options.data / POOL, encoder), pairs, encoder.revision)
    marks = {"pool": mark_file(options.data / POOL).sha256, "pairs": mark_file(options.pairs).sha256}
    rule = replace(rule, report={**rule.report, "sha256": marks})
    write_rule(rule)
    sys.stdout.write(json.dumps(rule.report, indent=2) + "\n")


if __name__ == "__main__":
    main()
