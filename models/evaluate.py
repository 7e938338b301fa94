"""Compares scores with labels: AP, precision, recall, F1, Brier score, calibration; by topic, and means."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.encode import Encoder, Progress, Vectors
from models.heads import Heads, build_heads
from models.manifest import mark_file
from models.refine import Refiner, SecondReader
from models.text import compose_text
from tocsin.errors import SettingsError
from tocsin.types import Topic

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

BINS = 10  # of equal width, from 0 to 1, for the calibration error


@dataclass(frozen=True, slots=True)
class LabelledArticle:
    """An article with the topics that it has, and those for which it counts neither way."""

    title: str
    summary: str
    topics: frozenset[str]
    unsure: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures at `threshold`. None where the data cannot tell: `ap`, `recall` and `f1` without positives,
    `precision` without matches. `brier` is the mean squared error, `ece` see `calibration_gap`.
    """

    threshold: float
    articles: int
    positives: int
    matches: int
    ap: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    brier: float | None
    ece: float | None


MEASURES = ("ap", "precision", "recall", "f1", "brier", "ece")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures by topic, and for each measure the mean over the topics where it is not None."""

    articles: int
    topics: dict[str, Figures]
    mean: dict[str, float | None]
    encoder_revision: str | None = None
    heads: dict[str, str] | None = None
    data_sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def read_labelled(path: Path) -> list[LabelledArticle]:
    """Read JSON lines with `title` and, if wanted, `summary`, `topics`, `unsure`; other fields are ignored.

    Raises: SettingsError that says file, line and what is wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is not UTF-8 text: save it as UTF-8") from error
    articles = [_labelled(line, f"{path}, line {i}") for i, line in enumerate(lines, start=1) if line.strip()]
    if not articles:
        raise SettingsError(f"{path}: holds no articles: put one JSON object on each line")
    return articles


def _labelled(line: str, place: str) -> LabelledArticle:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{place}: is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise SettingsError(f"{place}: is not a JSON object with title, summary, topics and unsure")
    title, summary = data.get("title"), data.get("summary") or ""
    if not isinstance(title, str) or not isinstance(summary, str):
        raise SettingsError(f"{place}: `title` and `summary` must be text")
    return LabelledArticle(title, summary, _names(data, "topics", place), _names(data, "unsure", place))


def _names(data: dict[str, Any], field: str, place: str) -> frozenset[str]:
    names = data.get(field) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"{place}: `{field}` must be a list of topic names")
    return frozenset(names)


def average_precision(positive: Bools, scores: Vectors) -> float | None:
    """Return the mean, over the positives, of precision at their rank; None without positives.

    Equal scores share a rank (precision is taken at the end of a tie), so the input's order never matters.
    """
    if not positive.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits, ranked = positive[order], scores[order]
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    found = np.cumsum(hits)[ends]
    gained = np.diff(np.r_[0, found])
    return float((found / (ends + 1) * gained).sum() / hits.sum())


def calibration_bins(scores: Vectors) -> npt.NDArray[np.intp]:
    """Return the bin of each score: `BINS` of equal width; a score of 1 is in the last."""
    return np.asarray(np.minimum((scores * BINS).astype(np.intp), BINS - 1))


def calibration_gap(positive: Bools, scores: Vectors) -> float | None:
    """Return the expected calibration error: |mean score - share of positives|, averaged over `BINS`.

    Each bin counts as much as it has articles. None without any.
    """
    if not len(scores):
        return None
    gaps = np.bincount(calibration_bins(scores), weights=scores - positive.astype(np.float64), minlength=BINS)
    return float(np.abs(gaps).sum() / len(scores))


def measure(positive: Bools, scores: Vectors, threshold: float) -> Figures:
    """Compare the scores (n,) of one topic with its labels (n,)."""
    matched = scores >= np.float32(threshold)
    hits, matches, positives = int((matched & positive).sum()), int(matched.sum()), int(positive.sum())
    return Figures(
        threshold=threshold,
        articles=len(scores),
        positives=positives,
        matches=matches,
        ap=average_precision(positive, scores),
        precision=hits / matches if matches else None,
        recall=hits / positives if positives else None,
        f1=2 * hits / (matches + positives) if positives else None,
        brier=float(np.square(scores - positive.astype(np.float64)).mean()) if len(scores) else None,
        ece=calibration_gap(positive, scores),
    )


def evaluate_scores(
    scores: Vectors, articles: Sequence[LabelledArticle], topics: Sequence[Topic]
) -> Evaluation:
    """Evaluate scores (articles, topics), each topic at its own threshold, without those unsure for it."""
    figures: dict[str, Figures] = {}
    for column, topic in enumerate(topics):
        sure = np.array([topic.name not in article.unsure for article in articles], dtype=bool)
        positive = np.array([topic.name in article.topics for article in articles], dtype=bool)
        figures[topic.name] = measure(positive[sure], scores[sure, column], topic.effective_threshold)
    means = {name: _mean(getattr(item, name) for item in figures.values()) for name in MEASURES}
    return Evaluation(len(articles), figures, means)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Scored:
    """The labelled articles of a file, with float32 scores (articles, topics) by the heads of the topics.

    `second_opinion` names the cross-encoder that had a part in doubtful scores, if one had.
    """

    articles: Sequence[LabelledArticle]
    heads: Heads
    scores: Vectors
    data_sha256: str
    second_opinion: str = ""

    def labels(self) -> Floats:
        """Return the labels (articles, topics): 1, 0, NaN where the topic counts neither way."""
        return label_matrix(self.articles, self.heads.topics)

    def evaluate(self) -> Evaluation:
        """Compare the scores with the labels."""
        result = evaluate_scores(self.scores, self.articles, self.heads.topics)
        opinion = f"+{self.second_opinion}" if self.second_opinion else ""
        names = {
            topic.name: name + opinion
            for topic, name in zip(self.heads.topics, self.heads.names, strict=True)
        }
        return replace(
            result,
            encoder_revision=self.heads.encoder_revision,
            heads=names,
            data_sha256=self.data_sha256,
        )


def label_matrix(articles: Sequence[LabelledArticle], topics: Sequence[Topic]) -> Floats:
    """Return the labels (articles, topics): 1, 0, NaN where the topic counts neither way."""
    rows = [
        [np.nan if topic.name in article.unsure else float(topic.name in article.topics) for topic in topics]
        for article in articles
    ]
    return np.array(rows, dtype=np.float64).reshape(len(articles), len(topics))


def score_file(
    path: Path, *, topics: Sequence[Topic], encoder: Encoder, progress: Progress | None = None
) -> Scored:
    """Score the labelled articles of `path` by the heads of `topics`.

    Raises: SettingsError for an unreadable file, and what `build_heads` raises.
    """
    articles = read_labelled(path)
    heads = build_heads(topics, encoder)
    texts = [compose_text(article.title, article.summary) for article in articles]
    scores = heads.score(encoder.embed(texts, progress=progress), texts)
    return Scored(articles, heads, scores, mark_file(path).sha256)


def refine_scored(scored: Scored, model: SecondReader) -> Scored:
    """Mix a second reader's opinion into the doubtful scores, as a run does, but into all of them."""
    texts = [compose_text(article.title, article.summary) for article in scored.articles]
    refiner = Refiner(model, scored.heads, limit=scored.scores.size)
    refined = refiner.refine(scored.scores, texts)
    return replace(scored, scores=refined.scores, second_opinion=model.name)


def evaluate_file(
    path: Path, *, topics: Sequence[Topic], encoder: Encoder, progress: Progress | None = None
) -> Evaluation:
    """Score the labelled articles of `path` by the heads of `topics` and compare; see `score_file`."""
    return score_file(path, topics=topics, encoder=encoder, progress=progress).evaluate()
