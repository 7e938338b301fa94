"""A cross-encoder for natural-language inference, run by torch: pairs in, entailment out."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.torch_encoder import Loaded, load_transformer, longest_input, name_revision, require_torch
from tocsin.errors import ModelError
from tocsin.types import Topic

log = logging.getLogger(__name__)

BATCH = 8  # pairs of about the same length that run together
MOST_TOKENS = 512


class NliModel:
    """Judges whether a text entails a sentence; see `load_cross_encoder`. `name` tells its weights."""

    def __init__(self, loaded: Loaded, entailment: int, *, name: str) -> None:
        self.name = name
        self._loaded = loaded
        self._entailment = entailment
        self._max_tokens = min(MOST_TOKENS, longest_input(loaded))

    def judge(self, pairs: Sequence[tuple[str, Topic]]) -> npt.NDArray[np.float64]:
        """Return how probable it is that each text is about the topic beside it: (n,)."""
        return self.entail([(text, write_hypothesis(topic)) for text, topic in pairs])

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


def write_hypothesis(topic: Topic) -> str:
    """Say of a text that it is about the topic."""
    return f"This text is about {topic.description.rstrip(' .')}."


def find_entailment(labels: Any, folder: Path, *, setting: str) -> int:
    """Return the place of the class that means entailment, by its name: orders differ from model to model.

    Raises: ModelError if not exactly one class is called so; then it is no model for this task.
    """
    given = labels if isinstance(labels, dict) else {}
    names = {int(place): str(label) for place, label in given.items() if str(place).isdecimal()}
    found = [place for place, label in names.items() if label.strip().casefold() in {"entailment", "entail"}]
    if len(found) != 1:
        classes = ", ".join(names.values()) or "classes without names"
        message = (
            f"{setting}: {folder} has no class called entailment, only {classes}, and is no GLiClass model: "
            "name one or the other"
        )
        raise ModelError(message, path=folder)
    return found[0]


def load_cross_encoder(folder: Path, config: Mapping[str, Any], *, name: str, setting: str) -> NliModel:
    """Load the model in `folder`, called `name`, with this config.json. Raises: ModelError."""
    started = time.perf_counter()
    entailment = find_entailment(config.get("id2label"), folder, setting=setting)
    require_torch(setting, name)
    loaded = load_transformer("AutoModelForSequenceClassification", folder, setting=setting)
    revision = name_revision(folder, name)
    seconds = time.perf_counter() - started
    log.info("cross_encoder.loaded revision=%s seconds=%.2f", revision, seconds)
    return NliModel(loaded, entailment, name=f"nli-{revision.rsplit('-', 1)[1]}")
