"""Which words stand out in the headlines of a spike (pure)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import log, sqrt

Headline = tuple[str, str]  # outlet, title

_WORD = re.compile(r"[^\W_][\w'\u2019-]*[^\W_]|[^\W_]")
_SHORTEST = 3
_LEAST_OUTLETS = 2
_PRIOR_WEIGHT = 50.0  # headlines that the prior counts for
_CLEAR = 1.64


def find_terms(recent: Sequence[Headline], earlier: Sequence[Headline], *, most: int = 5) -> tuple[str, ...]:
    """Find the terms of one or two words that are far more frequent in recent headlines, clearest first.

    Log-odds with an informative Dirichlet prior (Monroe, Colaresi & Quinn 2008, "Fightin' Words"), by how
    many headlines have a term. A term must be in those of two outlets: one paper's series is no news.
    """
    now, before = _count(recent), _count(earlier)
    total, now_size, before_size = len(recent) + len(earlier), len(recent), len(earlier)
    spread = _outlets_of(recent)
    scored = []
    for term, count in now.items():
        if len(spread[term]) < _LEAST_OUTLETS:
            continue
        prior = _PRIOR_WEIGHT * (count + before[term]) / total
        distance = _log_odds(count, now_size, prior) - _log_odds(before[term], before_size, prior)
        z = distance / sqrt(1 / (count + prior) + 1 / (before[term] + prior))
        if z >= _CLEAR:
            scored.append((-z, term))
    return tuple(_drop_parts([term for _, term in sorted(scored)])[:most])


def _log_odds(count: int, size: int, prior: float) -> float:
    return log((count + prior) / (size + _PRIOR_WEIGHT - count - prior + 1))


def _count(headlines: Iterable[Headline]) -> Counter[str]:
    return Counter(term for _, title in headlines for term in _terms(title))


def _outlets_of(headlines: Iterable[Headline]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for outlet, title in headlines:
        for term in _terms(title):
            found.setdefault(term, set()).add(outlet.lower())
    return found


def _terms(title: str) -> set[str]:
    words = _WORD.findall(title.casefold())
    pairs = pairwise(words)
    long = [word for word in words if len(word) >= _SHORTEST]
    return {*long, *(f"{a} {b}" for a, b in pairs if len(a) >= _SHORTEST and len(b) >= _SHORTEST)}


def _drop_parts(terms: Sequence[str]) -> list[str]:
    """Leave out a term that shares a word with a clearer one: "chip" beside "chip ban" says nothing new."""
    kept: list[str] = []
    used: set[str] = set()
    for term in terms:
        words = set(term.split())
        if not words & used:
            kept.append(term)
            used |= words
    return kept
