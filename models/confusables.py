"""Letters that only look like Latin ones, and characters that show nothing, as what a reader sees.

The pairs are a small part of the Unicode Consortium's confusables.txt (UTS #39, Unicode Security Mechanisms):
the Cyrillic, Greek and Armenian letters that read as a Latin letter, and Latin small capitals. Full-width,
mathematical and other styled letters are decomposed by NFKC.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

# Read as Latin in a word that has Latin letters too: real Russian, Greek and Armenian stay as they are.
_LOOSE = {"кмтвнґЗ": "kmtbhr3"}
# Read as Latin also in a word that is made of nothing else.
_CLOSE = {
    "асԁеһіјӏԛорԍѕԝхуѵАВСЕНІЈКМОРЅТХУҮԚԜԌ": "acdehijlqopgswxyvABCEHIJKMOPSTXYYQWG",
    "αεικνορτυχγωβηΑΒΕΖΗΙΚΜΝΟΡΤΥΧϲϳ": "aeikvoptuxywbnABEZHIKMNOPTYXcj",
    "օոսհցզյաՕՍ": "onuhgqjwOU",
}
# Styled Latin, which means the same wherever it stands.
_STYLED = {"ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢɑɡ": "abcdefghijklmnoprstuvwyzag"}


def _table(pairs: Mapping[str, str]) -> dict[int, str]:
    return {ord(a): b for pair in pairs.items() for a, b in zip(*pair, strict=True)}


_FOREIGN = _table({**_LOOSE, **_CLOSE})
_CLOSE_LETTERS = frozenset("".join(_CLOSE))
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile(r"[A-Za-z]")
# Fillers and selectors are letters or marks to Unicode, and nothing to the eye; marks that NFC leaves over
# are strokes and dots through a word.
_NOTHING = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_STROKES = re.compile("[\u0300-\u036f]+")
# What English news is made of beside ASCII, such as curly quotes and dashes, needs no second look.
_SUSPECT = re.compile("[^\x00-\x7f\xa0-\xa9\xab-\xb9\xbb-\xbf\u2010-\u2027\u2030-\u205e\u20ac]")
_CIRCLED = (range(0x24B6, 0x24EA), range(0x1F130, 0x1F14A))


class _Styled(dict[int, str | int]):
    """A table for `str.translate`: styled Latin letters and digits to plain ones, found when first met."""

    def __missing__(self, code: int) -> str | int:
        self[code] = _unstyle(code)
        return self[code]


def _unstyle(code: int) -> str | int:
    kind = unicodedata.category(chr(code))
    if kind[0] != "L" and kind != "Nd" and not any(code in each for each in _CIRCLED):
        return code  # such as the trade mark sign, which is no part of a word
    plain = unicodedata.normalize("NFKC", chr(code))
    return plain if plain.isascii() and plain.isalnum() else code


_styled = _Styled(_table(_STYLED))


def is_unsuspicious(text: str) -> bool:
    """Tell whether `text` has no character that could be a look-alike, a mark or invisible."""
    return text.isascii() or not _SUSPECT.search(text)


def fold_confusables(text: str) -> str:
    """Return `text` with look-alikes as the Latin letters that they pass for, and without invisible marks.

    Accents go from words in which most letters have one. A Cyrillic, Greek or Armenian letter is folded in a
    word that also has Latin letters, and in a word made only of close look-alikes if the text's letters are
    mostly Latin. ASCII comes back as it is.
    """
    if is_unsuspicious(text):
        return text
    text = _STROKES.sub("", unicodedata.normalize("NFC", _NOTHING.sub("", text.translate(_styled))))
    letters = sum(len(word) for word in _WORD.findall(text))
    mostly_latin = 3 * len(_LATIN.findall(text)) > 2 * letters

    def fold(found: re.Match[str]) -> str:
        word = found.group()
        if word.isascii():
            return word
        word = _without_heavy_accents(word)
        if not (_LATIN.search(word) or (mostly_latin and _CLOSE_LETTERS.issuperset(word))):
            return word
        return word.translate(_FOREIGN)

    return _WORD.sub(fold, text)


def _without_heavy_accents(word: str) -> str:
    if 2 * len(word.encode("ascii", "ignore")) >= len(word):
        return word  # half of its letters are bare already
    bare = "".join(unicodedata.normalize("NFD", letter)[0] for letter in word)
    accents = sum(a != b for a, b in zip(word, bare, strict=True))
    return bare if len(word) > 2 and 2 * accents > len(word) else word
