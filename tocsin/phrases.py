"""Phrases in texts: whole words, whatever their capitals, accents and punctuation. Standard library only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_NO_WORD = re.compile(r"[\W_]+")
# Scripts that put no space between words: there a phrase may stand anywhere.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


def fold_text(text: str) -> str:
    """Return the words of a text as they are compared: a space around each, small letters, no accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return f" {_NO_WORD.sub(' ', bare.casefold()).strip()} "


@lru_cache(maxsize=1024)
def fold_phrase(phrase: str) -> str:
    """Return a phrase as it is looked for in a folded text; empty if it has no letter or digit."""
    folded = fold_text(phrase)
    return folded.strip() if not folded.strip() or _UNSPACED.search(folded) else folded


def find_phrase(phrases: Iterable[str], text: str) -> str | None:
    """Return the first of the phrases that a text says, None if it says none."""
    phrases = tuple(phrases)
    folded = fold_text(text) if phrases else ""
    return next((phrase for phrase in phrases if fold_phrase(phrase) in folded), None)
