"""What two articles share in words, and whether names or sums of money differ."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from models.lexical import Lexicon
from models.text import clean_text
from tocsin.types import StoryArticle

MAX_SUMMARY = 600  # characters; what follows is seldom the news
RARE = 4.5  # inverse document frequency from which a word begins to tell one event from another
_NAME_LEAST = 4.4  # commoner words are no names, however they are written
_MAX_RARE = 15.0
_SAME_STEM = 5  # letters: "Canada" is in "Canadian"
_SAME_AMOUNT = 0.12  # outlets round

_WORD = re.compile(r"\w\w+")
_LATIN = re.compile(r"[A-Za-z][\w'’]*")  # noqa: RUF001 - the curly apostrophe is meant
_BEGINS = re.compile(r"(?:^|[.!?:|–—•]\s+|[\"“‘'(\[]\s*)$")  # noqa: RUF001 - as above, and both dashes
_AMOUNT = re.compile(
    r"([$€£¥₩])\s?(\d[\d,.]*\d|\d)\s?(trillion|tn|billion|bn|b|million|mn|m|thousand|k)?\b", re.IGNORECASE
)
# Countries by the word for what is theirs, where the first letters do not show it.
_COUNTRIES = {
    "british": "britain",
    "chinese": "china",
    "danish": "denmark",
    "dutch": "netherland",
    "french": "france",
    "greek": "greece",
    "irish": "ireland",
    "italian": "italy",
    "spanish": "spain",
    "swedish": "sweden",
    "swiss": "switzerland",
    "turkish": "turkey",
    "uk": "britain",
}
_TIMES = {"t": 1e12, "b": 1e9, "m": 1e6, "k": 1e3, "th": 1e3}


class Weights:
    """Inverse document frequencies of single words; a word that ordinary news does not hold counts most."""

    def __init__(self, lexicon: Lexicon) -> None:
        single = {term: row for row, term in enumerate(lexicon.terms) if " " not in term}
        self._idf: Mapping[str, float] = {term: float(lexicon.idf[row]) for term, row in single.items()}
        self._most = max(self._idf.values(), default=1.0)

    def of(self, word: str) -> float:
        """Return the inverse document frequency of a word in small letters."""
        return self._idf.get(word, self._most)


@dataclass(frozen=True)
class Shared:
    """What two articles share: the cosine of their words, and what of a headline the other article holds.

    `headline` is the smaller of both headlines' shares by weight, `rare` sums how uncommon such words are,
    `other_names` says that each headline names somebody of whom the other article says nothing.
    """

    tfidf: float
    headline: float
    rare: float
    other_names: bool


class StoryWords:
    """One article's words, weighed when they are first asked for."""

    def __init__(self, article: StoryArticle, weights: Weights) -> None:
        self._title = clean_text(article.title)
        self._summary = clean_text(article.summary)[:MAX_SUMMARY]
        self._weights = weights

    @cached_property
    def all(self) -> dict[str, float]:
        """Give the weights of all stems, a vector of length one."""
        return self._weigh(f"{self._title}. {self._summary}")

    @cached_property
    def headline(self) -> dict[str, float]:
        """Give the same for the headline alone."""
        return self._weigh(self._title)

    @cached_property
    def names(self) -> frozenset[str]:
        """Give the stems of the headline's words that are written as names and are not common."""
        return frozenset(word for word in self._find_names() if self._weights.of(word) > _NAME_LEAST)

    @cached_property
    def amounts(self) -> frozenset[tuple[str, float]]:
        """Give the sums of money, each with its sign."""
        return frozenset(read_amounts(f"{self._title} {self._summary}"))

    def rarity(self, stem: str) -> float:
        """Return how far a stem is beyond the words that any article may hold."""
        return max(self._weights.of(stem) - RARE, 0.0)

    def _weigh(self, text: str) -> dict[str, float]:
        words = _WORD.findall(text.casefold())
        idf: dict[str, float] = {}
        for word in words:
            idf[stem(word)] = min(idf.get(stem(word), math.inf), self._weights.of(word))
        counts = Counter(map(stem, words))
        vector = {word: (1 + math.log(times)) * idf[word] for word, times in counts.items()}
        length = math.sqrt(sum(value * value for value in vector.values())) or 1.0
        return {word: value / length for word, value in vector.items()}

    def _find_names(self) -> Iterator[str]:
        inner, small = _written(self._summary)
        telling = {word for word in inner if word not in small}
        for match in _LATIN.finditer(self._title):
            word, found = match.group(), stem(match.group().casefold())
            if not word[0].isupper() or len(word) < 2:
                continue
            # Where every headline word has a capital, the summary must tell which of them are names.
            by_place = not self._is_title_case and not _BEGINS.search(self._title[: match.start()])
            by_shape = not self._title.isupper() and any(sign.isupper() for sign in word[1:])
            if by_place or by_shape or found in telling:
                yield found

    @cached_property
    def _is_title_case(self) -> bool:
        words = [word for word in _LATIN.findall(self._title) if len(word) > 3]
        return bool(sum(word[0].isupper() for word in words) >= 0.6 * max(len(words), 1))


def compare_words(one: StoryWords, other: StoryWords) -> Shared:
    """Measure what two articles share."""
    held = {word for word in one.headline if word in other.all} | {
        word for word in other.headline if word in one.all
    }
    return Shared(
        tfidf=_dot(one.all, other.all),
        headline=min(_share(one.headline, other.all), _share(other.headline, one.all)),
        rare=min(sum(one.rarity(word) for word in held), _MAX_RARE),
        other_names=have_other_names(one, other),
    )


def have_other_names(one: StoryWords, other: StoryWords) -> bool:
    """Tell whether each headline names somebody of whom the other article says nothing."""
    return _lacks(one.names, other.all) and _lacks(other.names, one.all)


def have_other_sums(one: StoryWords, other: StoryWords) -> bool:
    """Tell whether both give sums of money in one currency, and none agrees."""
    return _differ(one.amounts, other.amounts)


def are_twins(one: StoryWords, other: StoryWords) -> bool:
    """Tell whether two headlines are alike but for who, or how much: two fines on two firms."""
    apart = one.headline.keys() ^ other.headline.keys()
    names = one.names | other.names
    alike = bool(apart) and all(word in names or word[0].isdigit() for word in apart)
    return alike and (have_other_names(one, other) or have_other_sums(one, other))


def stem(word: str) -> str:
    """Take plural and possessive endings off a word in small letters, and name countries one way."""
    return _COUNTRIES.get(word) or _cut_ending(word)


def _cut_ending(word: str) -> str:
    for ending in ("'s", "’s"):  # noqa: RUF001 - the curly apostrophe is meant
        word = word.removesuffix(ending)
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ses", "xes", "zes", "hes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def read_amounts(text: str) -> Iterator[tuple[str, float]]:
    """Find sums of money such as "€1.2 billion", each with its sign."""
    for sign, number, scale in _AMOUNT.findall(text):
        with_point = number.replace(",", "")
        if with_point.count(".") <= 1:
            yield sign, float(with_point) * _scale(scale.lower())


def _scale(word: str) -> float:
    return _TIMES.get(word[:2], _TIMES.get(word[:1], 1.0)) if word else 1.0


def _written(text: str) -> tuple[set[str], set[str]]:
    """Give the stems written with a capital inside a sentence, and those written small."""
    inner, small = set(), set()
    for match in _LATIN.finditer(text):
        found = stem(match.group().casefold())
        if match.group()[0].islower():
            small.add(found)
        elif not _BEGINS.search(text[: match.start()]):
            inner.add(found)
    return inner, small


def _lacks(names: Iterable[str], words: Mapping[str, float]) -> bool:
    begun = {word[:_SAME_STEM] for word in words}
    return any(name not in words and name[:_SAME_STEM] not in begun for name in names)


def _differ(some: Iterable[tuple[str, float]], others: Iterable[tuple[str, float]]) -> bool:
    pairs = [(a, b) for sign, a in some for other, b in others if sign == other]
    return bool(pairs) and not any(abs(a - b) <= _SAME_AMOUNT * max(a, b) for a, b in pairs)


def _dot(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    return sum(value * other[word] for word, value in one.items() if word in other)


def _share(headline: Mapping[str, float], words: Mapping[str, float]) -> float:
    return sum(value * value for word, value in headline.items() if word in words)
