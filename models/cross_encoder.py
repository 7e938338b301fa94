"""A cross-encoder for natural-language inference, run by torch: pairs in, entailment out."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.hub import find_model
from models.torch_encoder import Loaded, load_transformer, longest_input, name_revision, require_torch
from tocsin.errors import ModelError

log = logging.getLogger(__name__)

SETTING = "TOCSIN_CROSS_ENCODER"
BATCH = 8  # pairs of about the same length that run together
MOST_TOKENS = 512


class NliModel:
    """Judges whether a text entails a sentence; see `load_cross_encoder`. `name` tells its weights."""

    def __init__(self, loaded: Loaded, entailment: int, *, name: str) -> None:
        self.name = name
        self._loaded = loaded
        self._entailment = entailment
        self._max_tokens = min(MOST_TOKENS, longest_input(loaded))

    def entail(self, pairs: Sequence[tuple[str, str]]) -> npt.NDArray[np.float64]:
        """Return how probable it is that each text entails the sentence beside it: (n,).

        A text too long is cut at its end, so that the sentence is always seen whole if it fits.
        """
        found = np.empty(len(pairs))
        order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0]))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            found[places] = self._run([pairs[i] for i in places])
        return found

    def _run(self, pairs: Sequence[tuple[str, str]]) -> Any:
        import torch  # noqa: PLC0415  checked before this was made

        texts, sentences = zip(*pairs, strict=True)
        inputs = self._loaded.tokenizer(
            list(texts),
            list(sentences),
            padding=True,
            truncation="only_first" if self._fits(sentences) else "longest_first",
            max_length=self._max_tokens,
            return_tensors="pt",
        )
        with torch.inference_mode():
            logits = self._loaded.model(**inputs).logits
        return logits.double().softmax(dim=1)[:, self._entailment].numpy()

    def _fits(self, sentences: Sequence[str]) -> bool:
        """Tell whether each sentence leaves room for a text."""
        lengths = self._loaded.tokenizer(list(sentences))["input_ids"]
        return max(map(len, lengths)) < self._max_tokens - 8


def find_entailment(labels: Any, folder: Path) -> int:
    """Return the place of the class that means entailment, by its name: orders differ from model to model.

    Raises: ModelError if not exactly one class is called so; then it is no model for this task.
    """
    names = {int(place): str(label) for place, label in dict(labels or {}).items()}
    found = [place for place, label in names.items() if label.strip().casefold() in {"entailment", "entail"}]
    if len(found) != 1:
        classes = ", ".join(names.values())
        message = f"{SETTING}: {folder} has no class called entailment, only {classes}: name a model for NLI"
        raise ModelError(message, path=folder)
    return found[0]


def load_cross_encoder(name: str) -> NliModel:
    """Load a folder, or the hub's `owner/name@commit`. Raises: SettingsError or ModelError."""
    started = time.perf_counter()
    folder = find_model(name, setting=SETTING)
    require_torch(SETTING, name)
    loaded = load_transformer("AutoModelForSequenceClassification", folder, setting=SETTING)
    entailment = find_entailment(loaded.config.id2label, folder)
    revision = name_revision(folder, name)
    seconds = time.perf_counter() - started
    log.info("cross_encoder.loaded revision=%s seconds=%.2f", revision, seconds)
    return NliModel(loaded, entailment, name=f"nli-{revision.rsplit('-', 1)[1]}")
