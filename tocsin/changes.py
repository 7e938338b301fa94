"""What differs between two versions of a topic, field by field, as values and in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from tocsin.topic import Topic

_LONGEST = 60  # characters of a value that a line shows


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a topic before and after, as plain JSON values; lists are kept in order."""

    field: str
    before: Any
    after: Any

    @property
    def added(self) -> list[Any]:
        """What a list gained; empty for a field that is no list."""
        return _beyond(self.after, self.before)

    @property
    def removed(self) -> list[Any]:
        """What a list lost; empty for a field that is no list."""
        return _beyond(self.before, self.after)


@dataclass(frozen=True, slots=True)
class TopicEvent:
    """A topic came into use, changed or left, and who did it when. `version` is None for one that left."""

    edition: int
    at: datetime
    by: str | None
    run_id: str
    topic: str
    what: Literal["added", "changed", "removed"]
    version: str | None
    changes: tuple[FieldChange, ...] = ()


def compare_topics(before: Topic, after: Topic) -> tuple[FieldChange, ...]:
    """List the fields that differ, in the order of the form."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return tuple(FieldChange(name, old[name], new[name]) for name in new if old[name] != new[name])


def say_changes(changes: Sequence[FieldChange]) -> str:
    """Say in one line what changed."""
    return "; ".join(map(_say, changes)) or "nothing"


def _say(change: FieldChange) -> str:
    if not isinstance(change.after, list):
        return f"{change.field} {_show(change.before)} → {_show(change.after)}"
    counts = [f"{sign}{len(items)}" for sign, items in (("+", change.added), ("-", change.removed)) if items]
    return f"{change.field} {' '.join(counts) or 'in another order'}"


def _show(value: object) -> str:
    text = "empty" if value is None else str(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _beyond(items: Any, others: Any) -> list[Any]:
    if not isinstance(items, list) or not isinstance(others, list):
        return []
    return [item for item in items if item not in others]
