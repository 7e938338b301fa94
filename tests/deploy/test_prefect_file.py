"""deploy/prefect.yaml names flows that exist, keeps every field of their forms, and holds no secret."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

FILE = Path(__file__).parents[2] / "deploy" / "prefect.yaml"
DEPLOYMENTS = yaml.safe_load(FILE.read_text(encoding="utf-8"))["deployments"]


def flow_of(deployment):
    module, name = deployment["entrypoint"].rsplit(".", 1)
    return getattr(import_module(module), name)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each["name"])
def test_each_flow_exists_and_takes_the_parameters(deployment):
    flow = flow_of(deployment)
    assert set(deployment.get("parameters", {})) <= set(flow.parameters.properties)
    assert flow.timeout_seconds
    assert flow.flow_run_name
    assert deployment["concurrency_limit"]["limit"] == 1


@pytest.mark.parametrize("name", ["monitor", "prune"])
def test_every_field_that_people_may_edit_is_kept_when_it_is_deployed_again(name):
    [deployment] = [each for each in DEPLOYMENTS if each["name"] == name]
    fields = flow_of(deployment).parameters.properties
    assert deployment["parameters"] == {field: f"{{{{ kept.{field} }}}}" for field in fields}
    [step] = deployment["build"]
    [given] = step.values()
    assert given == {"id": "kept", "deployment": f"{name}/{name}", "entrypoint": deployment["entrypoint"]}


def test_late_runs_of_a_schedule_are_cancelled_and_what_people_ask_for_waits():
    strategies = {bool(each.get("schedules")): set() for each in DEPLOYMENTS}
    for each in DEPLOYMENTS:
        strategies[bool(each.get("schedules"))].add(each["concurrency_limit"]["collision_strategy"])
    assert strategies == {True: {"CANCEL_NEW"}, False: {"ENQUEUE"}}


def test_nothing_is_fetched_and_no_secret_is_written():
    text = FILE.read_text(encoding="utf-8")
    assert re.search(r"^pull: \[\]$", text, re.MULTILINE)
    assert not re.search(r"xox[a-z]-|secret|https?://", text, re.IGNORECASE)
