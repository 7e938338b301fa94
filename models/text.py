"""Text on its way to the encoder: what is removed, where it is cut, where sentences end."""

from __future__ import annotations

import re
import unicodedata

# The encoder reads 256 tokens, about 1,500 characters of English; more is never seen.
MAX_CHARACTERS = 2_000
# So much of a text is looked at before cleaning, so that a megabyte of invisible characters costs nothing.
MAX_RAW_CHARACTERS = 4 * MAX_CHARACTERS
MAX_SENTENCES = 12

_SPACE = re.compile(r"\s+")
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

    Control, zero-width, soft-hyphen and unpaired surrogate characters vanish; white space becomes one blank.
    """
    text = text[:MAX_RAW_CHARACTERS]
    if not text.isprintable():
        text = "".join(_visible(character) for character in text)
    return _SPACE.sub(" ", text).strip()[:MAX_CHARACTERS].rstrip()


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    return "" if unicodedata.category(character).startswith("C") else character


def compose_text(title: str, summary: str) -> str:
    """Join a headline and its summary into the one text that the encoder sees.

    A summary that only repeats the headline is left out; one that begins with it replaces it.
    """
    title, summary = clean_text(title), clean_text(summary)
    if summary.casefold().startswith(title.casefold()):
        return summary
    if not summary:
        return title
    joint = " " if _ENDING.search(title) else ". "
    return f"{title}{joint}{summary}"[:MAX_CHARACTERS].rstrip()


def split_sentences(text: str) -> list[str]:
    """Cut `text` into its sentences, in order, at most `MAX_SENTENCES`, none of them empty.

    Initials and common abbreviations do not end a sentence. Made for headlines and summaries, not for poetry.
    """
    sentences: list[str] = []
    for piece in _BOUNDARY.split(clean_text(text)):
        if sentences and _ABBREVIATION.search(sentences[-1]):
            sentences[-1] += f" {piece}"
        elif piece.strip():
            sentences.append(piece.strip())
    return sentences[:MAX_SENTENCES]
