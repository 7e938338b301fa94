"""Composing many texts at once: what hardly any of them has is looked for in all of them together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.confusables import is_unsuspicious
from models.text import (
    LONGEST_REPEAT,
    MAX_CHARACTERS,
    ORDER_WORDS,
    PUNCTUATION,
    compose_text,
    join_texts,
)

AT_A_TIME = 1_024  # pairs, so that all that is made of them stays in the processor's cache

_ASCII_PUNCTUATION = PUNCTUATION.encode("ascii", "ignore")
_OTHER_PUNCTUATION = tuple(mark.encode() for mark in PUNCTUATION if not mark.isascii())

Pair = tuple[str, str]
"""A headline and its summary."""
Numbers = npt.NDArray[np.intp]


def compose_texts(pairs: Sequence[Pair]) -> list[str]:
    """Compose pairs of headline and summary, each as `compose_text` does."""
    composed: list[str] = []
    for start in range(0, len(pairs), AT_A_TIME):
        composed += _compose_some(pairs[start : start + AT_A_TIME])
    return composed


def _compose_some(pairs: Sequence[Pair]) -> list[str]:
    plain = [place for place, (title, summary) in enumerate(pairs) if _is_plain(title) and _is_plain(summary)]
    small = "\n".join(text for place in plain for text in pairs[place]).casefold().split("\n")
    odd = set((_find_odd(small) // 2).tolist())
    quick = {
        place: join_texts(*pairs[place], small[2 * number], small[2 * number + 1])
        for number, place in enumerate(plain)
        if number not in odd
    }
    return [quick[place] if place in quick else compose_text(*pair) for place, pair in enumerate(pairs)]


def _is_plain(text: str) -> bool:
    """Tell whether `clean_text` would return `text` as it is; it may also be that of some others."""
    return (
        len(text) <= MAX_CHARACTERS
        and text.isprintable()
        and "  " not in text
        and text[:1] != " " != text[-1:]
        and is_unsuspicious(text)
    )


def _find_odd(lines: Sequence[str]) -> Numbers:
    """Number the lines, in small letters, that may hold an order to a machine or a repeat."""
    whole = "\n".join(lines)
    ends = np.cumsum(np.fromiter(map(len, lines), np.intp, len(lines)) + 1)
    orders = np.searchsorted(ends, _find_orders(whole), side="right")
    return np.concatenate([orders, _find_repeats(whole)])


def _find_orders(whole: str) -> Numbers:
    """Find the places where an order may begin."""
    places: list[int] = []
    for word in ORDER_WORDS:
        place = whole.find(word)
        while place >= 0:
            places.append(place)
            place = whole.find(word, place + 1)
    return np.array(places, dtype=np.intp)


def _find_repeats(whole: str) -> Numbers:
    """Number the lines that may say something three times running.

    Its first word would stand there again, and a third time, so many words further on. Words that are alike
    with punctuation stripped are so with all of it left out.
    """
    raw = whole.encode()
    if not whole.isascii():
        for mark in _OTHER_PUNCTUATION:
            raw = raw.replace(mark, b"")
    words = raw.translate(None, _ASCII_PUNCTUATION).replace(b"\n", b" \n ").split(b" ")
    codes = np.fromiter(map(hash, words), np.int64, len(words))
    again = [codes[step:] == codes[:-step] for step in range(1, LONGEST_REPEAT + 1)]
    found = [np.flatnonzero(same[:-step] & same[step:]) for step, same in enumerate(again, 1)]
    ends = np.flatnonzero(codes == hash(b"\n"))
    return np.searchsorted(ends, np.concatenate(found))
