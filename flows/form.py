"""The fields of the `monitor` flow as a person meets them in Prefect's form, and what goes before settings.

Prefect takes a field's description from the flow's docstring, and its title from the extra schema alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from tocsin.settings import check_zone
from tocsin.types import Topic

AS_SET = "as set"
OFF = "off"


def _titled(title: str, **told: Any) -> Any:
    return Field(json_schema_extra={"title": title}, **told)


def _none_is_empty(value: object) -> object:
    return () if value is None else value


def _refuse_twins(topics: tuple[Topic, ...]) -> tuple[Topic, ...]:
    names = [topic.name for topic in topics]
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twins)}: defined twice; give each topic a name of its own")
    return topics


def _check_zone_if_any(zone: str) -> str:
    return check_zone(zone) if zone else zone


_EXAMPLE = {
    "name": "undersea_cables",
    "description": "Damage to, building of and rules for undersea telecommunication cables.",
}
# The pattern is all that a refusal repeats, so it says what is wanted (see tocsin.topic).
_HOURS = r"^(hours as in 22:00-07:00, or off){0}(off|([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d)?$"

Topics = Annotated[
    tuple[Topic, ...],
    _titled("Topics", max_length=200, examples=[[_EXAMPLE]]),
    BeforeValidator(_none_is_empty),
    AfterValidator(_refuse_twins),
]
Feeds = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=2000)], ...],
    _titled("Feeds", max_length=10_000, examples=[["deploy/feeds.opml", "https://example.org/feed.xml"]]),
    BeforeValidator(_none_is_empty),
]
AskedSensitivity = Annotated[
    Literal["as set", "fewer", "balanced", "more"], _titled("Sensitivity", examples=["fewer"])
]
AskedHours = Annotated[str, _titled("Quiet hours", pattern=_HOURS, examples=["22:00-07:00", OFF])]
AskedZone = Annotated[
    str, AfterValidator(_check_zone_if_any), _titled("Time zone", max_length=64, examples=["Europe/Berlin"])
]
AskedAge = Annotated[
    Annotated[int, Field(ge=0, le=3650)] | None, _titled("Days until an article is old", examples=[3])
]
FullText = Annotated[bool, _titled("Full text", examples=[True])]
DryRun = Annotated[bool, _titled("Dry run", examples=[True])]
PollAll = Annotated[bool, _titled("Poll all feeds", examples=[True])]
Baseline = Annotated[bool, _titled("Keep first polls quiet", examples=[False])]
DataFolder = Annotated[Path | None, _titled("Data folder", examples=["/var/lib/tocsin"])]


def overrides_of(
    *, sensitivity: str | None, quiet_hours: str | None, time_zone: str | None
) -> dict[str, object]:
    """Give what was asked of one run as what goes before the settings in `load_settings`.

    None, empty text and `as set` ask for nothing; quiet hours `off` make weekends ring too.
    """
    is_off = quiet_hours == OFF
    return {
        "sensitivity": None if sensitivity == AS_SET else sensitivity,
        "quiet_hours": "" if is_off else quiet_hours or None,
        "quiet_weekends": False if is_off else None,
        "time_zone": time_zone or None,
    }


def given(values: Sequence[Any]) -> tuple[Any, ...] | None:
    """Return what was given; None for an empty list, as one that was left alone is."""
    return tuple(values) or None
