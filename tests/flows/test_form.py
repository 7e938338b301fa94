"""The form of the `monitor` flow: what it says, what it refuses, and what it puts before the settings."""

from datetime import time

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import ValidationError, validate

from flows.form import overrides_of
from flows.monitor import monitor
from tocsin.settings import load_settings

CABLES = {"name": "undersea_cables", "description": "Cuts of undersea cables, and who repairs them."}
FORM = parameter_schema(monitor).model_dump()


@pytest.mark.parametrize("name", FORM["properties"])
def test_a_field_has_a_title_a_description_an_example_and_a_default_that_shows(name):
    field = FORM["properties"][name]
    assert field["title"] != name
    assert field["description"]
    assert field["examples"]
    assert "default" in field
    for example in field["examples"]:
        validate({name: example}, FORM, raise_on_error=True)


# What Prefect's server says where a run is asked for.
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"topics": [CABLES | {"threshold": 1.7}]},
            r"'topics\[0\].threshold'.*1.7 is greater than",
        ),
        ({"topics": [CABLES | {"name": "My Topic"}]}, "name'.*small letters, digits, underscores"),
        ({"topics": [CABLES | {"channel": "my desk"}]}, "channel'.*name or id of a channel, or webhook:NAME"),
        ({"topics": [CABLES | {"languages": ["German"]}]}, r"languages\[0\]'.*two small letters"),
        ({"topics": [CABLES | {"treshold": 0.7}]}, "'treshold' was unexpected"),
        ({"topics": [CABLES | {"sensitivity": "most"}]}, r"not one of \['fewer', 'balanced', 'more'\]"),
        ({"topics": [{"name": "own"}]}, "'description' is a required property"),
        ({"topics": [CABLES] * 201}, "is too long"),
        ({"sensitivity": "most"}, "'sensitivity'.*not one of"),
        ({"quiet_hours": "22"}, "'quiet_hours'.*hours as in 22:00-07:00, or off"),
        ({"max_age_days": 4000}, "'max_age_days'"),
    ],
)
def test_a_wrong_value_is_refused_where_a_run_is_asked_for_with_what_is_wanted(given, said):
    with pytest.raises(ValidationError, match=said):
        validate(given, FORM, raise_on_error=True)


@pytest.mark.parametrize("empty", [{}, {"threshold": None, "channel": None, "mute_until": None}])
def test_a_topic_may_leave_fields_empty(empty):
    validate({"topics": [CABLES | empty]}, FORM, raise_on_error=True)


# What a run says that was asked for past the server's check, or of what a form cannot know.
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"topics": [CABLES, CABLES]}, "undersea_cables: defined twice; give each topic a name of its own"),
        ({"time_zone": "Berlin"}, "'Berlin' is no time zone; write it as in Europe/Berlin"),
        ({"topics": [CABLES | {"threshold": 1.7}]}, "less than or equal to 1"),
    ],
)
def test_what_only_a_run_can_refuse_it_refuses_with_what_to_do(given, said):
    with pytest.raises(ParameterTypeError, match=said):
        monitor.validate_parameters(given)


def test_nothing_given_is_no_topics_and_no_feeds():
    taken = monitor.validate_parameters({"topics": None, "feeds": None})
    assert (taken["topics"], taken["feeds"]) == ((), ())


def test_what_is_asked_of_a_run_goes_before_the_settings(monkeypatch):
    monkeypatch.setenv("TOCSIN_SENSITIVITY", "more")
    monkeypatch.setenv("TOCSIN_QUIET_HOURS", "01:00-02:00")
    monkeypatch.setenv("TOCSIN_QUIET_WEEKENDS", "true")
    monkeypatch.setenv("TOCSIN_TIME_ZONE", "Asia/Tokyo")

    def seen(sensitivity, quiet_hours, time_zone):
        asked = overrides_of(sensitivity=sensitivity, quiet_hours=quiet_hours, time_zone=time_zone)
        settings = load_settings(**asked)
        return settings.sensitivity, settings.quiet_hours, settings.quiet_weekends, settings.time_zone

    as_set = ("more", (time(1), time(2)), True, "Asia/Tokyo")
    assert seen("as set", "", "") == seen(None, None, None) == as_set
    assert seen("fewer", "22:00-07:00", "Europe/Berlin") == (
        *("fewer", (time(22), time(7)), True),
        "Europe/Berlin",
    )
    assert seen("as set", "off", "")[1:3] == (None, False)
