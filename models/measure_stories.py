"""Measures a rule of stories on labelled pairs, in stories and pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.encode import Vectors
from models.stories import Compared, Known, Storyteller, place
from models.story_events import EventReader
from models.story_pairs import Bools, Pair, Pool, agree, tell_interval
from models.story_rule import Limits, Look, StoryRule, look_at
from models.story_words import StoryWords, Weights


@dataclass(frozen=True)
class Lot:
    """Pairs of the articles of one pool."""

    pool: Pool
    pairs: Sequence[Pair]

    def rows(self, pair: Pair) -> tuple[int, int]:
        """Give the rows of both articles."""
        return self.pool.rows[pair.one], self.pool.rows[pair.other]

    def months(self, pair: Pair) -> set[str]:
        """Give the months of both articles."""
        return {f"{self.pool.articles[row].at:%Y-%m}" for row in self.rows(pair)}


def look_at_pairs(rule: StoryRule, lot: Lot, weights: Weights) -> list[Look]:
    """Look at every pair of a lot as the storyteller would."""
    looks = []
    for pair in lot.pairs:
        rows = lot.rows(pair)
        one, other = (lot.pool.articles[row] for row in rows)
        words = StoryWords(one, weights), StoryWords(other, weights)
        cosine = float(lot.pool.vectors[rows[0]] @ lot.pool.vectors[rows[1]])
        looks.append(look_at(rule, (one, other), words, cosine))
    return looks


def weigh_pairs(rule: StoryRule, lot: Lot, weights: Weights, reader: EventReader | None = None) -> Vectors:
    """Give the log-odds of every pair of a lot: float32 (pairs,)."""
    looks = look_at_pairs(rule, lot, weights)
    odds = np.array([look.odds for look in looks], dtype=np.float32)
    if rule.closer is not None and reader is not None:
        rows = [row for row, look in enumerate(looks) if look.is_open and look.odds >= rule.closer.doubtful]
        two = [[lot.pool.articles[each] for each in lot.rows(lot.pairs[row])] for row in rows]
        for row, cosine in zip(rows, reader.compare([(one, other) for one, other in two]), strict=True):
            odds[row] = rule.closer.weigh(looks[row].features, float(cosine))
    return odds


def compare_pool(
    rule: StoryRule, pool: Pool, weights: Weights, reader: EventReader | None = None
) -> Compared:
    """Compare all articles of a pool, as one stream."""
    nothing = Known([], np.empty((0, pool.vectors.shape[1]), dtype=np.float32))
    return Storyteller(rule, weights, reader).compare(pool.articles, pool.vectors, nothing)


def join_pairs(compared: Compared, limits: Limits, lot: Lot) -> Bools:
    """Tie all articles of a lot; tell of every pair whether both are in one story."""
    stories = {tie.article_id: tie.story_id for tie in place(compared, limits)}
    return np.array([stories[one] == stories[other] for one, other in map(lot.rows, lot.pairs)])


def measure_fresh(
    rule: StoryRule, lot: Lot, weights: Weights, reader: EventReader | None = None
) -> dict[str, Any]:
    """Measure a rule on fresh pairs, in stories and pair by pair, with intervals at 95 %.

    `developments_aside`: pairs of a happening and the reaction to it, or its next step, count neither way.
    """
    joined = join_pairs(compare_pool(rule, lot.pool, weights, reader), rule.limits, lot)
    alone = weigh_pairs(rule, lot, weights, reader) >= rule.limits.threshold
    aside = [replace(pair, label="unsure") if pair.code == "r" else pair for pair in lot.pairs]
    return {
        "in_stories": describe(joined, lot.pairs),
        "in_stories_developments_aside": describe(joined, aside),
        "pair_by_pair": describe(alone, lot.pairs),
    }


def describe(joined: Bools, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Give precision and recall with their intervals, and the counts."""
    found, (precision, recall) = agree(joined, pairs), tell_interval(joined, pairs)
    return {
        "precision": [round(each, 3) for each in (found.precision, *precision)],
        "recall": [round(each, 3) for each in (found.recall, *recall)],
        "right": found.right,
        "joined": found.joined,
        "same": found.same,
    }


def split_lots(pairs: Sequence[Pair], pool: Pool, history: Pool) -> tuple[Lot, Lot]:
    """Split pairs by where their articles are."""
    of_history = [pair for pair in pairs if pair.half == "history"]
    return Lot(pool, [pair for pair in pairs if pair.half != "history"]), Lot(history, of_history)
