"""Whether people's labels make a topic's head better: cross-validated on labels that the head did not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.encode import Encoder, Vectors
from models.few_label import Label, embed_labels
from models.heads import build_heads
from tocsin.types import Topic

# With fewer labels of either answer a comparison would be chance.
LEAST = 5
FOLDS = 5
_CERTAIN = 1e-3  # a wrong score costs no more than one that is this near to 0 or 1

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The head of the definition alone (before) and the one corrected by labels (after), on held-back labels.

    `loss_*` are mean log losses, smaller is better; `errors_*` count labels on the wrong side of the
    threshold. `gain` is by how much the loss falls a label, `noise` the standard error of that.
    """

    relevant: int
    irrelevant: int
    loss_before: float
    loss_after: float
    errors_before: int
    errors_after: int
    gain: float
    noise: float

    @property
    def labels(self) -> int:
        """How many labels there were."""
        return self.relevant + self.irrelevant

    @property
    def is_better(self) -> bool:
        """Whether labels help beyond chance: a gain above its standard error, and no more errors."""
        return self.gain > self.noise and self.errors_after <= self.errors_before


def has_enough(labels: Sequence[Label]) -> bool:
    """Tell whether there are labels enough of both answers to compare by."""
    relevant = sum(label.positive for label in labels)
    return min(relevant, len(labels) - relevant) >= LEAST


def compare_heads(topic: Topic, labels: Sequence[Label], encoder: Encoder, **files: Any) -> Comparison:
    """Compare a topic's head with and without labels; each label is judged by a head that did not see it.

    `files` are those of `build_heads`. Raises: ModelError as it does.
    """
    vectors = embed_labels(labels, encoder)
    wanted = np.array([label.positive for label in labels])
    texts = [label.text for label in labels]
    before = build_heads([topic], encoder, **files).score(vectors, texts)[:, 0].astype(np.float64)
    after = np.empty(len(labels))
    for held in _split(wanted):
        seen = [label for row, label in enumerate(labels) if row not in held]
        heads = build_heads([topic], encoder, labels={topic.name: seen}, **files)
        rows = sorted(held)
        after[rows] = heads.score(vectors[rows], [texts[row] for row in rows])[:, 0]
    return _measure(before, after, wanted, topic.effective_threshold)


def _split(wanted: npt.NDArray[np.bool_]) -> list[set[int]]:
    """Part the rows into folds that have each answer in like shares."""
    folds: list[set[int]] = [set() for _ in range(FOLDS)]
    for answer in (True, False):
        for place, row in enumerate(np.flatnonzero(wanted == answer).tolist()):
            folds[place % FOLDS].add(row)
    return folds


def _measure(before: Floats, after: Floats, wanted: npt.NDArray[np.bool_], threshold: float) -> Comparison:
    losses = [_loss(scores, wanted) for scores in (before, after)]
    fall = losses[0] - losses[1]
    errors = [int(((scores >= threshold) != wanted).sum()) for scores in (before, after)]
    return Comparison(
        relevant=int(wanted.sum()),
        irrelevant=int((~wanted).sum()),
        loss_before=float(losses[0].mean()),
        loss_after=float(losses[1].mean()),
        errors_before=errors[0],
        errors_after=errors[1],
        gain=float(fall.mean()),
        noise=float(fall.std(ddof=1) / np.sqrt(len(fall))),
    )


def _loss(scores: Floats | Vectors, wanted: npt.NDArray[np.bool_]) -> Floats:
    right = np.where(wanted, scores, 1 - scores).clip(_CERTAIN, 1 - _CERTAIN)
    return np.asarray(-np.log(right), dtype=np.float64)
