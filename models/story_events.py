"""The closer reading of doubtful pairs: by an encoder whose vectors lie together for one event.

Its vectors are kept for a run and stored nowhere: at most `MOST_READ` texts are embedded at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from models.encode import Encoder, Vectors, load_encoder
from models.text import compose_text
from tocsin.encoder_setup import EncoderSetup
from tocsin.types import StoryArticle

FOLDER = Path(__file__).parent / "event_encoder"
MAX_SUMMARY = 300  # characters: what follows is seldom the news, and reading it costs time
MOST_READ = 4_000  # texts embedded for one call of `compare`: some ten seconds of a core
MOST_KEPT = 20_000  # vectors kept for a run: 30 MB

ArticlePair = tuple[StoryArticle, StoryArticle]


def compose_event(article: StoryArticle) -> str:
    """Compose the text that the event encoder reads of an article."""
    return compose_text(article.title, " ".join(article.summary.split())[:MAX_SUMMARY])


class EventReader:
    """Compares doubtful pairs; loads the event encoder at the first."""

    def __init__(self, load: Callable[[], Encoder], *, most: int = MOST_READ) -> None:
        self._load = load
        self._most = most
        self._encoder: Encoder | None = None
        self._kept: dict[str, Vectors] = {}

    def compare(self, pairs: Sequence[ArticlePair]) -> Vectors:
        """Give the cosine of each pair's event vectors: float32 (n,), NaN for those past the bound.

        The first pairs are read first. A text is embedded once, however many pairs it is in.
        """
        texts = [(compose_event(one), compose_event(other)) for one, other in pairs]
        self._read(texts)
        return np.array([self._cosine(one, other) for one, other in texts], dtype=np.float32)

    def _cosine(self, one: str, other: str) -> float:
        if one not in self._kept or other not in self._kept:
            return math.nan
        return float(self._kept[one] @ self._kept[other])

    def _read(self, texts: Sequence[tuple[str, str]]) -> None:
        wanted = dict.fromkeys(text for two in texts for text in two)
        if len(self._kept) + len(wanted) > MOST_KEPT:
            self._kept.clear()
        new = [text for text in wanted if text not in self._kept][: self._most]
        if new:
            self._encoder = self._encoder or self._load()
            self._kept.update(zip(new, self._encoder.embed(new), strict=True))


def load_event_reader(*, most: int = MOST_READ, setup: EncoderSetup | None = None) -> EventReader:
    """Give the reader of the shipped event encoder, which is loaded when it is first needed."""
    return EventReader(lambda: load_encoder(FOLDER, setup=setup), most=most)
