"""Which task runner a setting names, and what is said where it cannot be had."""

import importlib.util
import logging

import pytest

from flows.feeds.options import DEFAULTS
from flows.runner_choice import RunnerChoice, choose_runner
from flows.shard_work import PollJob
from tocsin.errors import SettingsError, WorkerLost
from tocsin.settings import load_settings


@pytest.fixture
def _installed(monkeypatch):
    monkeypatch.setattr("flows.runner_choice.find_spec", lambda _name: object())


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("threads", RunnerChoice("threads")),
        ("dask", RunnerChoice("dask")),
        ("dask:tcp://10.0.0.5:8786", RunnerChoice("dask", "tcp://10.0.0.5:8786")),
        ("ray", RunnerChoice("ray")),
        ("ray:ray://head.example:10001", RunnerChoice("ray", "ray://head.example:10001")),
    ],
)
@pytest.mark.usefixtures("_installed")
def test_the_setting_names_a_runner_and_perhaps_a_cluster(text, choice):
    assert choose_runner(load_settings(runner=text)) == choice


@pytest.mark.parametrize("text", ["", "celery", "dask:", "threads:4", "dask:tcp://user:word@h.example:8786"])
def test_what_names_no_runner_is_refused_with_what_would(text):
    with pytest.raises(SettingsError, match="TOCSIN_RUNNER"):
        load_settings(runner=text)


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_a_runner_that_is_not_installed_names_its_extra(kind, monkeypatch):
    monkeypatch.setattr("flows.runner_choice.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=rf"TOCSIN_RUNNER: {kind} .*pip install \"tocsin\[{kind}\]\""):
        choose_runner(load_settings(runner=kind))


def test_threads_need_nothing(monkeypatch):
    monkeypatch.setattr("flows.runner_choice.find_spec", lambda _name: None)
    assert choose_runner(load_settings()).kind == "threads"


@pytest.mark.parametrize(
    ("address", "is_elsewhere"),
    [
        (None, False),
        ("tcp://127.0.0.1:8786", False),
        ("localhost:8786", False),
        ("tcp://10.0.0.5:8786", True),
        ("auto", True),
    ],
)
def test_workers_of_another_machine_are_told_apart(address, is_elsewhere):
    assert RunnerChoice("dask", address).is_elsewhere is is_elsewhere


def test_threads_have_no_crew():
    from flows.runners import open_crew

    with open_crew(load_settings()) as crew:
        assert crew is None


@pytest.mark.usefixtures("_installed")
def test_workers_elsewhere_need_a_prefect_server_that_they_reach():
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.runners import open_crew

    settings = load_settings(runner="dask:tcp://10.0.0.5:8786")
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(SettingsError, match="PREFECT_API_URL"),
        open_crew(settings),
    ):
        pass


def needs(runner):
    is_absent = importlib.util.find_spec(f"prefect_{runner}") is None
    return pytest.mark.skipif(is_absent, reason=f'needs pip install "tocsin[{runner}]"')


@needs("dask")
def test_a_cluster_that_lost_all_its_workers_is_not_waited_for_for_ever(monkeypatch, socket_enabled):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.runners import PrefectCrew

    monkeypatch.setattr("flows.clusters._LOOK_EVERY", 0.05)
    monkeypatch.setattr("flows.clusters._PATIENCE", 0.2)
    job = PollJob([], options=DEFAULTS, brakes={}, log_level=logging.INFO)
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        PrefectCrew(RunnerChoice("dask"), workers=0, shard_feeds=1, shard_texts=1) as crew,
        pytest.raises(WorkerLost, match="no worker"),
    ):
        crew.poll(job).result()


@pytest.mark.parametrize(
    ("runner", "address"),
    [
        pytest.param(runner, address, marks=needs(runner))
        for runner, address in [
            ("dask", "tcp://127.0.0.1:9"),
            ("dask", "nonsense"),
            ("ray", "127.0.0.1:9"),
            ("ray", "ray://127.0.0.1:9"),
            ("ray", "nonsense:"),
        ]
    ],
)
def test_a_cluster_that_does_not_answer_is_named(runner, address, monkeypatch, socket_enabled):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.runners import open_crew

    monkeypatch.setattr("flows.clusters._CONNECT", 1)
    said = f"TOCSIN_RUNNER: no {runner.title()} cluster answers at {address} "
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        open_crew(load_settings(runner=f"{runner}:{address}")) as crew,
        pytest.raises(SettingsError, match=said),
    ):
        crew.slots()
