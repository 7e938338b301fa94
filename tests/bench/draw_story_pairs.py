"""Draws fresh pairs to label by hand: what the rule joins, and bands of likeness whatever it says.

python tests/bench/draw_story_pairs.py --data FOLDER --ids FILE --sheet FILE (FOLDER with pool.jsonl.gz). No
article near one of a labelled pair is drawn, no article twice. The sheet has the text to read, both kinds
shuffled and unmarked; never commit it. FILE with the ids says how each pair was drawn, and has no label yet.
"""

import argparse
import json
import random
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np

from models.background import load_background
from models.encode import load_encoder
from models.fit_stories import PAIRS, POOL, read_pairs, read_pool, tell_pool
from models.stories import FEATURES, measure_pair, read_rule
from models.story_words import StoryWords, Weights, compare_words

SEED = 20261122
JOINED, STRATA = 170, 5  # pairs that the rule joins, from so many equal parts of their log-odds
BANDED = 180
APART = 4 * 86400.0  # seconds between the articles of a pair, at most
NEAR_LABELLED = 0.7  # cosine from which an article of those days may be of a labelled pair's event
COSINES, TFIDFS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9), (0.0, 0.15, 0.3, 0.5)


class Draw:
    """A pool, which of its rows may still be drawn, and the seeded dice."""

    def __init__(self, pool, weights, rule):
        self.pool, self.weights, self.rule = pool, weights, rule
        self.rng = random.Random(SEED)
        self.seconds = np.array([article.at.timestamp() for article in pool.articles])
        self.free = np.ones(len(pool.articles), dtype=bool)
        self._words = {}

    def shut(self, row, *, cosine=NEAR_LABELLED):
        """Leave out an article and all that may be of its event."""
        low, high = np.searchsorted(self.seconds, [self.seconds[row] - APART, self.seconds[row] + APART])
        near = self.pool.vectors[low:high] @ self.pool.vectors[row] >= cosine
        self.free[low:high] &= ~near

    def measure(self, one, other):
        a, b = (self.pool.articles[row] for row in (one, other))
        cosine = float(self.pool.vectors[one] @ self.pool.vectors[other])
        return measure_pair(a, b, cosine, compare_words(self.words(one), self.words(other)))

    def words(self, row):
        if row not in self._words:
            self._words[row] = StoryWords(self.pool.articles[row], self.weights)
        return self._words[row]


def draw_joined(draw, stories):
    """Draw one pair of each of `JOINED` stories, as many from each fifth of the log-odds."""
    members = defaultdict(list)
    for row, story in enumerate(stories):
        members[story].append(row)
    whole = [rows for rows in members.values() if len(rows) > 1 and draw.free[rows].all()]
    pairs = [draw.rng.choice(list(combinations(rows, 2))) for rows in whole]
    odds = [float(draw.rule.vector @ draw.measure(*pair)) for pair in pairs]
    order = [pairs[at] for at in np.argsort(odds, kind="stable")]
    print(f"{len(pairs)} stories of several articles, none near a labelled pair")
    for stratum in range(STRATA):
        part = order[len(order) * stratum // STRATA : len(order) * (stratum + 1) // STRATA]
        for pair in draw.rng.sample(part, k=JOINED // STRATA):
            yield pair, f"joined, part {stratum + 1} of {STRATA}"


def draw_banded(draw, wanted):
    """Draw as many pairs from each band as `wanted` says, no event twice."""
    found = defaultdict(list)
    for one, other in likely_pairs(draw):
        measured = draw.measure(one, other)
        found[band(measured[FEATURES.index("cosine")], measured[FEATURES.index("tfidf")])].append(
            (one, other)
        )
    for name in sorted(wanted):
        draw.rng.shuffle(found[name])
        taken = 0
        for pair in found[name]:
            if taken == wanted[name]:
                break
            if draw.free[list(pair)].all():
                taken += 1
                yield pair, name
                for row in pair:
                    draw.shut(row)


def likely_pairs(draw):
    """Find pairs above the lowest band; of the many in low bands a seeded part is enough."""
    for row in np.flatnonzero(draw.free):
        low = np.searchsorted(draw.seconds, draw.seconds[row] - APART)
        cosines = draw.pool.vectors[low:row] @ draw.pool.vectors[row]
        for at in np.flatnonzero((cosines >= COSINES[0]) & draw.free[low:row]):
            if cosines[at] >= 0.6 or draw.rng.random() < 0.1:
                yield int(low + at), int(row)


def band(cosine, tfidf):
    """Name a band by its lower edges."""
    low = max((edge for edge in COSINES if edge <= cosine), default=0.0)
    words = max((edge for edge in TFIDFS if edge <= tfidf), default=0.0)
    return f"cosine {low:.1f}, tfidf {words:.2f}"


def show(number, rows, pool):
    """Give the text to read of one pair."""
    lines = [f"## {number}"]
    for row in rows:
        article = pool.articles[row]
        summary = " ".join(article.summary.split())[:300]
        lines.append(f"[{article.outlet} {article.at:%Y-%m-%d %H:%M}] {article.title} || {summary}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/eval"))
    parser.add_argument("--ids", type=Path, required=True)
    parser.add_argument("--sheet", type=Path, required=True)
    options = parser.parse_args()
    pool, weights = read_pool(options.data / POOL, load_encoder()), Weights(load_background().lexicon)
    old = read_pairs(PAIRS)
    draw = Draw(pool, weights, read_rule())
    for name in sorted({name for pair in old for name in (pair.one, pair.other)}):
        draw.shut(pool.rows[name])
    print(f"{int(draw.free.sum())} of {len(draw.free)} articles are free")
    drawn = list(draw_joined(draw, tell_pool(draw.rule, weights, pool)))
    # Both kinds are drawn from the same articles: without the events of the first kind, the second would lack
    # half of what the rule finds, and its recall would be too low.
    counts = Counter(pair.drawn for pair in old if pair.drawn.startswith("cosine"))
    wanted = {name: round(count * BANDED / counts.total()) for name, count in counts.items()}
    drawn += draw_banded(draw, wanted)
    draw.rng.shuffle(drawn)
    names = {row: name for name, row in pool.rows.items()}
    lines = [{"one": names[a], "other": names[b], "drawn": how} for (a, b), how in drawn]
    options.ids.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sheet = [show(number, pair, pool) for number, (pair, _) in enumerate(drawn, start=1)]
    options.sheet.write_text("\n".join(sheet) + "\n")
    print(f"{len(drawn)} pairs")


if __name__ == "__main__":
    main()
