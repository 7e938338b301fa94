"""The encoder: texts in, unit vectors out. Knows the tokenizer and ONNX Runtime, and nothing of topics."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from models.manifest import MODEL, RESTORE, Manifest, covers, read_manifest, verify_files
from models.onnx_session import open_session
from models.pace import LEAST, TRIAL, Pace, Search, is_enough, list_paces, spread_batches, usable_cores
from models.providers import CPU, ONE_THREAD, short_names
from models.reference import ALONE, PROBES, check_vectors, lowest_cosine
from models.text import MAX_CHARACTERS, clean_text
from tocsin.encoder_setup import EncoderSetup
from tocsin.errors import ModelError, SettingsError

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent / "encoder"
CHUNK = 16  # texts that one worker takes at a time; also the grain of `progress`

_FIELDS = {"input_ids": "ids", "attention_mask": "attention_mask"}  # others are given the types
# What was measured in this process: runs that follow start with it.
_MEASURED: dict[tuple[str, tuple[str, ...], EncoderSetup, Pace], Pace] = {}

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

    def __init__(self, manifest: Manifest, session: Any, tokenizer: Any, *, setup: EncoderSetup) -> None:
        self.revision = manifest.revision
        self.dimensions = manifest.dimensions
        self.languages = frozenset(manifest.languages)
        self.providers: tuple[str, ...] = tuple(session.get_providers())
        self._session = session
        self._tokenizer = tokenizer
        self._setup = setup
        is_shared = not ONE_THREAD.intersection(self.providers)
        pace = Pace((setup.threads or usable_cores()) if is_shared else 1, setup.batch or 1)
        self._key = (manifest.revision, self.providers, setup, pace)
        self.pace = _MEASURED.get(self._key, pace)
        self._seen = 0
        self._search: Search | None = None
        self._inputs = {node.name: node.type for node in session.get_inputs()}
        self._output = session.get_outputs()[0].name

    def covers(self, language: str | None) -> bool:
        """Tell whether vectors of texts in `language` (ISO 639-1) mean anything; unknown (None): yes."""
        return covers(self.languages, language)

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Embed `texts`: float32 (n, dimensions), unit rows, in the input's order; (0, dimensions) for none.

        Each text is run alone, one worker to a core: int8 activations are scaled by the largest value in
        a batch, so in a shared batch a text's vector would depend on its neighbours. It is as fast so.
        Only an encoder whose vectors do not depend on them is ever given several at once.
        """
        job = _Job(texts, self.dimensions, progress)
        # Longest first, so that no worker is left with the long ones while the others are done.
        order = sorted(range(len(texts)), key=lambda i: -min(len(texts[i]), 10_000))
        self._embed_rows(job, self._measure(job, order), self.pace)
        return job.vectors

    def embed_tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Run `texts` one by one and keep each token's state: their mean, made a unit, is the vector."""
        with _workers(self.pace.threads) as pool:
            return list(pool.map(lambda text: self._run([text])[0], texts))

    def depends_on_neighbours(self) -> bool:
        """Tell whether a text's vector is another when the text is run with others, if it can be at all."""
        alone = [_pool(self._run([text])[0]) for text in PROBES]
        try:
            together = [_pool(each) for each in self._run(PROBES)]
        except Exception as error:  # noqa: BLE001  a graph made for one text; errors share no other base class
            log.debug("encoder.batch_refused error=%s", error)
            return True
        return not lowest_cosine(np.stack(alone), np.stack(together)) >= ALONE

    def _measure(self, job: _Job, order: list[int]) -> list[int]:
        """Try paces on some of the rows, once in a process, where texts are many; give the rows left."""
        self._seen += len(order)
        if self._key in _MEASURED or self._seen < LEAST:
            return order
        search = self._search = self._search or self._begin_search()
        while (pace := search.next()) and is_enough(len(order), pace):
            started = time.perf_counter()
            done = self._try(job, order, pace)
            seconds = time.perf_counter() - started
            search.note(sum(min(len(job.texts[row]), MAX_CHARACTERS) for row in done), seconds)
            order = [row for row in order if row not in done]
        if search.next() is None:
            self.pace = _MEASURED[self._key] = search.best()
            _log_search(search, self.pace)
        return order

    def _try(self, job: _Job, order: Sequence[int], pace: Pace) -> set[int]:
        """Embed for a moment at a pace; give the rows that are done, which are from all along `order`."""
        waiting, done = deque(spread_batches(order, pace.batch)), set[int]()
        until = time.perf_counter() + TRIAL

        def work(rows: Sequence[int]) -> None:
            while rows:  # one batch at least, however slow it is
                self._embed_into(job, rows, pace.batch)
                done.update(rows)
                rows = _take(waiting) if time.perf_counter() < until else ()

        with _workers(pace.threads) as pool:
            for future in [pool.submit(work, _take(waiting)) for _ in range(pace.threads)]:
                future.result()
        job.advance(len(done))
        return done

    def _begin_search(self) -> Search:
        may_batch = self._setup.batch is None and not self.depends_on_neighbours()
        return Search(list_paces(self.pace, threads=self._setup.threads is None, batches=may_batch))

    def _embed_rows(self, job: _Job, rows: Sequence[int], pace: Pace) -> None:
        step = max(CHUNK, pace.batch)
        chunks = [rows[i : i + step] for i in range(0, len(rows), step)]
        with _workers(pace.threads) as pool:
            futures = {pool.submit(self._embed_into, job, each, pace.batch): len(each) for each in chunks}
            for future in as_completed(futures):
                future.result()
                job.advance(futures[future])

    def _embed_into(self, job: _Job, rows: Sequence[int], batch: int) -> None:
        for start in range(0, len(rows), batch):
            together = rows[start : start + batch]
            for row, found in zip(together, self._run([job.texts[row] for row in together]), strict=True):
                job.vectors[row] = _pool(found)

    def _run(self, texts: Sequence[str]) -> list[Tokens]:
        """Run texts together; shorter ones are filled up behind, where the mask is 0."""
        encodings = [self._tokenizer.encode(clean_text(text)) for text in texts]
        feed = {name: _rows(name, encodings, kind) for name, kind in self._inputs.items()}
        found = self._session.run([self._output], feed)[0]
        return [
            Tokens(states[: len(each.ids)], each.offsets)
            for states, each in zip(found, encodings, strict=True)
        ]


class _Job:
    """Texts to embed, and their vectors so far: float32 (n, dimensions)."""

    def __init__(self, texts: Sequence[str], dimensions: int, progress: Progress | None) -> None:
        self.texts = texts
        self.vectors = np.empty((len(texts), dimensions), dtype=np.float32)
        self._progress = progress
        self._done = 0

    def advance(self, count: int) -> None:
        """Count texts that are done."""
        self._done += count
        if self._progress is not None:
            self._progress(self._done, len(self.texts))


def _take(waiting: deque[Sequence[int]]) -> Sequence[int]:
    """Take the next batch; threads may ask at the same time. Empty: none waits."""
    try:
        return waiting.popleft()
    except IndexError:
        return ()


def _pool(found: Tokens) -> Vectors:
    vector: Vectors = found.states.mean(axis=0, dtype=np.float32)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _rows(name: str, encodings: Sequence[Any], kind: str) -> npt.NDArray[np.int32] | npt.NDArray[np.int64]:
    """Give one of the graph's inputs, (texts, tokens)."""
    rows = [getattr(each, _FIELDS.get(name, "type_ids")) for each in encodings]
    longest = max(map(len, rows))
    filled = [row if len(row) == longest else [*row, *[0] * (longest - len(row))] for row in rows]
    if kind == "tensor(int64)":
        return np.array(filled, dtype=np.int64)
    return np.array(filled, dtype=np.int32)


@contextlib.contextmanager
def _workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="encoder")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)  # after an interrupt nothing more is started


def load_encoder(
    folder: Path | None = None, *, threads: int | None = None, setup: EncoderSetup | None = None
) -> Encoder:
    """Load the encoder in `folder` (None: the one shipped) after checking every file against its manifest.

    `threads`: texts embedded at the same time, before what `setup` says; None there too: one for each core
    that this process may use, until many texts are there to measure on.
    Raises: ModelError that names the file and the command that restores it, or the setting; SettingsError.
    """
    started = time.perf_counter()
    folder = FOLDER if folder is None else folder
    setup = setup or EncoderSetup()
    setup = replace(setup, threads=threads or setup.threads)
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    tokenizer = _open_tokenizer(folder, manifest.max_tokens)

    def open_with(providers: Sequence[str]) -> OnnxEncoder:
        session = open_session(folder / MODEL, manifest.optimization, providers)
        return OnnxEncoder(manifest, session, tokenizer, setup=setup)

    encoder = open_with(setup.providers)
    _check(encoder, setup, open_reference=lambda: open_with(()))
    _log_loaded(encoder, time.perf_counter() - started)
    return encoder


def _check(encoder: OnnxEncoder, setup: EncoderSetup, *, open_reference: Callable[[], OnnxEncoder]) -> None:
    """Refuse what would give other vectors than the processor gives of each text alone."""
    if encoder.providers != (CPU,):
        lowest = check_vectors(encoder, open_reference(), encoder.providers)
        log.info("encoder.compared providers=%s lowest_cosine=%.4f", short_names(encoder.providers), lowest)
    if encoder.pace.batch > 1 and encoder.depends_on_neighbours():
        raise SettingsError(
            f"TOCSIN_ENCODER_BATCH: {setup.batch} texts cannot run together in {encoder.revision}, since a "
            "text's vector would depend on the others: unset it"
        )


def _log_search(search: Search, chosen: Pace) -> None:
    if search.trials:
        tried = " ".join(f"{each.pace.threads}x{each.pace.batch}:{each.rate:.0f}" for each in search.trials)
        log.info("encoder.measured threads=%d batch=%d tried=%r", chosen.threads, chosen.batch, tried)


def _log_loaded(encoder: OnnxEncoder, seconds: float) -> None:
    providers, pace = short_names(encoder.providers), encoder.pace
    log.info(
        "encoder.loaded revision=%s seconds=%.2f providers=%s threads=%d batch=%d",
        *(encoder.revision, seconds, providers, pace.threads, pace.batch),
    )


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
