"""Fits heads and what topics of one's own share to a few made-up articles: python fit_small.py FOLDER.

A process of its own for each fit, since what hashes of strings decide differs between processes only.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from pathlib import Path

from models import fit_zero_shot
from models.encode import load_encoder
from models.evaluate import read_labelled
from models.fit_heads import describe, fit, phrase_examples, read_examples
from models.fitted import save_fitted
from models.topics import default_topics
from models.zero_shot import save_calibration

PLACES = ("Leith", "Porto", "Gdynia", "Oulu", "Cork", "Bari", "Malmo", "Brest")
EVENTS = ("opens a new ferry line", "repairs its old bridge", "plans a summer fair", "counts its herons")


def write_data(folder: Path) -> None:
    """Write files as the evaluation data have them: phrases of three topics, and ordinary news."""
    rng = random.Random(5)
    topics = default_topics()[:3]
    told = [(phrase, [topic.name]) for topic in topics for phrase in topic.examples]
    told += [(f"{rng.choice(PLACES)} {rng.choice(EVENTS)}, year {year}", []) for year in range(40)]
    rng.shuffle(told)
    rows = [json.dumps({"title": title, "topics": names, "lang": "en"}) for title, names in told]
    for name, kept in (("train", rows), ("dev", rows[::2])):
        (folder / f"{name}.jsonl").write_text("\n".join(kept), encoding="utf-8")
    for name in ("history", "pool"):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join(rows))


def main() -> None:
    """Write data and all that is fitted to them into a folder."""
    folder = Path(sys.argv[1])
    write_data(folder)
    encoder, topics = load_encoder(threads=1), default_topics()[:3]
    sets = [
        read_examples(read_labelled(folder / name), topics, encoder) for name in ("train.jsonl", "dev.jsonl")
    ]
    fitting = fit(*sets, phrase_examples(topics, encoder))
    save_fitted(describe(fitting, topics, encoder.revision), fitting.weights, folder / "fitted.json")
    fit_zero_shot.BACKGROUND = folder / "background.npz"
    fit_zero_shot.LEAST_ARTICLES = 2
    fit_zero_shot.DRAWS = {(3, 2): 1}
    calibration = fit_zero_shot.fit(folder, encoder, encoder, topics)
    save_calibration(calibration, folder / "zero_shot.json")


if __name__ == "__main__":
    main()
