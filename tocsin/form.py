"""How a model's JSON schema becomes a form that explains itself; knows nothing of who draws the form."""

from __future__ import annotations

from typing import Any

_NULL = {"type": "null"}


def explain_fields(schema: dict[str, Any]) -> None:
    """Make a model's schema one that reads well as a form; what is accepted stays the same.

    Prefect's form shows neither examples nor bounds, so they are said in the description. It draws a choice
    between a type and null as two tabs, and says of a wrong value only that it fits neither: such a field
    becomes one plain input that may stay empty (its server takes null wherever there is no default).
    """
    for field in schema.get("properties", {}).values():
        _join_null(field)
        if examples := field.get("examples"):
            field["description"] = f"{field['description']} Example: {_show(examples[0])}"


def _join_null(field: dict[str, Any]) -> None:
    choices = field.get("anyOf", [])
    if _NULL in choices and len(choices) == 2:
        del field["anyOf"]
        field.pop("default", None)
        field.update(next(each for each in choices if each != _NULL))


def _show(example: object) -> str:
    """Write an example as a person would type it; the items of a list one after the other."""
    items = example if isinstance(example, list | tuple) else [example]
    return ", ".join(f"`{item}`" for item in items)
