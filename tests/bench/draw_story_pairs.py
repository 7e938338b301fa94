"""Draws pairs to label by hand, by strata of the log-odds, from the pool or from the history.

python tests/bench/draw_story_pairs.py --data FOLDER --ids FILE --sheet FILE [--months 2024-01 …]. Without
months all pairs of the pool are drawn whose events no labelled pair touches; with them, a seeded part of each
stratum of the history, whose share gives the weight of a pair. The sheet has the text to read, shuffled and
without the rule's verdict; never commit it. FILE with the ids says how a pair was drawn, and has no label.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np

from models.background import load_background
from models.encode import load_encoder
from models.measure_stories import compare_pool
from models.story_pairs import FRESH, POOL, name_articles, read_history, read_pairs, read_pool
from models.story_rule import is_one_outlet, read_rule
from models.story_words import Weights

SEED = 20261122
# Log-odds at sight from and to, and pairs of the history to draw.
STRATA = ((-3.0, -1.5, 260), (-1.5, 0.0, 280), (0.0, 1.5, 250), (1.5, 3.0, 200), (3.0, 20.0, 200))
POOL_FROM = -2.0  # log-odds from which every pair of the pool is drawn
APART = 4 * 86400.0  # seconds
NEAR_LABELLED = 0.7  # cosine from which an article of those days may be of a labelled pair's event


def find_pairs(pool, weights):
    """Find all pairs of two outlets that the rule compares, each with its log-odds."""
    near = compare_pool(read_rule(), pool, weights).near
    return [
        (other, row, odds)
        for row, found in near.items()
        for other, odds in found.items()
        if not is_one_outlet(pool.articles[row], pool.articles[other])
    ]


def find_free(pool, names):
    """Tell of each article whether it is far from those of labelled pairs: bool (n,)."""
    seconds = np.array([article.at.timestamp() for article in pool.articles])
    free = np.ones(len(seconds), dtype=bool)
    for row in (pool.rows[name] for name in names if name in pool.rows):
        low, high = np.searchsorted(seconds, [seconds[row] - APART, seconds[row] + APART])
        free[low:high] &= pool.vectors[low:high] @ pool.vectors[row] < NEAR_LABELLED
    return free


def draw_pool(pairs, free):
    for one, other, odds in pairs:
        if odds >= POOL_FROM and free[one] and free[other]:
            yield (one, other), f"every pair, odds {POOL_FROM:g} up", 1.0


def draw_history(pairs, free, dice):
    for low, high, count in STRATA:
        found = [(a, b) for a, b, odds in pairs if low <= odds < high and free[a] and free[b]]
        for pair in dice.sample(found, min(count, len(found))):
            drawn = f"{min(count, len(found))} of {len(found)}, odds {low:g} to {high:g}"
            yield pair, drawn, round(max(1.0, len(found) / count), 3)


def show(number, rows, pool):
    """Give the text to read of one pair."""
    lines = [f"## {number}"]
    for row in rows:
        article = pool.articles[row]
        summary = " ".join(article.summary.split())[:280]
        lines.append(f"[{article.outlet} {article.at:%Y-%m-%d %H:%M}] {article.title} || {summary}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/eval"))
    parser.add_argument("--ids", type=Path, required=True)
    parser.add_argument("--sheet", type=Path, required=True)
    parser.add_argument("--months", nargs="*", default=[], help="months of the history; none: the pool")
    options = parser.parse_args()
    encoder, dice = load_encoder(), random.Random(SEED)
    if options.months:
        pool = read_history(options.data, encoder, options.months)
    else:
        pool = read_pool(options.data / POOL, encoder)
    free = find_free(pool, name_articles([*read_pairs(), *read_pairs(FRESH)]))
    pairs = find_pairs(pool, Weights(load_background().lexicon))
    drawn = list(draw_history(pairs, free, dice) if options.months else draw_pool(pairs, free))
    dice.shuffle(drawn)
    names = {row: name for name, row in pool.rows.items()}
    lines = [
        {"one": names[a], "other": names[b], "drawn": how, "weight": weight} for (a, b), how, weight in drawn
    ]
    options.ids.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sheet = [show(number, pair, pool) for number, (pair, *_) in enumerate(drawn, start=1)]
    options.sheet.write_text("\n".join(sheet) + "\n")
    print(f"{int(free.sum())} of {len(free)} articles are free, {len(drawn)} pairs drawn")


if __name__ == "__main__":
    main()
