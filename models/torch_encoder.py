"""An encoder that transformers and torch run: any BERT-like model with safetensors weights."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models.encode import Progress, Tokens, Vectors
from models.manifest import covers, mark_file
from models.recipe import Recipe, read_recipe
from models.text import clean_text
from tocsin.errors import ModelError

log = logging.getLogger(__name__)

BATCH = 16  # texts of about the same length that run together
_NOT_USED = (
    "pooler.",
    "embeddings.position_ids",
)  # what a model may lack, since its states do not depend on it


def require_torch(setting: str, name: str) -> None:
    """Raises: ModelError that says how to install torch, if it is not."""
    if importlib.util.find_spec("torch") is None:
        raise ModelError(
            f'{setting}: {name} needs torch, which is not installed: pip install "tocsin[torch]", or unset it'
        )


class Loaded(NamedTuple):
    """A model ready to run in float32, and its tokenizer."""

    model: Any
    tokenizer: Any
    config: Any


def load_transformer(kind: Any, folder: Path, *, setting: str) -> Loaded:
    """Load the model in `folder` by a class of transformers: no code, no pickle, no network.

    `kind` is the class, or its name where it is transformers' own.

    Raises: ModelError if it cannot be loaded, has no fast tokenizer, or lacks weights (they would be random).
    """
    try:
        tokenizer, model, info = _read_files(kind, folder)
    except Exception as error:  # whatever a broken or unsupported folder makes transformers raise
        raise ModelError(f"{setting}: {folder} cannot be loaded ({error})", path=folder) from error
    missing = sorted(_find_missing(model, info["missing_keys"]))
    if missing or info["mismatched_keys"]:
        found = missing[0] if missing else _describe_misfit(min(info["mismatched_keys"]))
        raise ModelError(f"{setting}: {folder} is no whole model of its kind: it lacks {found}", path=folder)
    if not tokenizer.is_fast:
        raise ModelError(f"{setting}: {folder} has no fast tokenizer (tokenizer.json)", path=folder)
    return Loaded(model.eval().float(), tokenizer, model.config)  # parts may have a precision of their own


def _find_missing(model: Any, missing: Collection[str]) -> set[str]:
    """Return what is really absent: neither unused, nor another name for a tensor that a file holds."""
    used = {key for key in missing if not key.startswith(_NOT_USED)}
    named = dict(model.named_parameters(remove_duplicate=False))
    stored = {id(tensor) for key, tensor in named.items() if key not in missing}
    return {key for key in used if id(named.get(key)) not in stored}


def _describe_misfit(misfit: tuple[str, Any, Any]) -> str:
    """Name a tensor and both its shapes: in the file, and by config.json."""
    tensor, stored, wanted = misfit
    return f"{tensor} in the shape {tuple(wanted)} (it has {tuple(stored)})"


def _read_files(kind: Any, folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    options = {"local_files_only": True, "trust_remote_code": False}
    with quiet_transformers() as transformers:
        transformers.utils.logging.disable_progress_bar()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True, **options)
        made = getattr(transformers, kind) if isinstance(kind, str) else kind
        model, info = made.from_pretrained(
            folder,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they can be named; nothing with one is run
            dtype="float32",
            **options,
        )
    return tokenizer, model, info


@contextlib.contextmanager
def quiet_transformers() -> Iterator[Any]:
    """Give the library and keep its advice off the screen, also that of its modules, past this filter."""
    logger = logging.getLogger("transformers")

    def is_grave(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    logger.addFilter(is_grave)
    try:
        import transformers  # noqa: PLC0415  only where another model is named; it speaks, and sets its level
    finally:
        logger.removeFilter(is_grave)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield transformers
    finally:
        logger.setLevel(level)


def name_revision(folder: Path, name: str) -> str:
    """Return a revision that changes with any file that vectors depend on."""
    digest = hashlib.sha256()
    for path in sorted(
        path for path in folder.rglob("*") if path.suffix in {".json", ".safetensors", ".txt", ".model"}
    ):
        digest.update(f"{path.relative_to(folder).as_posix()} {mark_file(path).sha256}\n".encode())
    return f"{name.partition('@')[0].rstrip('/').rsplit('/', 1)[-1]}-fp32-{digest.hexdigest()[:8]}"


class TorchEncoder:
    """A transformer with mean or first-token pooling; see `load_torch_encoder`."""

    def __init__(self, loaded: Loaded, recipe: Recipe, *, revision: str, languages: Collection[str]) -> None:
        self.revision = revision
        self.dimensions: int = loaded.config.hidden_size
        self.languages = frozenset(languages)
        self._loaded = loaded
        self._recipe = recipe
        self._max_tokens = min(recipe.max_tokens, longest_input(loaded))

    def covers(self, language: str | None) -> bool:
        """Tell whether vectors of texts in `language` (ISO 639-1) mean anything; unknown (None): yes."""
        return covers(self.languages, language)

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Embed `texts`: float32 (n, dimensions), unit rows, in the input's order; (0, dimensions) for none.

        Texts of like length share a batch, which moves a vector by about 1e-6.
        """
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        done = 0
        for places, tokens in self._run(texts):
            for place, each in zip(places, tokens, strict=True):
                vector = each.states.mean(axis=0, dtype=np.float32)
                vectors[place] = vector / max(float(np.linalg.norm(vector)), 1e-12)
            done += len(places)
            if progress is not None:
                progress(done, len(texts))
        return vectors

    def embed_tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Run `texts` as `embed` does and keep each token's state: their mean, made a unit, is the vector.

        With first-token pooling each token gets the state of the first, since no token has a share of its own
        in the vector: what is explained by tokens is then the sentence, not its words.
        """
        found: list[Tokens | None] = [None] * len(texts)
        for places, tokens in self._run(texts):
            for place, each in zip(places, tokens, strict=True):
                found[place] = each
        return [each for each in found if each is not None]

    def _run(self, texts: Sequence[str]) -> Iterator[tuple[list[int], list[Tokens]]]:
        order = sorted(range(len(texts)), key=lambda i: -min(len(texts[i]), 10_000))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            yield places, self._run_batch([texts[i] for i in places])

    def _run_batch(self, texts: Sequence[str]) -> list[Tokens]:
        import torch  # noqa: PLC0415  checked before this was made

        prompt = self._recipe.prompt
        cleaned = [clean_text(text) for text in texts]
        given = [prompt + (text.lower() if self._recipe.lower else text) for text in cleaned]
        inputs = self._loaded.tokenizer(
            given,
            padding=True,
            truncation=True,
            max_length=self._max_tokens,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        offsets = inputs.pop("offset_mapping").tolist()
        with torch.inference_mode():
            states = self._loaded.model(**inputs).last_hidden_state.numpy()
        masks = inputs["attention_mask"].numpy().astype(bool)
        rows = zip(states, masks, offsets, strict=True)
        return [self._tokens(row[mask], np.array(spans)[mask]) for row, mask, spans in rows]

    def _tokens(self, states: Vectors, spans: Any) -> Tokens:
        """Count characters from after the prompt; the prompt's tokens stand for none of them."""
        if self._recipe.pooling == "cls":
            states = np.broadcast_to(states[0], states.shape)
        moved = np.maximum(spans - len(self._recipe.prompt), 0)
        return Tokens(states, [(int(first), int(last)) for first, last in moved])


def longest_input(loaded: Loaded) -> int:
    """Return how many tokens the model has places for; models of RoBERTa's kind lose some to padding."""
    places = getattr(loaded.config, "max_position_embeddings", None) or 512
    padding = getattr(loaded.config, "pad_token_id", None) or 0
    lost = padding + 1 if loaded.config.model_type in {"roberta", "xlm-roberta", "camembert", "mpnet"} else 0
    return int(places) - lost


def load_torch_encoder(
    folder: Path, *, name: str, setting: str, languages: Collection[str] = ()
) -> TorchEncoder:
    """Load the encoder in `folder`, called `name`. `languages` it covers, none: all. Raises: ModelError."""
    started = time.perf_counter()
    require_torch(setting, name)
    recipe = read_recipe(folder, name=name.partition("@")[0])
    loaded = load_transformer("AutoModel", folder, setting=setting)
    encoder = TorchEncoder(loaded, recipe, revision=name_revision(folder, name), languages=languages)
    seconds = time.perf_counter() - started
    log.info("encoder.loaded revision=%s seconds=%.2f", encoder.revision, seconds)
    return encoder
