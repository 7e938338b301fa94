"""A topic's name said in an article counts for less where all else speaks against the topic.

Who writes "data privacy" into a recipe names the topic and says nothing of it. So an article that holds the
name of a topic is scored without it too, and where that score is lower, a mean of both, in log-odds, is
taken. An honest article says more of its topic than the name. Costs one more vector for each such article.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from models.encode import Encoder, Vectors
from tocsin.types import Topic

LEAST = 0.2  # scores below it ring nowhere, named or not
SHARE = 0.6  # of the log-odds with the name; docs/classifier.md has what others gave on dev
_SPACE = re.compile(r"\s+")

Score = Callable[[Vectors, Sequence[str]], Vectors]


class NameCheck:
    """Looks for the names of some topics, by their columns."""

    def __init__(self, topics: Sequence[Topic], checked: Sequence[Topic], encoder: Encoder) -> None:
        self._names = [
            (column, _pattern(topic.name)) for column, topic in enumerate(topics) if topic in checked
        ]
        self._encoder = encoder

    def discount(self, scores: Vectors, texts: Sequence[str], score: Score) -> Vectors:
        """Return the scores (n, topics) of `texts`, names discounted; `score` is asked for those without."""
        named = [
            (row, column, less)
            for column, name in self._names
            for row in np.flatnonzero(scores[:, column] >= LEAST).tolist()
            if (less := leave_out(name, texts[row])) != texts[row]
        ]
        if not named:
            return scores
        unique = list(dict.fromkeys(less for _, _, less in named))
        without = dict(zip(unique, score(self._encoder.embed(unique), unique), strict=True))
        found = scores.copy()
        for row, column, less in named:
            found[row, column] = min(scores[row, column], _mix(scores[row, column], without[less][column]))
        return found


def leave_out(name: re.Pattern[str], text: str) -> str:
    """Return the text without a name wherever it stands; the same text if it stands nowhere."""
    return _SPACE.sub(" ", name.sub(" ", text)).strip() if name.search(text) else text


def _pattern(name: str) -> re.Pattern[str]:
    words = r"[\s_\-]+".join(re.escape(word) for word in name.split("_"))
    return re.compile(rf"\b{words}\b", re.IGNORECASE)


def _mix(named: float, without: float) -> float:
    logits = [float(np.log(p / (1 - p))) for p in np.clip([named, without], 1e-7, 1 - 1e-7)]
    return float(1 / (1 + np.exp(-(SHARE * logits[0] + (1 - SHARE) * logits[1]))))
