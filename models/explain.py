"""Why an article matched a topic: the one sentence that alone scores highest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.encode import Encoder
from models.heads import Heads
from models.text import clean_text, split_sentences
from tocsin.types import Reason


@dataclass(frozen=True, slots=True)
class Match:
    """An article that matched a topic, with the score it got as a whole."""

    title: str
    summary: str
    topic: str
    score: float


def explain_matches(encoder: Encoder, heads: Heads, matches: Sequence[Match]) -> list[Reason]:
    """Return one `Reason` for each match, in order: the match's own score and its best sentence.

    The headline counts as a sentence, and wins a tie. Equal sentences of different matches are embedded
    once; of one summary at most `MAX_SENTENCES` are looked at. A match without text gets an
    empty sentence.
    """
    candidates = [_sentences(match) for match in matches]
    rows = {sentence: 0 for sentences in candidates for sentence in sentences}
    rows = {sentence: row for row, sentence in enumerate(rows)}
    scores = heads.score(encoder.embed(list(rows)), list(rows))
    columns = {topic.name: column for column, topic in enumerate(heads.topics)}

    def best(match: Match, sentences: Sequence[str]) -> str:
        column = columns[match.topic]
        return max(sentences, key=lambda sentence: scores[rows[sentence], column], default="")

    return [
        Reason(match.topic, match.score, best(match, sentences))
        for match, sentences in zip(matches, candidates, strict=True)
    ]


def _sentences(match: Match) -> list[str]:
    title = clean_text(match.title)
    return ([title] if title else []) + split_sentences(match.summary)
