"""Prints how well pairs of one event are told by the rule, TF-IDF cosine, embedding cosine and MinHash.

python tests/bench/bench_stories.py --data FOLDER [--stories] (with pool.jsonl.gz and history.jsonl.gz). The
thresholds of the rule are its own; each other one is that of highest recall with a weighted precision of 0.95
on the pairs of the held-out months. `--stories` ties the whole stream (minutes): what is measured then is
whether both articles of a fresh pair are in one story. `--rule FILE` measures another rule. `--cost` prints
what the closer reading of a month of the history costs.
"""

import argparse
import hashlib
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.background import load_background
from models.encode import load_encoder
from models.measure_stories import Lot, compare_pool, describe, look_at_pairs, measure_fresh, weigh_pairs
from models.story_events import EventReader, load_event_reader
from models.story_pairs import (
    FRESH,
    FRESH_MONTHS,
    HELD_OUT,
    agree,
    name_articles,
    read_history,
    read_pairs,
)
from models.story_rule import FEATURES, PATH, read_rule
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


def read_lot(data, encoder, months, pairs, *, whole):
    """Read the labelled pairs of some months, with their articles alone or the whole stream."""
    only = None if whole else name_articles(pairs)
    pool = read_history(data, encoder, months, only=only)
    return Lot(pool, [pair for pair in pairs if pair.one in pool.rows and pair.other in pool.rows])


def show_cost(data, encoder, rule, weights):
    """Print what the closer reading adds to one held-out month, read as one run would."""
    pool = read_history(data, encoder, HELD_OUT[:1])
    counted = []

    def load():
        real = load_event_reader()._load()
        embed = real.embed
        real.embed = lambda texts: counted.append(len(texts)) or embed(texts)
        return real

    took = []
    for reader in (None, EventReader(load, most=sys.maxsize)):
        started = time.process_time()
        compare_pool(rule, pool, weights, reader)
        took.append(time.process_time() - started)
    print(
        f"{len(pool.articles)} articles, {sum(counted)} read closer: {took[1] - took[0]:.1f} s of processor "
        f"time beside {took[0]:.1f}, {(took[1] - took[0]) / len(pool.articles) * 1000:.2f} ms an article"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/eval"))
    parser.add_argument("--stories", action="store_true", help="tie the whole stream to stories (minutes)")
    parser.add_argument("--rule", type=Path, default=PATH)
    parser.add_argument("--cost", action="store_true", help="print what the closer reading costs")
    options = parser.parse_args()
    encoder, weights, rule = load_encoder(), Weights(load_background().lexicon), read_rule(options.rule)
    if options.cost:
        show_cost(options.data, encoder, rule, weights)
        return
    reader = load_event_reader(most=sys.maxsize)
    history = [pair for pair in read_pairs() if pair.half == "history"]
    fitting = read_lot(options.data, encoder, HELD_OUT, history, whole=False)
    lot = read_lot(options.data, encoder, FRESH_MONTHS, read_pairs(FRESH), whole=options.stories)
    chosen = {name: choose(each, fitting.pairs) for name, each in score(fitting, rule, weights).items()}
    aside = [replace(pair, label="unsure") if pair.code == "r" else pair for pair in lot.pairs]
    joined = weigh_pairs(rule, lot, weights, reader) >= rule.limits.threshold
    show("the rule", "strict", describe(joined, lot.pairs))
    show("the rule", "aside", describe(joined, aside))
    if options.stories:
        measured = measure_fresh(rule, lot, weights, reader)
        show("the rule, in stories", "strict", measured["in_stories"])
        show("the rule, in stories", "aside", measured["in_stories_developments_aside"])
    for name, scores in score(lot, rule, weights).items():
        show(f"{name} {chosen[name]:.2f}", "strict", describe(scores >= chosen[name], lot.pairs))


if __name__ == "__main__":
    main()
