"""Words that publishing software hangs on the end of summaries: "Read more", share and subscribe tails.

Only ends are cut, and only by phrases that reporters do not write; in doubt text stays.
"""

# ruff: noqa: RUF001 - curly quotes, arrows and dashes are meant as publishers write them

from __future__ import annotations

import re

# Tails are short; nothing further from the end is looked at.
_WINDOW = 800
_MOST_TAILS = 8

# Where a tail may begin: at any word, or, for less telling phrases, where a sentence could.
_WORD = r"(?:^|(?<=[\s\[(]))"
_SENTENCE = r"(?:^|(?<=[.!?…:\])\"”»]\s)|(?<=[.!?…\])\"”»|\[(]))"
_END = r"[\s.…:>»›→\])]*$"
# A headline, site name or such: a full stop may stand within a word, but end no sentence.
_NAME = r"(?:[^.!?\s]|[.!?](?=\S)|\s)"
_WHERE = rf"(?:here|(?:at|on) {_NAME}{{1,80}})"
_ARTICLE = r"(?:article|entry|post|report|story)"
_SITE = r"(?:Facebook|Twitter|X|LinkedIn|E-?mail|Print|Reddit|WhatsApp|Telegram|Tweet|Pinterest|Pocket|More)"

# They may follow any word, as the feed often cuts the sentence before them.
_LINKS = (
    rf"Read [Mm]ore(?: (?:here|now|at|on|about|from)(?: {_NAME}{{1,80}})?)?",
    rf"Read (?:the )?(?:full|whole|complete|rest)(?: of (?:the|this))?(?: {_ARTICLE})?(?: {_WHERE})?",
    rf"Continue reading(?: (?:the|this) {_ARTICLE})?",
    rf"Continue reading (?:{_WHERE}|[\"“'«‘]{_NAME}{{1,200}}|{_NAME}{{1,200}}[→»›])",
    rf"Click here(?: (?:to|for) {_NAME}{{1,120}})?",
    rf"To (?:read|view) {_NAME}{{1,100}}(?:,? please)? click here",
    rf"View (?:the )?(?:full|entire) {_ARTICLE}",
    r"More(?=\s*[»→›])",
    r"(?:Lesen Sie (?:mehr|weiter|den ganzen Artikel)|Mehr lesen|Hier weiterlesen)",
    rf"Klicken Sie hier(?:, um {_NAME}{{1,120}})?",
    r"(?:Lire la suite|Lire plus|En savoir plus|Lire l[’']article(?: complet)?|Continuer la lecture)",
    rf"Cliquez ici(?: pour {_NAME}{{1,120}})?",
    r"(?:Leer más|(?:Seguir|Sigue|Continuar) leyendo|Leer (?:la noticia|el artículo) complet[ao])",
    rf"Haga clic aquí(?: para {_NAME}{{1,120}})?",
    r"(?:Leia mais|Continue lendo|Leggi tutto|Continua a leggere|阅读全文|查看全文|阅读更多)",
)
# What may be a noun or an ordinary verb too.
_DOUBTFUL_LINKS = r"(?:Weiterlesen|Zum Artikel|Mehr erfahren|Mehr dazu|Read on|Learn more|More)"
_FIRST_PUBLISHED = (
    r"The post .{1,300} (?:appeared first|first appeared) on (?=[A-Z0-9]|\S+\.\w)",
    r"Der Beitrag .{1,300} erschien zuerst auf ",
    r"(?:L[’']article|Cet article) .{1,300} est apparu en premier sur ",
    r"(?:La entrada|El artículo|La noticia) .{1,300} (?:se publicó|apareció) primero en ",
)
_INVITATIONS = (
    rf"Share this(?: {_ARTICLE}| page| on {_NAME}{{1,60}})?:?(?: {_SITE})*{_END}",
    rf"Like this: Like Loading{_END}",
    rf"(?:Subscribe|Sign up) (?:to|for) {_NAME}{{1,100}}newsletters?{_NAME}{{0,60}}[.!]?$",
    rf"Follow us on {_SITE}{_NAME}{{0,80}}[.!]?$",
    rf"(?:Abonnieren Sie|Abonnez-vous|Suscríb[ae](?:se|te)) {_NAME}{{1,80}}[Nn]ewsletter[^.!?]{{0,40}}{_END}",
)
_TAILS = (
    re.compile(r"\s*[\[(](?:…|\.\.\.|\+\d{1,7} chars)[\])]$"),
    re.compile(rf"{_WORD}[\[(]?(?:{'|'.join(_LINKS)}){_END}"),
    re.compile(rf"{_SENTENCE}[\[(]?{_DOUBTFUL_LINKS}{_END}"),
    re.compile(rf"{_WORD}(?:{'|'.join(_FIRST_PUBLISHED)}){_NAME}{{1,100}}\.?$"),
    re.compile(rf"{_SENTENCE}(?:{'|'.join(_INVITATIONS)})"),
    re.compile(rf"{_WORD}submitted by /?u/\S+(?: to r/\S+)? \[link\] \[comments\]$"),
    re.compile(r"^Article URL: \S+ Comments URL: \S+ Points: \d+ # Comments: \d+$"),
    re.compile(r"^Comments$"),
)
# Every tail holds one of these; looking for them first is several times faster than the patterns.
_HINTS = (
    *("Read ", "More", "Learn ", "Continu", "lick here", "View ", "Share ", "Like this", "ewsletter"),
    *("Follow us", "The post ", "Comments", "[comments]", "…]", "...]", "…)", "...)"),
    *("chars]", "eiterlesen", "Lesen Sie", "Zum Artikel", "Mehr ", "Klicken", "Der Beitrag "),
    *("Lire ", "En savoir", "Cliquez", "en premier", "Leer ", "leyendo", "Haga clic", "primero en"),
    *("Leia mais", "Leggi tutto", "全文", "阅读更多"),
)
_LEFT_OVER = " |·•–—-[(»›→"


def cut_boilerplate(text: str) -> str:
    """Cut such tails from the end of plain text, one after the other; idempotent.

    Text that is nothing else becomes empty. Text with more tails than any publisher hangs on it is
    left alone, so that none can be made to take long.
    """
    shortened = text
    for _ in range(_MOST_TAILS + 1):
        start = _find_tail(shortened)
        if start is None:
            return shortened
        shortened = shortened[:start].rstrip(_LEFT_OVER)
    return text


def _find_tail(text: str) -> int | None:
    start = max(len(text) - _WINDOW, 0)
    window = text[start:]
    if not any(hint in window for hint in _HINTS):
        return None
    return min((found.start() for tail in _TAILS if (found := tail.search(text, start))), default=None)
