"""Prints how well pairs of one event are told by the rule, TF-IDF cosine, embedding cosine and MinHash.

python tests/bench/bench_stories.py --data FOLDER [--stories] (with pool.jsonl.gz and history.jsonl.gz). The
thresholds of the rule are its own; each other one is that of highest recall with a weighted precision of 0.95
on the pairs of the history for fitting. `--stories` ties whole streams (minutes): what is measured then is
whether both articles of a fresh pair are in one story.
"""

import argparse
import hashlib
import re
from pathlib import Path

import numpy as np

from models.background import load_background
from models.encode import load_encoder
from models.measure_stories import describe, look_at_pairs, measure_fresh, split_lots, weigh_pairs
from models.story_pairs import (
    FITTED_MONTHS,
    FRESH,
    FRESH_MONTHS,
    POOL,
    agree,
    name_articles,
    read_history,
    read_pairs,
    read_pool,
)
from models.story_rule import FEATURES, read_rule
from models.story_words import Weights
from models.text import compose_text

HASHES = 128
WORDS = 3  # in a shingle
PRECISION = 0.95


def minhash(text: str) -> np.ndarray:
    """Sign a text's shingles: uint64 (HASHES,)."""
    words = re.findall(r"\w+", text.casefold())
    shingles = {" ".join(words[i : i + WORDS]) for i in range(max(len(words) - WORDS + 1, 1))}
    digests = [int.from_bytes(hashlib.blake2b(s.encode(), digest_size=4).digest()) for s in shingles]
    values = np.array(digests, dtype=np.uint64)
    rng = np.random.default_rng(1)
    factors, shifts = rng.integers(1, 2**31 - 1, size=(2, HASHES, 1), dtype=np.uint64)
    return ((factors * values + shifts) % np.uint64(2**31 - 1)).min(axis=1)


def sign(lot):
    """Give each pair's share of equal hashes: float (pairs,)."""
    rows = {row for pair in lot.pairs for row in lot.rows(pair)}
    signed = {
        row: minhash(compose_text(lot.pool.articles[row].title, lot.pool.articles[row].summary))
        for row in rows
    }
    return np.array([(signed[one] == signed[other]).mean() for one, other in map(lot.rows, lot.pairs)])


def score(lot, rule, weights):
    """Give the scores of each method that knows no labels, by its name."""
    features = np.array([look.features for look in look_at_pairs(rule, lot, weights)])
    return {
        "embedding cosine": features[:, FEATURES.index("cosine")],
        "TF-IDF cosine": features[:, FEATURES.index("tfidf")],
        "MinHash of 3 words": sign(lot),
    }


def choose(scores, pairs):
    """Return the threshold of highest recall that is precise enough on the pairs for fitting."""
    fitting = [(agree(scores >= t, pairs), t) for t in np.unique(scores)]
    precise = [(found.recall, -t) for found, t in fitting if found.precision >= PRECISION]
    return -max(precise)[1] if precise else np.inf


def show(name, where, found):
    (precision, low, high), (recall, least, most) = found["precision"], found["recall"]
    print(
        f"{name:22} {where:8} precision {precision:.3f} ({low:.3f} to {high:.3f}) of {found['joined']:4}  "
        f"recall {recall:.3f} ({least:.3f} to {most:.3f}) of {found['same']}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/eval"))
    parser.add_argument("--stories", action="store_true", help="tie whole streams to stories (minutes)")
    options = parser.parse_args()
    encoder, weights, rule = load_encoder(), Weights(load_background().lexicon), read_rule()
    old, fresh = read_pairs(), read_pairs(FRESH)
    only = None if options.stories else name_articles([*old, *fresh])
    pool = read_pool(options.data / POOL, encoder, only=only)
    lots = split_lots(fresh, pool, read_history(options.data, encoder, FRESH_MONTHS, only=only))
    months = [month for group in FITTED_MONTHS for month in group]
    fitted = read_history(options.data, encoder, months, only=name_articles(old))
    _, fitting = split_lots(old, pool, fitted)
    chosen = {name: choose(each, fitting.pairs) for name, each in score(fitting, rule, weights).items()}
    for where, lot in zip(("pool", "history"), lots, strict=True):
        odds = weigh_pairs(rule, lot, weights)
        show("the rule", where, describe(odds >= rule.limits.threshold, lot.pairs))
        if options.stories:
            show("the rule, in stories", where, measure_fresh(rule, lot, weights)["in_stories"])
        for name, scores in score(lot, rule, weights).items():
            show(f"{name} {chosen[name]:.2f}", where, describe(scores >= chosen[name], lot.pairs))


if __name__ == "__main__":
    main()
