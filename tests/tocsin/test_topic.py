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


def test_what_a_run_leans_to_holds_for_topics_that_say_nothing_themselves_and_makes_no_version():
    silent, said, exact = (
        Topic(**CABLES),
        Topic(**CABLES, sensitivity="more"),
        Topic(**CABLES, threshold=0.6),
    )
    leaning = silent.leaning("fewer")
    assert (silent.effective_threshold, leaning.effective_threshold) == (0.5, 0.8)
    assert (leaning.version, leaning.model_dump()) == (silent.version, silent.model_dump())
    assert said.leaning("fewer").effective_threshold == 0.3
    assert exact.leaning("fewer").effective_threshold == 0.6


def test_a_form_shows_an_optional_field_as_one_input_and_says_examples_and_bounds():
    threshold = Topic.model_json_schema()["properties"]["threshold"]
    assert (threshold["type"], threshold["minimum"], threshold["maximum"]) == ("number", 0, 1)
    assert not {"anyOf", "default"} & set(threshold)
    assert "from 0 to 1" in threshold["description"]
    assert threshold["description"].endswith("Example: `0.6`")


def test_every_field_of_the_form_has_an_example_that_the_topic_takes():
    fields = Topic.model_json_schema()["properties"]
    assert not [name for name, field in fields.items() if not field.get("examples")]
    for name, field in fields.items():
        Topic.model_validate(CABLES | {name: field["examples"][0]})
