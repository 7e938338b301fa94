"""Where the files of a model are that a person named, and what is said if they are nowhere."""

import json
import sys

import pytest

from models import hub
from models.choose import open_encoder
from models.encode import FOLDER
from models.hub import find_model
from models.torch_encoder import require_torch
from tocsin.errors import ModelError, SettingsError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = f"someone/tiny@{COMMIT}"


@pytest.fixture
def nobody_answers(monkeypatch):
    """The hub is an address of this machine where nothing listens."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the library waits between its attempts


@pytest.fixture
def snapshot(tmp_path):
    """A commit as the hub's library keeps it once it was fetched."""
    folder = tmp_path / "models--someone--tiny" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "intfloat/multilingual-e5-small",
        "someone/tiny@main",
        "tiny",
        "no/such/folder",
        f"{NAME}0",
        "../x@" + COMMIT,
    ],
)
def test_a_name_without_its_commit_is_refused_by_the_setting(tmp_path, name):
    with pytest.raises(SettingsError, match=r"TOCSIN_ENCODER: .*owner/name@commit"):
        find_model(name, setting="TOCSIN_ENCODER", cache=tmp_path)


def test_what_was_fetched_once_needs_no_network(snapshot, nobody_answers, monkeypatch):
    asked, ask = [], hub._ask_hub

    def record(*arguments, is_offline):
        asked.append(is_offline)
        return ask(*arguments, is_offline=is_offline)

    monkeypatch.setattr(hub, "_ask_hub", record)
    assert find_model(NAME, setting="TOCSIN_ENCODER", cache=snapshot.parents[2]) == snapshot
    assert asked == [True]


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_machine_without_the_model_and_without_a_network_is_told_so(snapshot, nobody_answers, missing):
    (snapshot / missing).unlink()
    with pytest.raises(
        ModelError, match=rf"^TOCSIN_ENCODER: {NAME} (is not on this machine and cannot|holds no)"
    ):
        find_model(NAME, setting="TOCSIN_ENCODER", cache=snapshot.parents[2])


def test_nothing_fetched_and_no_network_names_setting_model_and_what_to_do(tmp_path, nobody_answers):
    with pytest.raises(ModelError) as caught:
        find_model(NAME, setting="TOCSIN_ENCODER", cache=tmp_path)
    message = str(caught.value)
    assert message.startswith(f"TOCSIN_ENCODER: {NAME} is not on this machine and cannot be fetched (")
    assert message.endswith("run once with a connection, or name a folder that holds its files")


def test_pickled_weights_are_no_weights(snapshot):
    (snapshot / "model.safetensors").rename(snapshot / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"holds no model\.safetensors \(weights in other formats"):
        find_model(str(snapshot), setting="TOCSIN_ENCODER")


def test_weights_in_parts_must_all_be_there(snapshot):
    (snapshot / "model.safetensors").rename(snapshot / "a.safetensors")
    index = snapshot / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "a.safetensors"}}))
    assert find_model(str(snapshot), setting="S") == snapshot
    index.write_text(json.dumps({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}))
    with pytest.raises(ModelError, match=r"holds no b\.safetensors"):
        find_model(str(snapshot), setting="S")
    index.write_text("[]")
    with pytest.raises(ModelError, match="holds no readable"):
        find_model(str(snapshot), setting="S")


def test_without_torch_the_setting_and_the_extra_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # what an import then finds is nothing
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"^TOCSIN_ENCODER: tiny needs torch.*tocsin\[torch\]"):
        require_torch("TOCSIN_ENCODER", "tiny")


def test_a_folder_in_our_own_format_needs_no_torch():
    assert open_encoder(str(FOLDER)).revision == open_encoder().revision
