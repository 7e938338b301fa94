"""Prints how well pairs of one event are told by the rule, TF-IDF cosine, embedding cosine and MinHash.

python tests/bench/bench_stories.py --data FOLDER [--stories] (with pool.jsonl.gz). The same labelled pairs
for all; each threshold is the one of highest recall with a precision of 0.98 on the first half; the shipped
rule also at its own. `--stories` ties the whole pool (minutes), and measures the fresh pairs in stories.
"""

import argparse
import hashlib
import math
import re
from pathlib import Path

import numpy as np

from models.background import load_background
from models.encode import load_encoder
from models.fit_stories import (
    FRESH,
    agree,
    join_pairs,
    measure_pairs,
    read_pairs,
    read_pool,
    tell_pool,
)
from models.stories import AGAINST, FEATURES, read_rule
from models.story_words import Weights
from models.text import compose_text

HASHES = 128
WORDS = 3  # in a shingle
PRECISION = 0.98
FRESH_HALVES = ("stream", "banded")
HALVES = ("fit", "report", *FRESH_HALVES)


def minhash(text: str) -> np.ndarray:
    """Sign a text's shingles: uint64 (HASHES,)."""
    words = re.findall(r"\w+", text.casefold())
    shingles = {" ".join(words[i : i + WORDS]) for i in range(max(len(words) - WORDS + 1, 1))}
    digests = [int.from_bytes(hashlib.blake2b(s.encode(), digest_size=4).digest()) for s in shingles]
    values = np.array(digests, dtype=np.uint64)
    rng = np.random.default_rng(1)
    factors, shifts = rng.integers(1, 2**31 - 1, size=(2, HASHES, 1), dtype=np.uint64)
    return ((factors * values + shifts) % np.uint64(2**31 - 1)).min(axis=1)


def choose(scores, pairs):
    """Return the threshold of highest recall that is precise enough on the half for choosing."""
    fitting = [(agree(scores >= t, pairs, "fit"), t) for t in np.unique(scores)]
    precise = [(found.recall, t) for found, t in fitting if found.precision >= PRECISION]
    return max(precise)[1] if precise else np.inf


def show(name, scores, pairs, threshold=None):
    threshold = choose(scores, pairs) if threshold is None else threshold
    parts = [agree(scores >= threshold, pairs, half) for half in HALVES]
    figures = "   ".join(f"{found.precision:.3f} {found.recall:.3f}" for found in parts)
    print(f"{name:24} {threshold:9.3f}   {figures}")


def tell_interval(right, total, *, z=1.96):
    """Give Wilson's interval of a share, in words."""
    share, spread = right / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    return f"{share:.3f} ({middle - half:.3f} to {middle + half:.3f})"


def show_stories(fresh, pool, rule, weights):
    joined = join_pairs(tell_pool(rule, weights, pool), fresh, pool)
    for half in FRESH_HALVES:
        found = agree(joined, fresh, half)
        right = round(found.precision * found.joined)
        precision, recall = tell_interval(right, found.joined), tell_interval(right, found.same)
        print(f"in stories, {half}: precision {precision} of {found.joined}, recall {recall} of {found.same}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/eval"))
    parser.add_argument("--stories", action="store_true", help="tie the whole pool to stories too")
    options = parser.parse_args()
    fresh, weights, rule = read_pairs(FRESH), Weights(load_background().lexicon), read_rule()
    pairs = [*read_pairs(), *fresh]
    ids = None if options.stories else {name for pair in pairs for name in (pair.one, pair.other)}
    pool = read_pool(options.data / "pool.jsonl.gz", load_encoder(), only=ids)
    features, against = measure_pairs(pairs, pool, weights)
    rows = {pool.rows[name] for pair in pairs for name in (pair.one, pair.other)}
    texts = {row: compose_text(pool.articles[row].title, pool.articles[row].summary) for row in rows}
    signed = {row: minhash(text) for row, text in texts.items()}
    likeness = [(signed[pool.rows[p.one]] == signed[pool.rows[p.other]]).mean() for p in pairs]
    odds = features @ rule.vector + rule.offset
    guarded = np.where(against, AGAINST, odds)
    print(f"{'precision recall':24} threshold   " + "   ".join(f"{half:11}" for half in HALVES))
    show("shipped rule", guarded, pairs, rule.threshold)
    show("rule, pair by pair", guarded, pairs)
    show("rule without guards", odds, pairs)
    show("embedding cosine", features[:, FEATURES.index("cosine")], pairs)
    show("TF-IDF cosine", features[:, FEATURES.index("tfidf")], pairs)
    show("MinHash of 3 words", np.array(likeness), pairs)
    if options.stories:
        show_stories(fresh, pool, rule, weights)


if __name__ == "__main__":
    main()
