"""A one-pass classifier, run by the library gliclass: a text and all labels in, a score for each out."""

from __future__ import annotations

import importlib.util
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.torch_encoder import (
    Loaded,
    load_transformer,
    longest_input,
    name_revision,
    quiet_transformers,
    require_torch,
)
from tocsin.errors import ModelError
from tocsin.types import Topic

log = logging.getLogger(__name__)

MOST_TOKENS = 1024  # of labels and text together, as in the library
LEAST_TOKENS = 64  # a topic's name and a few words of text
LONGEST_CLAUSE = 120  # characters of a description that stay in a label
LABEL, END = "<<LABEL>>", "<<SEP>>"  # what the library writes before each label and after the last
MARKS = (LABEL, END, "<<EXAMPLE>>")
KIND = "gliclass"
_CLAUSE_END = re.compile(r"[:;.!?](?=\s|$)")


class OnePassModel:
    """Judges a text for several topics in one pass; see `load_one_pass`. `name` tells its weights.

    A pass holds one text, since the library pools over a batch's padding: scores would depend on neighbours.
    """

    def __init__(self, loaded: Loaded, *, name: str) -> None:
        from gliclass import ZeroShotClassificationPipeline  # noqa: PLC0415  checked before this was made

        self.name = name
        self._tokenizer = loaded.tokenizer
        self._most_labels = _find_most_labels(loaded.config)
        self._max_tokens = find_places(loaded)
        self._room = self._max_tokens // 2 - 4  # for labels; the rest is the text's and the model's own marks
        self._marks = _find_marks(loaded.tokenizer)
        self._run = ZeroShotClassificationPipeline(
            loaded.model, loaded.tokenizer, max_length=self._max_tokens, device="cpu", progress_bar=False
        )

    def judge(self, pairs: Sequence[tuple[str, Topic]]) -> npt.NDArray[np.float64]:
        """Return how probable it is that each text is about the topic beside it: (n,).

        A text's topics are read together, in alphabetical order of their labels: a label is seen beside the
        others, so which they are moves its score, but not the order in which they are given.
        """
        asked: dict[str, list[int]] = {}
        for place, (text, _) in enumerate(pairs):
            asked.setdefault(text, []).append(place)
        found = np.empty(len(pairs))
        for text, places in asked.items():
            labels = [self._label(pairs[place][1]) for place in places]
            scores = self._read(self._without_marks(text), sorted(set(labels)))
            found[places] = [scores[label] for label in labels]
        return found

    def _read(self, text: str, labels: Sequence[str]) -> Mapping[str, float]:
        scores: dict[str, float] = {}
        for group in self._part(labels):
            with quiet_transformers():
                answers = self._run([self._cut(text, group)], group, threshold=0.0, batch_size=1)[0]
            if len(answers) < len(group):  # a score that is no number lies above no threshold
                raise ModelError(f"{self.name} gives scores that are no numbers: choose another model")
            scores |= {answer["label"]: answer["score"] for answer in answers}
        return scores

    def _label(self, topic: Topic) -> str:
        """Write the topic's label, or its name alone where the label would take the text's room."""
        label = self._without_marks(write_label(topic))
        return label if self._count(label) <= self._room else write_name(topic)

    def _part(self, labels: Sequence[str]) -> Iterator[list[str]]:
        """Part labels into passes that leave half of the tokens to the text."""
        group: list[str] = []
        used = 0
        for label in labels:
            count = self._count(label)
            if group and (used + count > self._room or len(group) == self._most_labels):
                yield group
                group, used = [], 0
            group.append(label)
            used += count
        yield group

    def _count(self, label: str) -> int:
        return len(self._tokenizer(LABEL + label, add_special_tokens=False)["input_ids"])

    def _cut(self, text: str, labels: Sequence[str]) -> str:
        """Cut `text` at its end until it fits beside the labels.

        The library would cut the end of the whole, and that is the labels where they come last.
        """
        write = self._run.pipe.prepare_input
        start = len(write("", labels)) if self._run.pipe.model.config.prompt_first else 0
        while text:
            tokens = self._tokenizer(write(text, labels), return_offsets_mapping=True, verbose=False)
            excess = len(tokens["input_ids"]) - self._max_tokens
            if excess <= 0:
                break
            ends = [last - start for first, last in tokens["offset_mapping"] if first < last]
            inside = [end for end in ends if 0 < end <= len(text)]
            text = text[: min(inside[-excess - 1], len(text) - 1)] if excess < len(inside) else ""
        return text

    def _without_marks(self, text: str) -> str:
        """Blank what the tokenizer would take for a mark, so that no text adds labels of its own."""
        before = None
        while text != before:
            before = text
            tokens = self._tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )
            spans = zip(tokens["input_ids"], tokens["offset_mapping"], strict=True)
            found = [span for token, span in spans if token in self._marks and span[0] < span[1]]
            for first, last in reversed(found):
                text = f"{text[:first]} {text[last:]}"
        return text


def write_label(topic: Topic) -> str:
    """Return name and first clause of the description: a few words, as such models learned labels.

    A description whole would leave no room for ten of them and a text.
    """
    clause = _CLAUSE_END.split(topic.description, maxsplit=1)[0].strip()
    name = write_name(topic)
    return f"{name}: {clause}" if 0 < len(clause) <= LONGEST_CLAUSE else name


def write_name(topic: Topic) -> str:
    """Return the topic's name in words."""
    return topic.name.replace("_", " ").strip()


def is_one_pass(config: Mapping[str, Any]) -> bool:
    """Tell from a model's config.json whether it is of GLiClass's kind."""
    return str(config.get("model_type", "")).casefold() == KIND


def check_config(config: Mapping[str, Any], folder: Path, *, setting: str) -> None:
    """Refuse what is not read here, and an encoder whose code the library would fetch and run.

    Raises: ModelError.
    """
    from transformers import CONFIG_MAPPING  # noqa: PLC0415  slow, and only for such a model

    architecture = config.get("architecture_type", "uni-encoder")
    if architecture != "uni-encoder":
        raise ModelError(
            f"{setting}: {folder} is a GLiClass model of architecture {architecture}: only uni-encoder "
            "is read, which sees labels and text together",
            path=folder,
        )
    encoder = config.get("encoder_config")
    kind = encoder.get("model_type") if isinstance(encoder, dict) else None
    if not isinstance(encoder, dict) or kind not in CONFIG_MAPPING or "auto_map" in encoder:
        raise ModelError(
            f"{setting}: {folder} has an encoder that transformers does not know ({kind}), or that brings "
            "code of its own, which is never run",
            path=folder,
        )


def check_marks(loaded: Loaded, folder: Path, *, setting: str) -> None:
    """Raises: ModelError if tokenizer and model differ about the marks, or labels and a text have no room."""
    config, tokenizer = loaded.config, loaded.tokenizer
    wanted = {LABEL: config.class_token_index, END: None}
    if config.extract_text_features or config.use_segment_embeddings:
        wanted[END] = config.text_token_index
    rows = loaded.model.get_input_embeddings().num_embeddings
    for mark, index in wanted.items():
        found = tokenizer.convert_tokens_to_ids(mark)
        if found in {None, tokenizer.unk_token_id}:
            problem = f"its tokenizer has no {mark}"
        elif index not in {None, found}:
            problem = f"its tokenizer has {mark} as {found}, its config.json as {index}"
        elif found >= rows:
            problem = f"its tokenizer has {mark} as {found}, its embeddings have {rows} rows"
        else:
            continue
        raise ModelError(f"{setting}: {folder}: {problem}", path=folder)
    if find_places(loaded) < LEAST_TOKENS:
        problem = f"reads {find_places(loaded)} tokens at a time, and needs {LEAST_TOKENS}"
        raise ModelError(f"{setting}: {folder} {problem} for labels and a text", path=folder)


def find_places(loaded: Loaded) -> int:
    """Return how many tokens labels and text may have together."""
    return min(MOST_TOKENS, longest_input(loaded._replace(config=loaded.config.encoder_config)))


def _find_most_labels(config: Any) -> int:
    """Return how many labels the model learned with, or has rows for where their number is fixed."""
    fixed = config.max_labels_alloc if isinstance(config.max_labels_alloc, int) else config.max_num_classes
    return max(min(int(config.max_num_classes), fixed), 1)


def _find_marks(tokenizer: Any) -> frozenset[int]:
    ids = {*tokenizer.convert_tokens_to_ids(list(MARKS)), *tokenizer.all_special_ids}
    return frozenset(ids - {tokenizer.unk_token_id, None})


def require_gliclass(setting: str, name: str) -> None:
    """Raises: ModelError that says how to install gliclass, if it is not."""
    require_torch(setting, name)
    if importlib.util.find_spec(KIND) is None:
        raise ModelError(
            f"{setting}: {name} needs gliclass, which is not installed: "
            'pip install "tocsin[gliclass]", or unset it'
        )


def load_one_pass(folder: Path, config: Mapping[str, Any], *, name: str, setting: str) -> OnePassModel:
    """Load the model in `folder`, called `name`, with this config.json. Raises: ModelError."""
    started = time.perf_counter()
    check_config(config, folder, setting=setting)
    require_gliclass(setting, name)
    from gliclass import GLiClassModel  # noqa: PLC0415  imports torch

    loaded = load_transformer(GLiClassModel, folder, setting=setting)
    check_marks(loaded, folder, setting=setting)
    revision = name_revision(folder, name)
    model = OnePassModel(loaded, name=f"gli-{revision.rsplit('-', 1)[1]}")
    _try_out(model, folder, setting=setting)
    seconds = time.perf_counter() - started
    log.info("cross_encoder.loaded revision=%s seconds=%.2f", revision, seconds)
    return model


def _try_out(model: OnePassModel, folder: Path, *, setting: str) -> None:
    """Run it once: some configurations load and fail only then, which would be in the midst of a run."""
    topics = [Topic(name=name, description="Something to try") for name in ("one_thing", "another_thing")]
    try:
        model.judge([("A text to try", topic) for topic in topics])
    except Exception as error:  # whatever torch and the library raise
        raise ModelError(f"{setting}: {folder} loads but does not run ({error})", path=folder) from error
