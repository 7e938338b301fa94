"""The encoder: texts in, unit vectors out. Knows the tokenizer and ONNX Runtime, and nothing of topics."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from models.manifest import MODEL, RESTORE, Manifest, Optimization, covers, read_manifest, verify_files
from models.text import clean_text
from tocsin.errors import ModelError

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent / "encoder"
CHUNK = 16  # texts that one worker takes at a time; also the grain of `progress`

Vectors = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called as progress(done, total), from the calling thread."""


@dataclass(frozen=True)
class Tokens:
    """A text's tokens: `states` float32 (tokens, d), and which characters of the clean text each stands for.

    Tokens that the tokenizer adds stand for none: their span is (0, 0).
    """

    states: Vectors
    spans: Sequence[tuple[int, int]]


class Encoder(Protocol):
    """What turns texts into vectors; everything that reads vectors knows an encoder by its `revision`."""

    revision: str
    dimensions: int
    languages: frozenset[str]

    def covers(self, language: str | None) -> bool:
        """Tell whether vectors of texts in `language` (ISO 639-1) mean anything; unknown (None): yes."""

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Embed `texts`: float32 (n, dimensions), unit rows, in the input's order."""

    def embed_tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Embed `texts` and keep each token's state: their mean, made a unit, is the vector."""


class OnnxEncoder:
    """A transformer with mean pooling that ONNX Runtime runs; see `load_encoder`."""

    def __init__(self, manifest: Manifest, session: Any, tokenizer: Any, *, threads: int) -> None:
        self.revision = manifest.revision
        self.dimensions = manifest.dimensions
        self.languages = frozenset(manifest.languages)
        self._session = session
        self._tokenizer = tokenizer
        self._threads = threads
        self._inputs = {node.name: node.type for node in session.get_inputs()}
        self._output = session.get_outputs()[0].name

    def covers(self, language: str | None) -> bool:
        """Tell whether vectors of texts in `language` (ISO 639-1) mean anything; unknown (None): yes."""
        return covers(self.languages, language)

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Embed `texts`: float32 (n, dimensions), unit rows, in the input's order; (0, dimensions) for none.

        Each text is run alone, one worker to a core: int8 activations are scaled by the largest value in
        a batch, so in a shared batch a text's vector would depend on its neighbours. It is as fast so.
        """
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        # Longest first, so that no worker is left with the long ones while the others are done.
        order = sorted(range(len(texts)), key=lambda i: -min(len(texts[i]), 10_000))
        chunks = [order[i : i + CHUNK] for i in range(0, len(order), CHUNK)]
        with _workers(self._threads) as pool:
            futures = {pool.submit(self._embed_into, vectors, texts, chunk): len(chunk) for chunk in chunks}
            done = 0
            for future in as_completed(futures):
                future.result()
                done += futures[future]
                if progress is not None:
                    progress(done, len(texts))
        return vectors

    def embed_tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Run `texts` as `embed` does and keep each token's state: their mean, made a unit, is the vector."""
        with _workers(self._threads) as pool:
            return list(pool.map(self._run, texts))

    def _embed_into(self, vectors: Vectors, texts: Sequence[str], chunk: Sequence[int]) -> None:
        for i in chunk:
            vectors[i] = self._embed_one(texts[i])

    def _embed_one(self, text: str) -> Vectors:
        vector: Vectors = self._run(text).states.mean(axis=0, dtype=np.float32)  # no padding
        return vector / max(float(np.linalg.norm(vector)), 1e-12)

    def _run(self, text: str) -> Tokens:
        encoding = self._tokenizer.encode(clean_text(text))
        known = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask}
        feed = {name: _row(known.get(name, encoding.type_ids), kind) for name, kind in self._inputs.items()}
        states = self._session.run([self._output], feed)[0][0]
        return Tokens(states, encoding.offsets)


def _row(values: Sequence[int], kind: str) -> npt.NDArray[np.int32] | npt.NDArray[np.int64]:
    if kind == "tensor(int64)":
        return np.array([values], dtype=np.int64)
    return np.array([values], dtype=np.int32)


@contextlib.contextmanager
def _workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="encoder")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)  # after an interrupt nothing more is started


def load_encoder(folder: Path | None = None, *, threads: int | None = None) -> Encoder:
    """Load the encoder in `folder` (None: the one shipped) after checking every file against its manifest.

    `threads`: texts embedded at the same time; None: one for each core that this process may use.
    Raises: ModelError that names the file and the command that restores it.
    """
    started = time.perf_counter()
    folder = FOLDER if folder is None else folder
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    session = _open_session(folder / MODEL, manifest.optimization)
    tokenizer = _open_tokenizer(folder, manifest.max_tokens)
    encoder = OnnxEncoder(manifest, session, tokenizer, threads=threads or _cores())
    seconds = time.perf_counter() - started
    log.info("encoder.loaded revision=%s seconds=%.2f", encoder.revision, seconds)
    return encoder


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _open_session(path: Path, optimization: Optimization) -> Any:
    import onnxruntime  # noqa: PLC0415  most runs find nothing new to score

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The shipped graph is fused by hand; further fusion would bring back a slower layer norm.
    options.graph_optimization_level = (
        levels.ORT_ENABLE_BASIC if optimization == "basic" else levels.ORT_ENABLE_ALL
    )
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class but Exception
        raise ModelError(f"{path} cannot be run ({error}): {RESTORE}", path=path) from error


def _open_tokenizer(folder: Path, max_tokens: int) -> Any:
    """Return the tokenizer; threads may share it.

    It is read by the library that transformers reads it with, since importing transformers takes longer than
    all else that a run does before its first article.
    """
    import tokenizers  # noqa: PLC0415  most runs find nothing new to score

    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # it raises nothing more special for a broken file
        raise ModelError(
            f"{folder} holds no usable fast tokenizer ({error}): {RESTORE}", path=folder
        ) from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer
