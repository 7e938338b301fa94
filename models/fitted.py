"""The fitted head: topics whose definition is one that labelled articles were fitted for.

Two logistic regressions, one on an article's vector and one on its terms, mixed as log-odds; without the
text the first alone. A slope and an offset for each topic turn log-odds into probabilities. An edited
definition is another topic, and not scored here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.encode import Vectors
from models.lexical import Lexicon
from models.manifest import FileMark, mark_file
from models.product import multiply
from tocsin.errors import ModelError
from tocsin.types import Topic

PATH = Path(__file__).parent / "fitted.json"
ARRAYS, TERMS = "fitted.npz", "fitted_terms.txt"
RESTORE = (
    "restore it with `git checkout -- models/fitted.json models/fitted.npz models/fitted_terms.txt`, "
    "or refit with `python -m models.fit_heads`"
)
TERMS_SHARE = 0.3  # of the log-odds; docs/classifier.md has what others gave on dev
SCORING_FIELDS = {"name", "description", "examples", "counter_examples"}


@dataclass(frozen=True, slots=True)
class Line:
    """Log-odds to scores: the log-odds of the score are slope times log-odds plus offset."""

    slope: float
    offset: float


@dataclass(frozen=True, slots=True)
class FittedTopic:
    """One fitted topic: the hash of its definition, and how its log-odds become scores."""

    name: str
    definition: str
    with_text: Line
    without_text: Line


@dataclass(frozen=True)
class FittedFile:
    """What `fitted.json` says: topics in the order of the arrays' columns, files, and where it came from.

    `report` is what was measured when it was fitted, and on what.
    """

    encoder_revision: str
    topics: tuple[FittedTopic, ...]
    files: Mapping[str, FileMark]
    version: int = 2
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Weights:
    """The two regressions; the last row of each matrix is the intercept.

    `embedding` float32 (d + 1, topics); `terms` float32 (terms + 1, topics).
    """

    embedding: Vectors
    terms: Vectors
    lexicon: Lexicon

    def take(self, columns: Sequence[int]) -> Weights:
        """Keep only some topics."""
        # The weights of one term lie side by side, as they are read; picked columns would not.
        return Weights(self.embedding[:, columns], np.ascontiguousarray(self.terms[:, columns]), self.lexicon)

    def measure(self, embeddings: Vectors, texts: Sequence[str] | None) -> Vectors:
        """Return log-odds (n, topics), not yet calibrated."""
        logits: Vectors = multiply(embeddings, self.embedding[:-1]) + self.embedding[-1]
        if texts is None:
            return logits
        words = self.lexicon.project(texts, self.terms[:-1]) + self.terms[-1]
        return np.asarray((1 - TERMS_SHARE) * logits + TERMS_SHARE * words, dtype=np.float32)


class FittedHead:
    """Scores its topics from their articles' vectors and, where given, texts."""

    def __init__(self, topics: Sequence[Topic], known: FittedFile, weights: Weights) -> None:
        names = [topic.name for topic in known.topics]
        columns = [names.index(topic.name) for topic in topics]
        self.topics = tuple(topics)
        self.names = (f"fitted-{known.version}",) * len(self.topics)
        self._weights = weights.take(columns)
        self._with_text = _matrix([known.topics[column].with_text for column in columns])
        self._without_text = _matrix([known.topics[column].without_text for column in columns])

    def score(self, embeddings: Vectors, texts: Sequence[str] | None = None) -> Vectors:
        """Score unit vectors (n, d), better with the texts they were made of: float32 (n, topics)."""
        slopes, offsets = self._without_text if texts is None else self._with_text
        logits = self._weights.measure(embeddings, texts) * slopes + offsets
        return np.asarray(1 / (1 + np.exp(-logits.clip(-30, 30))), dtype=np.float32)


def _matrix(lines: Sequence[Line]) -> Vectors:
    return np.array([[line.slope, line.offset] for line in lines], dtype=np.float32).T


def hash_definition(topic: Topic) -> str:
    """Hash what scores come from, 12 hexadecimal digits: threshold, sensitivity and channel do not count."""
    fields = topic.model_dump(mode="json", include=SCORING_FIELDS)
    canonical = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def select_fitted(topics: Sequence[Topic], known: FittedFile) -> tuple[Topic, ...]:
    """Return those of `topics` that were fitted exactly as they are defined."""
    definitions = {(topic.name, topic.definition) for topic in known.topics}
    return tuple(topic for topic in topics if (topic.name, hash_definition(topic)) in definitions)


def save_fitted(known: FittedFile, weights: Weights, path: Path = PATH) -> None:
    """Write the arrays, the terms and, last, `path` with their checksums. Same input, same bytes."""
    arrays, terms = path.with_name(ARRAYS), path.with_name(TERMS)
    lexicon = weights.lexicon
    np.savez(arrays, embedding=weights.embedding, terms=weights.terms, idf=lexicon.idf)
    terms.write_text("\n".join(lexicon.terms) + "\n", encoding="utf-8", newline="\n")
    files = {file.name: asdict(mark_file(file)) for file in (arrays, terms)}
    path.write_text(json.dumps({**asdict(known), "files": files}, indent=2) + "\n", encoding="utf-8")


def read_fitted(path: Path = PATH, *, revision: str) -> FittedFile:
    """Read `fitted.json`. Raises: ModelError if it is missing, unreadable or not of encoder `revision`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        topics = tuple(_fitted_topic(item) for item in data.pop("topics"))
        files = {name: FileMark(**data["files"][name]) for name in (ARRAYS, TERMS)}
        known = FittedFile(**{**data, "topics": topics, "files": files})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path} cannot be read ({error}): {RESTORE}", path=path) from error
    if known.encoder_revision != revision:
        found = known.encoder_revision
        message = f"{path} was fitted for encoder {found}, but encoder {revision} is loaded: {RESTORE}"
        raise ModelError(message, path=path)
    return known


def _fitted_topic(item: Mapping[str, Any]) -> FittedTopic:
    lines = {name: Line(**item[name]) for name in ("with_text", "without_text")}
    if not all(isinstance(value, float) for line in lines.values() for value in (line.slope, line.offset)):
        raise ValueError("a slope or offset is not a number")
    return FittedTopic(name=str(item["name"]), definition=str(item["definition"]), **lines)


def load_weights(known: FittedFile, path: Path = PATH, *, dimensions: int) -> Weights:
    """Read the arrays and terms beside `path`. Raises: ModelError naming the file that is wrong."""
    for name, expected in known.files.items():
        _verify(path.with_name(name), expected)
    arrays, terms = path.with_name(ARRAYS), path.with_name(TERMS)
    try:
        words = tuple(terms.read_text(encoding="utf-8").split("\n")[:-1])
        with np.load(arrays, allow_pickle=False) as stored:
            weights = Weights(stored["embedding"], stored["terms"], Lexicon(words, stored["idf"]))
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{arrays} cannot be read ({error}): {RESTORE}", path=arrays) from error
    columns = len(known.topics)
    wanted = [(dimensions + 1, columns), (len(words) + 1, columns), (len(words),)]
    found = [weights.embedding.shape, weights.terms.shape, weights.lexicon.idf.shape]
    if found != wanted:
        raise ModelError(f"{arrays} has arrays of shapes {found}, not {wanted}: {RESTORE}", path=arrays)
    return weights


def _verify(path: Path, expected: FileMark) -> None:
    try:
        found = mark_file(path)
    except OSError as error:
        raise ModelError(f"{path} is missing or unreadable: {RESTORE}", path=path) from error
    if found != expected:
        raise ModelError(f"{path} is corrupt (its checksum differs): {RESTORE}", path=path)
