"""Which language a text is written in; the only place that knows py3langid."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# More text makes nothing surer, and costs.
_MAX_CHARACTERS = 500
_MIN_LETTERS = 20
# One character of these scripts says about as much as two or three letters.
_MIN_IDEOGRAPHS = 8
_SURE = 0.5
# Languages without a two-letter code, given as the written standard that their readers also read.
_STANDARD = {"arz": "ar", "wuu": "zh", "yue": "zh"}


def detect_language(title: str, summary: str) -> str | None:
    """Name the language of an article by its ISO 639-1 code; None if the text is too short or not sure.

    The first call loads the model, which takes about a second.
    """
    text = f"{title}. {summary}"[:_MAX_CHARACTERS]
    if not _says_enough(text):
        return None
    shares: dict[str, float] = {}
    for label, share in _identifier().rank(text)[:5]:
        code = _STANDARD.get(label, label)
        shares[code] = shares.get(code, 0.0) + share
    best = max(shares, key=lambda code: shares[code])
    return best if shares[best] >= _SURE and len(best) == 2 else None


def _says_enough(text: str) -> bool:
    letters = sum(character.isalpha() for character in text)
    ideographs = sum("\u3040" <= character <= "\ud7a3" for character in text)
    return letters >= _MIN_LETTERS or ideographs >= _MIN_IDEOGRAPHS


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415  most polls bring nothing to name

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
