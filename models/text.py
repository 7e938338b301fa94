"""Text on its way to the encoder: what is removed, where it is cut, where sentences end."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Sequence
from operator import eq

from models.confusables import fold_confusables

# The encoder reads 256 tokens, about 1,500 characters of English; more is never seen.
MAX_CHARACTERS = 2_000
# So much of a text is looked at before cleaning, so that a megabyte of invisible characters costs nothing.
MAX_RAW_CHARACTERS = 4 * MAX_CHARACTERS
MAX_SENTENCES = 12
LONGEST_REPEAT = 6  # words
PUNCTUATION = ".,;:!?…·|/-–—\"'()[]#*"  # noqa: RUF001 - dashes of all lengths are meant
_ASCII_PUNCTUATION = PUNCTUATION.encode("ascii", "ignore")
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,30}\b(?:previous|prior|above|earlier)\b.{0,20}"
    r"\b(?:instruction|prompt|rule)"
    r"|\bsystem (?:note|prompt|message|override)\s*:"
    r"|\byou are an? (?:ai|classifier|assistant|language model)\b"
    r"|\b(?:classify|label|score|mark|flag|tag) (?:this|the) (?:article|text|story|item|entry) (?:as|with)\b"
    r"|\bclassify as\b",
    re.IGNORECASE,
)
# One of them, in small letters, is in whatever the pattern finds (which takes a dotless i for an i).
ORDER_WORDS = (
    *("ignore", "disregard", "forget", "system ", "you are a", "classify"),
    *(f"{verb} th" for verb in ("label", "score", "mark", "flag", "tag")),
    *("\u0131", "i\u0307"),
)

_ENDING = re.compile(r"[.!?…。！？][\"'”’»)\]]*$")  # noqa: RUF001 - the curly and full-width marks are meant
_BOUNDARY = re.compile(
    r"""(?<=[.!?…])["'”’»)\]]*\s+(?=["'“‘«(\[]*[A-Z0-9À-ÞА-Я])"""  # noqa: RUF001 - as above
    r"""|(?<=[。！？])\s*""",  # noqa: RUF001 - Chinese and Japanese use no space after a full stop
)
# Words that end in a full stop without ending a sentence.
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“‘])"  # noqa: RUF001 - curly quotes are meant
    r"(?:[A-Z]|(?:[A-Za-z]\.)+[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|Sen|Rep|Gov|Gen|Lt|Col|Sgt|St|Jr|Sr|Inc|Corp|Co|Ltd|No|vs"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|approx|est|al|cf|Art|Sec|Fig|Ph\.?D)\.$",
)


def clean_text(text: str) -> str:
    """Return `text` as one printable line of at most `MAX_CHARACTERS`.

    Control, zero-width, soft-hyphen and unpaired surrogate characters vanish, look-alikes of Latin letters
    become those letters, white space becomes one blank.
    """
    return _clean(text)[:MAX_CHARACTERS].rstrip()


def _clean(text: str) -> str:
    text = text[:MAX_RAW_CHARACTERS]
    if not text.isprintable():
        text = "".join(_visible(character) for character in text)
    text = fold_confusables(text)
    return " ".join(text.split())


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    return "" if unicodedata.category(character).startswith("C") else character


def compose_text(title: str, summary: str) -> str:
    """Join a headline and its summary into the one text that the encoder sees.

    A summary that only repeats the headline is left out; one that begins with it replaces it. What is said
    three times running is said once, and a summary's sentences that give orders to a machine are left out.
    """
    title, summary = fold_repeats(clean_text(title)), clean_summary(summary)
    return join_texts(title, summary, title.casefold(), summary.casefold())


def join_texts(title: str, summary: str, small_title: str, small_summary: str) -> str:
    """Join a clean headline and a clean summary, both given in small letters too."""
    if small_summary.startswith(small_title):
        return summary
    if not summary:
        return title
    joint = " " if _ENDING.search(title) else ". "
    return f"{title}{joint}{summary}"[:MAX_CHARACTERS].rstrip()


def clean_summary(summary: str) -> str:
    """Return `summary` as `clean_text` does, without repeats and without orders to a machine."""
    return fold_repeats(drop_orders(_clean(summary)))[:MAX_CHARACTERS].rstrip()


def fold_repeats(text: str) -> str:
    """Leave one of what `text` says at least three times running: a word, or up to `LONGEST_REPEAT` words."""
    small = text.casefold()
    # A quick look first: words that are alike with punctuation stripped are so with all of it left out.
    if text.isascii() and _longest_run(small.encode().translate(None, _ASCII_PUNCTUATION).split(b" ")) < 3:
        return text
    words = text.split(" ")
    keys = [word.strip(PUNCTUATION) or word for word in small.split(" ")]
    for length in range(1, min(LONGEST_REPEAT, _longest_run(keys) // 3) + 1):
        kept = _list_kept(keys, length)
        words, keys = [words[place] for place in kept], [keys[place] for place in kept]
    return " ".join(words)


def _longest_run(keys: Sequence[Hashable]) -> int:
    """Return how many words running are each said three times or more: only there can anything be folded.

    Nearly all texts have no three, for a twentieth of the time that looking for repeats takes.
    """
    if len(keys) < len(set(keys)) + 2:
        return 0
    often = {key for key, times in Counter(keys).items() if times >= 3}
    if not often:
        return 0
    return max(map(len, "".join("x" if key in often else " " for key in keys).split()))


def _list_kept(keys: list[str], length: int) -> Sequence[int]:
    """List the places that stay when runs of `length` words are folded."""
    same = list(map(eq, keys, keys[length:]))
    if sum(same) < 2 * length:
        return range(len(keys))
    kept: list[int] = []
    place = 0
    while place < len(keys):
        end = place
        while end < len(same) and same[end]:
            end += 1
        copies = (end - place) // length  # beside the first
        kept.append(place)
        place += length * copies + 1 if copies >= 2 else 1
    return kept


def drop_orders(text: str) -> str:
    """Leave out the sentences that are addressed to a machine which reads the text, in a few known shapes.

    A headline is never touched, so news of such tricks keep theirs. No defence against other words for it.
    """
    small = text.casefold()
    if not any(word in small for word in ORDER_WORDS) or not _ORDER.search(text):
        return text
    return " ".join(sentence for sentence in _split(text) if not _ORDER.search(sentence))


def split_sentences(text: str) -> list[str]:
    """Cut `text` into its sentences, in order, at most `MAX_SENTENCES`, none of them empty.

    Initials and common abbreviations do not end a sentence. Made for headlines and summaries, not for poetry.
    """
    return _split(clean_text(text))[:MAX_SENTENCES]


def _split(text: str) -> list[str]:
    sentences: list[str] = []
    for piece in _BOUNDARY.split(text):
        if sentences and _ABBREVIATION.search(sentences[-1]):
            sentences[-1] += f" {piece}"
        elif piece.strip():
            sentences.append(piece.strip())
    return sentences
