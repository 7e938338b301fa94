"""Labelled pairs of articles: the labels, the articles they speak of, and how decisions agree with them.

The folder of the data holds pool.jsonl.gz and history.jsonl.gz; the project holds ids and labels only.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models.encode import Encoder, Vectors
from models.text import compose_text
from tocsin.types import StoryArticle

POOL, HISTORY = "pool.jsonl.gz", "history.jsonl.gz"
PAIRS = Path(__file__).parents[1] / "tests" / "models" / "story_pairs.jsonl"
FRESH = PAIRS.with_name("story_pairs_fresh.jsonl")  # only ever measured
# Months that the event encoder never learns from: weights beside it and limits are fitted there.
HELD_OUT = ("2023-05", "2023-10", "2025-09", "2026-04", "2026-06")
FRESH_MONTHS = ("2023-04", "2023-08", "2025-12", "2026-08")  # nothing is fitted to pairs of these

Interval = tuple[float, float]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two articles by their ids, and what a reader says of them.

    `half` is where both are, `drawn` how the pair was drawn; `weight` is how many pairs of the stream one
    pair of the history stands for (of pairs for fitting: 0 if it stands for none). `code` says more than the
    label: docs/stories.md has the list; "" where the reader gave none.
    """

    one: str
    other: str
    label: Literal["same", "different", "unsure"]
    half: Literal["pool", "older", "history"]
    drawn: str
    weight: float
    code: Literal["s", "r", "o", "n", "d", "u", ""] = ""


@dataclass(frozen=True)
class Pool:
    """Dated English articles, oldest first, their rows by id, and their vectors float32 (n, d)."""

    articles: list[StoryArticle]
    rows: dict[str, int]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Found:
    """How far decisions agree with labels, by weight; pairs that a reader was unsure of count neither way.

    `right`, `same` and `joined` are counts of pairs without weights.
    """

    precision: float
    recall: float
    right: int
    same: int
    joined: int


def read_pairs(path: Path = PAIRS) -> list[Pair]:
    """Read the labelled pairs."""
    return [Pair(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def name_articles(pairs: Iterable[Pair]) -> frozenset[str]:
    """Give the ids of all articles of the pairs."""
    return frozenset(name for pair in pairs for name in (pair.one, pair.other))


def read_pool(path: Path, encoder: Encoder, *, only: AbstractSet[str] | None = None) -> Pool:
    """Read and embed the pool, or only the articles of these ids, as a run of `monitor` would."""
    lines = ((item["id"], item) for item in _read_lines(path))
    return _embed(_dated(lines), encoder, only)


def read_history(
    data: Path, encoder: Encoder, months: Collection[str] | None, *, only: AbstractSet[str] | None = None
) -> Pool:
    """Read and embed the history of some months ("2025-07"; None: all), without what the pool holds too."""
    known = {item["title"].strip().lower() for name in (POOL, "train.jsonl", "dev.jsonl")
             for item in _read_lines(data / name)}  # fmt: skip
    lines = (
        (name_address(item["url"]), item)
        for item in _read_lines(data / HISTORY)
        if months is None or (item.get("published") or "")[:7] in months
        if item["title"].strip().lower() not in known
    )
    return _embed(_dated(lines), encoder, only)


def name_address(url: str) -> str:
    """Name an article of the history, whose lines have no ids."""
    return "h" + hashlib.sha256(url.encode()).hexdigest()[:12]


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)
    else:
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _dated(lines: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, StoryArticle]]:
    seen = set()
    for name, item in lines:
        at = _read_time(item.get("published") or "")
        if item["lang"] == "en" and at is not None and name not in seen:
            seen.add(name)
            summary = item.get("summary") or ""
            yield name, StoryArticle(0, item["title"], summary, item["outlet"], at, language="en")


def _embed(
    dated: Iterable[tuple[str, StoryArticle]], encoder: Encoder, only: AbstractSet[str] | None
) -> Pool:
    taken = sorted((pair for pair in dated if only is None or pair[0] in only), key=lambda pair: pair[1].at)
    numbered = [replace(article, article_id=row) for row, (_, article) in enumerate(taken)]
    texts = [compose_text(article.title, article.summary) for article in numbered]
    return Pool(numbered, {name: row for row, (name, _) in enumerate(taken)}, encoder.embed(texts))


def _read_time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def agree(joined: Bools, pairs: Sequence[Pair]) -> Found:
    """Compare decisions (pairs,) with the labels, each pair as heavy as what it stands for."""
    weights = np.array([pair.weight for pair in pairs])
    counted = np.array([pair.label != "unsure" for pair in pairs])
    same = np.array([pair.label == "same" for pair in pairs])
    right = joined & same
    precision = weights[right].sum() / max(weights[joined & counted].sum(), 1e-9)
    recall = weights[right].sum() / max(weights[same].sum(), 1e-9)
    return Found(
        float(precision), float(recall), int(right.sum()), int(same.sum()), int((joined & counted).sum())
    )


def tell_interval(joined: Bools, pairs: Sequence[Pair], *, draws: int = 2000) -> tuple[Interval, Interval]:
    """Give intervals at 95 % of precision and recall, by drawing pairs anew from each stratum."""
    rng, strata = np.random.default_rng(0), _gather_strata(pairs)
    found = []
    for _ in range(draws):
        rows = np.concatenate([rng.choice(stratum, len(stratum)) for stratum in strata])
        again = agree(joined[rows], [pairs[row] for row in rows])
        found.append((again.precision, again.recall))
    low, high = np.quantile(np.array(found), [0.025, 0.975], axis=0)
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def _gather_strata(pairs: Sequence[Pair]) -> list[list[int]]:
    strata: dict[str, list[int]] = {}
    for row, pair in enumerate(pairs):
        strata.setdefault(pair.drawn, []).append(row)
    return list(strata.values())


def tell_wilson(right: int, total: int, *, z: float = 1.96) -> Interval:
    """Give Wilson's interval of a share, at 95 %."""
    share, spread = right / max(total, 1), z * z / max(total, 1)
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / max(total, 1) + spread / max(total, 1) / 4) / (1 + spread)
    return middle - half, middle + half
