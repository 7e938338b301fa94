"""Versions of topics: what was recorded stays, and what is chosen anew counts."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from models.topics import default_topics
from tocsin.types import Topic

CABLES = {"name": "undersea_cables", "description": "Cuts of undersea cables, and who repairs them."}


def test_topics_that_use_no_later_field_keep_the_version_that_was_recorded_before_there_were_any():
    example = Topic(**CABLES, examples=("Ship drags anchor over cable",), threshold=0.6, channel="#cables")
    assert example.version == "a17fb2ba6bcd"
    assert Topic(**CABLES).version == "52cb36a5349c"
    assert {topic.name: topic.version for topic in default_topics()}["export_controls"] == "3581a810bf81"


@pytest.mark.parametrize(
    "changes",
    [
        {"daily_budget": 5},
        {"min_outlets": 2},
        {"mute_until": datetime(2026, 12, 1, tzinfo=UTC)},
        {"must": ("Baltic Sea",)},
        {"never": ("horoscope",)},
        {"channels": ("#asia",)},
        {"outlets": ("Wire",)},
        {"languages": ("de",)},
    ],
)
def test_a_later_field_that_is_used_makes_a_version_and_is_read_back(changes):
    changed = Topic(**CABLES, **changes)
    assert changed.version != Topic(**CABLES).version
    assert Topic.model_validate_json(changed.model_dump_json()) == changed


def test_a_field_that_is_given_its_default_makes_no_version():
    assert Topic(**CABLES, daily_budget=None, min_outlets=1, mute_until=None).version == "52cb36a5349c"


def test_one_moment_in_two_time_zones_is_one_version():
    here = datetime(2026, 12, 1, 8, tzinfo=timezone(timedelta(hours=1)))
    assert (
        Topic(**CABLES, mute_until=here).version == Topic(**CABLES, mute_until=here.astimezone(UTC)).version
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"daily_budget": 0},
        {"min_outlets": 0},
        {"mute_until": "2026-12-01T08:00:00"},
        {"must": ["!?"]},
        {"never": ["x"]},
        {"channels": ["no channel"]},
        {"languages": ["English"]},
        {"outlets": [""]},
    ],
)
def test_what_makes_no_sense_is_refused(changes):
    with pytest.raises(ValidationError):
        Topic(**CABLES, **changes)


def test_every_field_of_the_form_has_its_example_where_one_helps():
    fields = Topic.model_json_schema()["properties"]
    later = ("daily_budget", "min_outlets", "mute_until", "must", "never", "channels", "outlets", "languages")
    assert all(fields[name].get("examples") for name in later)
    assert all("maxItems" in fields[name] for name in later[3:])


def test_channels_are_named_once_whatever_their_spelling():
    topic = Topic(**CABLES, channel="#cables", channels=("cables", "#asia"))
    assert topic.alert_channels == ("cables", "asia")
    assert Topic(**CABLES).alert_channels == ()
