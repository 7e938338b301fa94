"""Prints how well pairs of one event are told by the rule, TF-IDF cosine, embedding cosine and MinHash.

python tests/bench/bench_stories.py --data FOLDER (with pool.jsonl.gz). The same labelled pairs for all; each
threshold is the one of highest recall with a precision of 0.98 on the half for choosing.
"""

import argparse
import hashlib
import re
from pathlib import Path

import numpy as np

from models.background import load_background
from models.encode import load_encoder
from models.fit_stories import PRECISION, agree, measure_pairs, read_pairs, read_pool
from models.stories import AGAINST, FEATURES, read_rule
from models.story_words import Weights
from models.text import compose_text

HASHES = 128
WORDS = 3  # in a shingle


def minhash(text: str) -> np.ndarray:
    """Sign a text's shingles: uint64 (HASHES,)."""
    words = re.findall(r"\w+", text.casefold())
    shingles = {" ".join(words[i : i + WORDS]) for i in range(max(len(words) - WORDS + 1, 1))}
    digests = [int.from_bytes(hashlib.blake2b(s.encode(), digest_size=4).digest()) for s in shingles]
    values = np.array(digests, dtype=np.uint64)
    rng = np.random.default_rng(1)
    factors, shifts = rng.integers(1, 2**31 - 1, size=(2, HASHES, 1), dtype=np.uint64)
    return ((factors * values + shifts) % np.uint64(2**31 - 1)).min(axis=1)


def show(name, scores, pairs):
    fitting = [(agree(scores >= t, pairs, "fit"), t) for t in np.unique(scores)]
    precise = [(found.recall, t) for found, t in fitting if found.precision >= PRECISION]
    threshold = max(precise)[1] if precise else np.inf
    halves = [agree(scores >= threshold, pairs, half) for half in ("fit", "report")]
    figures = "  ".join(f"{found.precision:.3f} {found.recall:.3f}" for found in halves)
    print(f"{name:24} {threshold:9.3f}  {figures}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/eval"))
    pairs = read_pairs()
    ids = {name for pair in pairs for name in (pair.one, pair.other)}
    pool = read_pool(parser.parse_args().data / "pool.jsonl.gz", load_encoder(), only=ids)
    features, against = measure_pairs(pairs, pool, Weights(load_background().lexicon))
    signed = [minhash(compose_text(article.title, article.summary)) for article in pool.articles]
    likeness = [(signed[pool.rows[p.one]] == signed[pool.rows[p.other]]).mean() for p in pairs]
    rule = read_rule()
    print(f"{'':24} threshold  fit (precision recall)  report (precision recall)")
    show("rule, pair by pair", np.where(against, AGAINST, features @ rule.vector + rule.offset), pairs)
    show("rule without guards", features @ rule.vector + rule.offset, pairs)
    show("embedding cosine", features[:, FEATURES.index("cosine")], pairs)
    show("TF-IDF cosine", features[:, FEATURES.index("tfidf")], pairs)
    show("MinHash of 3 words", np.array(likeness), pairs)


if __name__ == "__main__":
    main()
