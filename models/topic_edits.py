"""Topics on the command line: `threshold=0.6`, `examples+=A headline`, checked as in a file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from models.topics import check_topic, suggest_field
from tocsin.errors import TopicError
from tocsin.types import Topic

_EDIT = re.compile(r"^(\w+)\s*(\+=|-=|=)(.*)$", re.DOTALL)
LISTS = frozenset(name for name, field in Topic.model_fields.items() if "tuple" in str(field.annotation))


def edit_topic(base: Topic | None, name: str, edits: Iterable[str]) -> Topic:
    """Apply edits in order to a topic, or to a new one of that name (`base` None).

    `field=value` sets, and with nothing behind it goes back to the default. For lists `+=` adds an item,
    `-=` takes one away, and `=` gives one item or a JSON list. Raises: TopicError that says what to do.
    """
    fields: dict[str, Any] = {"name": name} if base is None else base.model_dump(mode="json")
    for edit in edits:
        _apply(fields, edit)
    return check_topic(fields, label=f"topic {name!r}")


def _apply(fields: dict[str, Any], edit: str) -> None:
    parts = _EDIT.match(edit.strip())
    if parts is None:
        raise TopicError(f"{edit!r} is no change: write FIELD=VALUE, as in threshold=0.6")
    field, sign, value = parts[1], parts[2], parts[3].strip()
    if field not in Topic.model_fields:
        raise TopicError(f"{edit!r}: field {field!r} is unknown: {suggest_field(field)}")
    if field == "name":
        raise TopicError(f"{edit!r}: a topic keeps its name; add another topic and remove this one")
    if field in LISTS:
        fields[field] = _edit_list(list(fields.get(field) or ()), sign, value, edit)
    elif sign != "=":
        raise TopicError(f"{edit!r}: {field} is no list: write {field}=VALUE")
    elif value:
        fields[field] = value
    else:
        fields.pop(field, None)


def _edit_list(items: list[Any], sign: str, value: str, edit: str) -> list[Any]:
    given = _read_list(value, edit)
    if sign == "=":
        return given
    if sign == "+=":
        return items + [item for item in given if item not in items]
    if missing := [item for item in given if item not in items]:
        raise TopicError(f"{edit!r}: {missing[0]!r} is not in it, so it cannot be taken away")
    return [item for item in items if item not in given]


def _read_list(value: str, edit: str) -> list[Any]:
    if not value.startswith("["):
        return [value] if value else []
    try:
        found = json.loads(value)
    except ValueError as error:
        raise TopicError(f'{edit!r} is not valid JSON: write a list as ["one", "two"]') from error
    return list(found)
