"""The few-label head: corrects any other head by a person's labels, the less the fewer there are.

A logistic regression on vector and terms whose prior mean is the other head: its log-odds are where fitting
starts, and the correction is shrunken towards nothing. So no labels leave every score as it was, and many
labels can turn it round. How strong the shrinkage is was chosen on train, on topics held out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from models.background import Background
from models.encode import Encoder, Vectors
from models.lexical import Lexicon
from models.zero_shot import shrink_within

if TYPE_CHECKING:
    from models.heads import Head

VERSION = 2
# Standard deviations of the prior, chosen on topics held out: 8 gains a little more from labels that are all
# right, and falls under the head without labels where a fifth of them are wrong (docs/classifier.md).
VECTOR_SCALE = 4.0
TERMS_SCALE = 4.0
OFFSET_SCALE = 1.0
CERTAIN = 1e-6  # nearer to 0 or 1 than this a score's log-odds are not believed

Floats = npt.NDArray[np.float64]


class Label(NamedTuple):
    """A person's yes or no on the text of an article (as `compose_text` makes it).

    `vector` is the encoder's of the text, where it is at hand; `title` is what is shown of the article.
    """

    text: str
    positive: bool
    vector: Vectors | None = None
    title: str = ""


@dataclass(frozen=True)
class Correction:
    """What is added to the log-odds of each topic: `vector` (d, k), `terms` (terms, k), `offset` (k,)."""

    vector: Vectors
    terms: Vectors
    offset: Vectors


class FewLabelHead:
    """Scores the topics of `base`, corrected by labels; arrays only."""

    def __init__(
        self,
        base: Head,
        background: Background,
        corrections: tuple[Correction, Correction],
        names: Sequence[str],
    ) -> None:
        self.topics = base.topics
        self.names = tuple(names)
        self._base = base
        self._mean = background.mean
        self._lexicon = background.lexicon
        self._with_text, self._without = corrections

    def score(self, embeddings: Vectors, texts: Sequence[str] | None = None) -> Vectors:
        """Score unit vectors (n, d), better with the texts they were made of: float32 (n, topics)."""
        logits = _log_odds(self._base.score(embeddings, texts))
        correction = self._without if texts is None else self._with_text
        logits += (embeddings - self._mean) @ correction.vector + correction.offset
        if texts is not None:
            logits += self._lexicon.project(texts, correction.terms)
        return np.asarray(1 / (1 + np.exp(-logits.clip(-30, 30))), dtype=np.float32)


def correct_head(
    base: Head, labels: Mapping[str, Sequence[Label]], encoder: Encoder, background: Background
) -> FewLabelHead:
    """Fit the corrections of `base` to the labels of its topics, by name; a topic may have none.

    Contradicting labels cancel each other out. A thousand labels take a few seconds, most of them to embed.
    """
    given = [tuple(labels.get(topic.name, ())) for topic in base.topics]
    fits = [_fit_topic(base, column, found, encoder, background) for column, found in enumerate(given)]
    with_text, without = (_join([fit[kind] for fit in fits]) for kind in (0, 1))
    names = [name_corrected(name, found) for name, found in zip(base.names, given, strict=True)]
    return FewLabelHead(base, background, (with_text, without), names)


def name_corrected(name: str, labels: Sequence[Label]) -> str:
    """Name a head after the labels that correct it: how many, and which, by the first digits of a hash."""
    if not labels:
        return name
    said = sorted(f"{label.positive:d}{label.text}" for label in labels)
    digest = hashlib.sha256("\0".join(said).encode()).hexdigest()[:6]
    return f"few_label-{VERSION}+{name}+labels-{len(labels)}-{digest}"


def embed_labels(labels: Sequence[Label], encoder: Encoder) -> Vectors:
    """Return the labels' vectors, float32 (n, d); only texts without one are embedded."""
    missing = list(dict.fromkeys(label.text for label in labels if label.vector is None))
    found = dict(zip(missing, encoder.embed(missing), strict=True))
    rows = [found[label.text] if label.vector is None else label.vector for label in labels]
    return np.array(rows, np.float32).reshape(-1, encoder.dimensions)


def _join(corrections: Sequence[Correction]) -> Correction:
    return Correction(
        np.stack([each.vector for each in corrections], axis=1),
        np.stack([each.terms for each in corrections], axis=1),
        np.array([each.offset for each in corrections], dtype=np.float32),
    )


def _fit_topic(
    base: Head, column: int, labels: Sequence[Label], encoder: Encoder, background: Background
) -> tuple[Correction, Correction]:
    """Fit one topic, with and without the text."""
    texts = [label.text for label in labels]
    wanted = np.array([label.positive for label in labels], dtype=np.float64)
    vectors = embed_labels(labels, encoder)
    moved, kernel = _vector_kernel(vectors - background.mean, background)
    rows, weights = _weigh(background.lexicon, texts)
    kernels = (kernel + (TERMS_SCALE * weights) @ (TERMS_SCALE * weights).T, kernel)
    found = []
    for seen, matrix, scale in zip((texts, None), kernels, (TERMS_SCALE, 0.0), strict=True):
        before = _log_odds(base.score(vectors, seen)[:, column]).astype(np.float64)
        pull = fit_correction(matrix + OFFSET_SCALE**2, before, wanted)
        terms = np.zeros(len(background.lexicon.terms), dtype=np.float32)
        terms[rows] = scale**2 * (pull @ weights)
        offset = np.float32(OFFSET_SCALE**2 * pull.sum())
        found.append(Correction((moved @ pull).astype(np.float32), terms, np.asarray(offset)))
    return found[0], found[1]


def _vector_kernel(centred: Vectors, background: Background) -> tuple[Floats, Floats]:
    """Return what each label adds to the direction, (d, n), and the likeness of labels, (n, n).

    Likeness counts in the metric of articles of one topic, and is `VECTOR_SCALE` squared for ordinary news.
    """
    metric = shrink_within(background)
    usual = float(np.trace(np.linalg.solve(metric, background.covariance.astype(np.float64))))
    solved = np.linalg.solve(metric, centred.T.astype(np.float64))
    moved = np.asarray(VECTOR_SCALE**2 / usual * solved, dtype=np.float64)
    return moved, centred.astype(np.float64) @ moved


def _weigh(lexicon: Lexicon, texts: Sequence[str]) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return the rows of all terms that `texts` hold, and their weights (texts, rows)."""
    weighed = [lexicon.weigh(text) for text in texts]
    rows = np.unique(np.concatenate([*(found for found, _ in weighed), np.empty(0, np.intp)]))
    weights = np.zeros((len(texts), len(rows)))
    for line, (found, values) in zip(weights, weighed, strict=True):
        line[np.searchsorted(rows, found)] = values
    return rows, weights


def fit_correction(kernel: Floats, before: Floats, wanted: Floats) -> Floats:
    """Return how each label pulls, (n,): kernel @ pull is added to the log-odds `before`.

    The mode of a Gaussian-process classifier with mean `before` and covariance `kernel`: Newton's method,
    halving any step that does not help (Rasmussen and Williams 2006, algorithm 3.1).
    """
    pull = np.zeros(len(wanted))
    loss = _loss(kernel, before, wanted, pull)
    for _ in range(60):
        added = kernel @ pull
        chance = 1 / (1 + np.exp(-(before + added).clip(-30, 30)))
        root = np.sqrt((chance * (1 - chance)).clip(1e-6))
        aim = root**2 * added + wanted - chance
        system = np.eye(len(wanted)) + root[:, None] * kernel * root
        target = aim - root * np.linalg.solve(system, root * (kernel @ aim))
        pull, before_loss, loss = _step(kernel, before, wanted, (pull, target), loss)
        if before_loss - loss < 1e-9:
            break
    return pull


def _step(
    kernel: Floats, before: Floats, wanted: Floats, way: tuple[Floats, Floats], loss: float
) -> tuple[Floats, float, float]:
    """Go along `way` as far as it helps: the new pull, the old loss and the new."""
    start, target = way
    for size in (0.5**halvings for halvings in range(12)):
        pull = start + size * (target - start)
        found = _loss(kernel, before, wanted, pull)
        if found <= loss:
            return pull, loss, found
    return start, loss, loss


def _loss(kernel: Floats, before: Floats, wanted: Floats, pull: Floats) -> float:
    added = kernel @ pull
    logits = before + added
    return float((np.logaddexp(0, logits) - wanted * logits).sum() + pull @ added / 2)


def _log_odds(scores: Vectors) -> Vectors:
    clipped = scores.astype(np.float64).clip(CERTAIN, 1 - CERTAIN)
    return np.asarray(np.log(clipped / (1 - clipped)), dtype=np.float32)
