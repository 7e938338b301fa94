"""What flows do only where Prefect started them from a deployment, and what they leave alone elsewhere."""

from types import SimpleNamespace

import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings

from flows import under_prefect
from flows.under_prefect import announce, named, settings_of_run, without_heartbeat, writing
from tocsin.errors import SettingsError, StorageBusy


@pytest.fixture
def from_deployment(monkeypatch):
    """Let the code believe that a deployment's run calls it."""
    run = SimpleNamespace(deployment_id="d", expected_start_time=None, id="r", name="n")
    context = SimpleNamespace(get=lambda: SimpleNamespace(flow_run=run))
    monkeypatch.setattr(under_prefect, "FlowRunContext", context)


def test_a_worker_without_an_absolute_data_folder_is_refused(from_deployment, monkeypatch, tmp_path):
    monkeypatch.setattr(under_prefect, "configure_logging", lambda *_, **__: None)
    monkeypatch.delenv("TOCSIN_DATA", raising=False)
    with pytest.raises(SettingsError, match="TOCSIN_DATA is data"):
        settings_of_run(None)
    assert settings_of_run(tmp_path).data == tmp_path


def test_elsewhere_a_relative_data_folder_is_right(monkeypatch):
    monkeypatch.delenv("TOCSIN_DATA", raising=False)
    assert not settings_of_run(None).data.is_absolute()


def test_a_slot_that_is_waited_for_in_vain_is_a_busy_history(from_deployment, monkeypatch):
    class Held:
        def __enter__(self):
            raise TimeoutError

        def __exit__(self, *_):
            raise AssertionError("it was never entered")

    monkeypatch.setattr(under_prefect, "concurrency", lambda *_, **__: Held())
    with pytest.raises(StorageBusy, match="tocsin-writer"), writing():
        pytest.fail("the run went on")


def test_outside_of_deployments_no_slot_and_no_event_is_asked_for(monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(under_prefect, "concurrency", lambda *_, **__: pytest.fail("a slot was asked for"))
    monkeypatch.setattr(under_prefect, "emit_event", lambda *_, **__: pytest.fail("an event was emitted"))
    with writing():
        announce("tocsin.run.completed", "monitor", {})


def test_a_run_is_named_after_its_flow_and_time():
    assert named("check feeds")().startswith("check feeds ")


def test_a_command_sends_no_heartbeat_unless_somebody_set_how_often():
    def often():
        return get_current_settings().flows.heartbeat_frequency

    assert often() is not None
    with without_heartbeat():
        assert often() is None
    assert often() is not None
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 60}), without_heartbeat():
        assert often() == 60
