"""Reads and writes topic definitions as YAML or JSON, and says plainly what is wrong with them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tocsin.errors import TopicError
from tocsin.types import Topic

DEFAULT = Path(__file__).parent.parent / "deploy" / "topics.yaml"
SHOWN = 60  # characters of a wrong value that a message repeats


def default_topics() -> tuple[Topic, ...]:
    """Return the ten topics that everyone starts with."""
    return load_topics(DEFAULT)


def load_topics(path: Path) -> tuple[Topic, ...]:
    """Read topics from a YAML or JSON file: a list, or a mapping with the list under `topics`.

    Raises: TopicError that says file, topic, field and what to do.
    """
    items = _items(_parse(path), path)
    topics = tuple(_topic(item, i, path) for i, item in enumerate(items, start=1))
    seen: dict[str, int] = {}
    for i, topic in enumerate(topics, start=1):
        if topic.name in seen:
            first = seen[topic.name]
            raise TopicError(
                f"{path}: topics {first} and {i} are both named {topic.name!r}: rename one of them"
            )
        seen[topic.name] = i
    return topics


def _parse(path: Path) -> Any:
    import yaml  # noqa: PLC0415  a history knows its topics; the file is read when there is none

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise TopicError(
            f"{path}: cannot be read ({reason}): give the path of a YAML or JSON file"
        ) from error
    except UnicodeDecodeError as error:
        raise TopicError(f"{path}: is not UTF-8 text: save it as UTF-8") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise TopicError(f"{path}: is not valid YAML or JSON: {_place(error)}") from error


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be parsed"
    return f"{problem}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(problem)


def _items(data: Any, path: Path) -> list[Any]:
    if isinstance(data, dict):
        if "topics" not in data:
            raise TopicError(f"{path}: has no `topics`: put the list of topics under that key")
        unknown = [str(key) for key in data if key != "topics"]
        if unknown:
            raise TopicError(f"{path}: unknown key {unknown[0]!r} beside `topics`: remove it")
        data = data["topics"]
    if not data:
        raise TopicError(f"{path}: defines no topics: add at least one with a name and a description")
    if not isinstance(data, list):
        raise TopicError(f"{path}: is not a list of topics: write each as `- name: …` with a description")
    return data


def _topic(item: Any, number: int, path: Path) -> Topic:
    if not isinstance(item, dict):
        raise TopicError(f"{path}: topic {number} is not a mapping: write `- name: …` and its fields below")
    name = item.get("name")
    label = f"topic {name!r}" if isinstance(name, str) else f"topic {number}"
    return check_topic(item, label=f"{path}: {label}")


def check_topic(fields: Mapping[str, Any], *, label: str) -> Topic:
    """Make a topic of its fields. Raises: TopicError that begins with `label` and says what to do."""
    try:
        return Topic.model_validate(fields)
    except ValidationError as error:
        problems = "; ".join(_problem(dict(detail)) for detail in error.errors(include_url=False))
        raise TopicError(f"{label}: {problems}") from error


def write_topics(topics: Sequence[Topic], *, as_json: bool = False) -> str:
    """Write topics as a file that `load_topics` reads back equal; fields with their default are left out."""
    items = [topic.model_dump(mode="json", exclude_defaults=True) for topic in topics]
    if as_json:
        return json.dumps({"topics": items}, ensure_ascii=False, indent=2) + "\n"
    import yaml  # noqa: PLC0415

    return str(yaml.safe_dump({"topics": items}, allow_unicode=True, sort_keys=False, width=110))


def _problem(detail: dict[str, Any]) -> str:
    place = detail["loc"]
    if not place:  # a rule between fields
        return _lower(str(detail["msg"]).removeprefix("Value error, "))
    field = str(place[0])
    where = f"field {field!r}" + (
        f", item {place[1] + 1}" if len(place) > 1 and isinstance(place[1], int) else ""
    )
    if detail["type"] == "extra_forbidden":
        return f"{where} is unknown: {suggest_field(field)}"
    if detail["type"] == "missing":
        return f"{where} is missing: add it"
    value = repr(detail["input"])
    shown = value if len(value) <= SHOWN else value[:SHOWN] + "…"
    return f"{where} is {shown}: {_advice(field, detail)}"


_CHANNEL = "name a channel as in #policy, by its id, or as webhook:NAME"
_ADVICE = {
    "name": "use small letters, digits and underscores, beginning with a letter, at most 40",
    "channel": _CHANNEL,
    "channels": f"{_CHANNEL}; at most 10",
    "languages": "give languages as two small letters (ISO 639-1), as in en; at most 20",
    "threshold": "give a number from 0 to 1, or leave it out to take the sensitivity's",
    "sensitivity": "choose fewer, balanced or more",
    "daily_budget": "give a whole number of alerts from 1 to 1000, or leave it out for no budget",
    "min_outlets": "give a whole number of outlets from 1 to 50",
    "mute_until": "give a time with its zone, as in 2026-12-01T08:00:00+01:00",
    "must": "give up to 50 phrases of 2 to 100 characters with a letter or digit",
    "never": "give up to 50 phrases of 2 to 100 characters with a letter or digit",
    "outlets": "give up to 200 names of outlets as they stand in alerts",
}


def _advice(field: str, detail: dict[str, Any]) -> str:
    said = _lower(str(detail["msg"]).removeprefix("Value error, "))
    if field not in _ADVICE:
        return said
    return _ADVICE[field] if detail["type"].endswith("pattern_mismatch") else f"{said}: {_ADVICE[field]}"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def suggest_field(field: str) -> str:
    """Say which field may have been meant by an unknown one."""
    known = list(Topic.model_fields)
    close = difflib.get_close_matches(field, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the fields are {', '.join(known)}"
