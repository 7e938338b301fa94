"""How far a person trusts outlets: a first tier, all others, a low tier, and muted ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Standing = Literal["first", "ordinary", "low"]


@dataclass(frozen=True, slots=True)
class OutletTiers:
    """Names of outlets in small letters, by tier; an outlet that is named nowhere is ordinary.

    A muted outlet never rings and is no outlet of a story. Of one that is in two tiers the higher counts.
    """

    first: frozenset[str] = frozenset()
    low: frozenset[str] = frozenset()
    muted: frozenset[str] = frozenset()

    def is_muted(self, outlet: str) -> bool:
        """Tell whether an outlet is muted, whatever its spelling in capitals."""
        return fold_outlet(outlet) in self.muted

    def heard(self, outlets: Iterable[str]) -> frozenset[str]:
        """Return the distinct outlets that are not muted, in small letters."""
        return frozenset(map(fold_outlet, outlets)) - self.muted

    def standing(self, outlets: Iterable[str]) -> Standing:
        """Return the best tier among outlets; of none, low."""
        heard = self.heard(outlets)
        if heard & self.first:
            return "first"
        return "ordinary" if heard - self.low else "low"


def fold_outlet(outlet: str) -> str:
    """Return an outlet's name as it is compared."""
    return " ".join(outlet.lower().split())
