"""Why an article matched a topic: the sentence and the words that carried it, and the example most like it.

Occlusion in the encoder's pool: an article's vector is the mean of its tokens' states, so what a sentence or
a word is worth shows when its tokens leave the mean and its letters the text. Each sentence is encoded once,
apart from the others, and nothing is encoded again for what is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from models.encode import Encoder, Tokens, Vectors
from models.few_label import Label
from models.heads import Heads
from models.text import clean_summary, clean_text, split_sentences
from tocsin.types import Reason, Topic

WORDS_SHOWN = 3
MAX_WORDS = 64  # of a sentence that are looked at
LEAST_DROP = 0.05  # in log-odds, below which a word carried nothing
_WORD = re.compile(r"\w[\w'’-]+")  # noqa: RUF001 - the curly apostrophe is meant
# Words that mean nothing shown alone, whatever they weigh.
_SMALL_WORDS = """
    a about after all also an and any are as at be been before but by can for from had has have he her his how
    if in into is it its more much new no not of on or our out over said say says she so than that the their
    them they this to up was we were what when which who will with would you your
"""
_SMALL = frozenset(_SMALL_WORDS.split())

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Match:
    """An article that matched a topic, with the score it got as a whole."""

    title: str
    summary: str
    topic: str
    score: float


def explain_matches(encoder: Encoder, heads: Heads, matches: Sequence[Match]) -> list[Reason]:
    """Return one `Reason` for each match, in order, with the match's own score.

    The headline counts as a sentence, and wins a tie. Equal sentences of different matches are encoded
    once; of one summary at most `MAX_SENTENCES` are looked at. A match without text gets an empty sentence.
    """
    candidates = [_sentences(match) for match in matches]
    unique = list(dict.fromkeys(sentence for sentences in candidates for sentence in sentences))
    tokens = dict(zip(unique, encoder.embed_tokens(unique), strict=True))
    articles = [_Article(names, [tokens[name] for name in names]) for names in candidates]
    asked = _Asked(heads, [match.topic for match in matches])
    chosen = [_lowest(found) for found in asked.measure([each.less_sentences() for each in articles])]
    words = [each.words(place) for each, place in zip(articles, chosen, strict=True)]
    less = [each.less_words(place, found) for each, place, found in zip(articles, chosen, words, strict=True)]
    drops = asked.measure(less)
    reasons = [
        Reason(
            match.topic,
            match.score,
            sentence=article.sentences[place] if article.sentences else "",
            words=_heaviest([word.group() for word in found], drop),
            head=asked.head(match.topic),
            encoder_revision=heads.encoder_revision,
        )
        for match, article, place, found, drop in zip(matches, articles, chosen, words, drops, strict=True)
    ]
    reasons = _add_examples(encoder, heads, reasons, tokens)
    return [
        _add_labelled(reason, heads.labels.get(match.topic, ()), article.vector(), match.title)
        for reason, match, article in zip(reasons, matches, articles, strict=True)
    ]


def _sentences(match: Match) -> list[str]:
    title = clean_text(match.title)
    return list(dict.fromkeys(([title] if title else []) + split_sentences(clean_summary(match.summary))))


@dataclass(frozen=True)
class _Variants:
    """An article with one part or another left out: unit vectors (n, d) and n texts."""

    vectors: Vectors
    texts: list[str]


class _Article:
    """An article's sentences, each encoded apart; its vector is taken as the mean of all their tokens."""

    def __init__(self, sentences: Sequence[str], tokens: Sequence[Tokens]) -> None:
        self.sentences = list(sentences)
        self._tokens = tokens
        self._sums = [each.states.sum(axis=0, dtype=np.float32) for each in tokens]

    def vector(self) -> Vectors | None:
        """Return the unit vector of the whole article, (d,); None without text."""
        return _unit(np.sum(self._sums, axis=0)[None])[0] if self._sums else None

    def less_sentences(self) -> _Variants | None:
        """Leave out each sentence in turn; None if there is no choice."""
        if len(self.sentences) < 2:
            return None
        total = np.sum(self._sums, axis=0)
        texts = [self._without(place, "") for place in range(len(self.sentences))]
        return _Variants(_unit(np.stack([total - each for each in self._sums])), texts)

    def words(self, place: int) -> list[re.Match[str]]:
        """Return the first words of a sentence that could be shown."""
        words = _WORD.finditer(self.sentences[place]) if self.sentences else iter(())
        return [word for word in words if word.group().casefold() not in _SMALL][:MAX_WORDS]

    def less_words(self, place: int, words: Sequence[re.Match[str]]) -> _Variants | None:
        """Leave out nothing, then each word of a sentence in turn; None without words."""
        if not words:
            return None
        total, sentence = np.sum(self._sums, axis=0), self.sentences[place]
        states, spans = self._tokens[place].states, np.array(self._tokens[place].spans)
        rows, texts = [total], [" ".join(self.sentences)]
        for word in words:
            start, end = word.span()
            hidden = (spans[:, 0] < end) & (spans[:, 1] > start)
            rows.append(total - states[hidden].sum(axis=0, dtype=np.float32))
            texts.append(self._without(place, f"{sentence[:start]} {sentence[end:]}"))
        return _Variants(_unit(np.stack(rows)), texts)

    def _without(self, place: int, rest: str) -> str:
        return " ".join([*self.sentences[:place], rest, *self.sentences[place + 1 :]])


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


class _Asked:
    """The heads, asked about one topic for each article."""

    def __init__(self, heads: Heads, topics: Sequence[str]) -> None:
        names = [topic.name for topic in heads.topics]
        self._heads = heads
        self._columns = [names.index(topic) for topic in topics]
        self._names = dict(zip(names, heads.names, strict=True))

    def head(self, topic: str) -> str:
        """Name the head that scores a topic."""
        return self._names[topic]

    def measure(self, variants: Sequence[_Variants | None]) -> list[Floats]:
        """Return the log-odds of each article's variants for its topic; none for None."""
        given = [each for each in variants if each is not None]
        if not given:
            return [np.empty(0)] * len(variants)
        vectors = np.concatenate([each.vectors for each in given])
        scores = self._heads.score_plainly(vectors, [text for each in given for text in each.texts])
        chances = scores.astype(np.float64).clip(1e-7, 1 - 1e-7)
        logits = np.log(chances / (1 - chances))
        ends = np.cumsum([0 if each is None else len(each.texts) for each in variants])
        parts = np.split(logits, ends[:-1])
        return [part[:, column] for part, column in zip(parts, self._columns, strict=True)]


def _lowest(logits: Floats) -> int:
    return int(logits.argmin()) if len(logits) else 0


def _heaviest(words: Sequence[str], logits: Floats) -> tuple[str, ...]:
    """Return the words whose absence costs most, each once; the first of `logits` is with all of them."""
    if not words:
        return ()
    drops = logits[0] - logits[1:]
    order = [int(place) for place in np.argsort(-drops, kind="stable") if drops[place] >= LEAST_DROP]
    unique = {words[place].casefold(): words[place] for place in reversed(order)}
    return tuple(dict.fromkeys(unique[words[place].casefold()] for place in order))[:WORDS_SHOWN]


# ---------------------------------------------------------------- examples

# Vectors of the topics' phrases, kept as long as the encoder that made them.
_known: WeakKeyDictionary[Encoder, dict[str, Vectors]] = WeakKeyDictionary()


def _add_examples(
    encoder: Encoder, heads: Heads, reasons: Sequence[Reason], tokens: Mapping[str, Tokens]
) -> list[Reason]:
    """Give each reason the phrase of its topic that is nearest to the sentence, and their cosine."""
    topics = {topic.name: topic for topic in heads.topics}
    phrases = {reason.topic: _phrases(topics[reason.topic]) for reason in reasons if reason.sentence}
    known = _embed_phrases(encoder, [phrase for group in phrases.values() for phrase in group])
    found = []
    for reason in reasons:
        if reason.sentence:
            (sentence,) = _unit(tokens[reason.sentence].states.mean(axis=0, keepdims=True))
            group = phrases[reason.topic]
            cosines = np.stack([known[phrase] for phrase in group]) @ sentence
            place = int(cosines.argmax())
            reason = replace(reason, example=group[place], likeness=round(float(cosines[place]), 4))  # noqa: PLW2901
        found.append(reason)
    return found


def _phrases(topic: Topic) -> tuple[str, ...]:
    return topic.examples or (topic.description,)


def _embed_phrases(encoder: Encoder, phrases: Sequence[str]) -> Mapping[str, Vectors]:
    known = _known.setdefault(encoder, {})
    missing = list(dict.fromkeys(phrase for phrase in phrases if phrase not in known))
    if missing:
        known.update(zip(missing, encoder.embed(missing), strict=True))
    return known


def _add_labelled(reason: Reason, labels: Sequence[Label], vector: Vectors | None, title: str) -> Reason:
    """Give the reason the nearest article that people called relevant to its topic, and their cosine.

    Never an article of the same headline: that one is as near as can be, and says nothing.
    """
    near = [
        (float(label.vector @ vector), label.title or label.text)
        for label in labels
        if vector is not None and label.vector is not None and label.positive and label.title != title
    ]
    if not near:
        return reason
    likeness, headline = max(near)
    return replace(reason, labelled=headline, labelled_likeness=round(likeness, 4))
