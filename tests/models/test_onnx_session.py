"""A provider that is named runs the encoder, or is said to be missing; vectors stay the same."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from models import onnx_session
from models.choose import open_encoder
from models.encode import FOLDER, load_encoder
from models.onnx_session import offered_providers, open_session
from models.providers import CPU, short_name
from models.reference import TEXTS, TOLERANCE, check_vectors
from tocsin.encoder_setup import EncoderSetup
from tocsin.errors import ModelError, SettingsError

MODEL = FOLDER / "model.onnx"
CUDA = "CUDAExecutionProvider"
REFERENCE = json.loads((Path(__file__).parent / "reference_vectors.json").read_text())
OTHERS = ("openvino", "cuda", "coreml", "dml", "rocm", "migraphx", "AzureExecutionProvider")


def setup_of(*providers):
    return EncoderSetup(providers=providers)


@pytest.fixture
def no_device(monkeypatch):
    """An ONNX Runtime with CUDA on a machine without a GPU; call it with how that shows."""
    opened = onnx_session._open

    def install(*, fails):
        def open_anyhow(path, optimization, providers):
            if CUDA in providers and fails:
                raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected\nmore of it")
            return opened(path, optimization, [CPU])

        monkeypatch.setattr(onnx_session, "offered_providers", lambda: [CUDA, CPU])
        monkeypatch.setattr(onnx_session, "_open", open_anyhow)

    return install


@pytest.mark.parametrize("name", OTHERS)
def test_every_provider_that_is_here_gives_the_vectors_of_the_processor(encoder, name):
    try:
        other = load_encoder(setup=setup_of(name))
    except SettingsError as error:
        pytest.skip(str(error))
    assert other.revision == encoder.revision
    assert short_name(other.providers[0]) == name
    assert ((other.embed(TEXTS) * encoder.embed(TEXTS)).sum(axis=1) >= TOLERANCE).all()
    exact = np.array([pair["vector"] for pair in REFERENCE])
    assert ((other.embed([pair["text"] for pair in REFERENCE]) * exact).sum(axis=1) >= 0.98).all()


def test_without_the_setting_or_with_cpu_the_processor_alone_runs_it(encoder):
    alone = load_encoder(setup=setup_of("cpu"))
    assert alone.providers == encoder.providers == (CPU,)
    np.testing.assert_array_equal(alone.embed(TEXTS), encoder.embed(TEXTS))


@pytest.mark.parametrize("name", ["cuda", "dml"])
def test_a_provider_that_is_not_installed_ends_the_loading(name):
    if name in map(short_name, offered_providers()):
        pytest.skip("it is installed here")
    with pytest.raises(SettingsError, match=rf"^TOCSIN_ENCODER_PROVIDERS: .* has no {name} .*pip install"):
        load_encoder(setup=setup_of(name, "cpu"))


@pytest.mark.parametrize("fails", [True, False], ids=["with an error", "silently"])
def test_a_provider_that_does_not_start_is_an_error(no_device, fails):
    no_device(fails=fails)
    with pytest.raises(SettingsError) as caught:
        load_encoder(setup=setup_of("cuda"))
    assert str(caught.value).startswith("TOCSIN_ENCODER_PROVIDERS: cuda did not start")
    assert "name cpu too" in str(caught.value)
    assert ("CUDA failure 100" in str(caught.value)) is fails
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fails", [True, False], ids=["with an error", "silently"])
def test_where_the_processor_is_named_too_it_goes_on_with_a_warning(no_device, fails, caplog, encoder):
    no_device(fails=fails)
    caplog.set_level(logging.INFO, logger="models")
    other = load_encoder(setup=setup_of("cuda", "cpu"))
    lines = [record for record in caplog.records if "provider_missing" in record.getMessage()]
    assert [(line.levelname, line.getMessage()) for line in lines] == [
        ("WARNING", "encoder.provider_missing providers=cuda")
    ]
    np.testing.assert_array_equal(other.embed(TEXTS), encoder.embed(TEXTS))


def test_a_graph_that_cannot_be_run_is_not_called_a_missing_device(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"model\.onnx cannot be run.*make encoder"):
        open_session(path, "basic", ["cpu"])


def test_what_runs_the_encoder_is_in_the_log(caplog):
    caplog.set_level(logging.INFO, logger="models")
    load_encoder(setup=EncoderSetup(("cpu",), threads=3))
    (line,) = [each.getMessage() for each in caplog.records if "encoder.loaded" in each.getMessage()]
    assert line.endswith("providers=cpu threads=3 batch=1")


class Turned:
    """An encoder whose vectors are those of another, turned by so much, or none at all."""

    def __init__(self, encoder, *, cosine=1.0, error=None):
        self._encoder, self._cosine, self._error = encoder, cosine, error

    def embed(self, texts):
        if self._error is not None:
            raise self._error
        vectors = self._encoder.embed(texts)
        across = np.roll(vectors, 1, axis=1)
        across -= (across * vectors).sum(axis=1, keepdims=True) * vectors
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        return self._cosine * vectors + np.sqrt(1 - self._cosine**2) * across


def test_vectors_a_little_off_are_the_same(encoder):
    assert check_vectors(Turned(encoder, cosine=0.992), encoder, [CUDA, CPU]) == pytest.approx(
        0.992, abs=1e-4
    )


@pytest.mark.parametrize("cosine", [0.988, 0.5, float("nan")])
def test_a_provider_whose_vectors_are_others_is_refused(encoder, cosine):
    with pytest.raises(ModelError, match=r"^TOCSIN_ENCODER_PROVIDERS: vectors by cuda,cpu are not those of"):
        check_vectors(Turned(encoder, cosine=cosine), encoder, [CUDA, CPU])


def test_a_provider_that_cannot_run_the_graph_is_named(encoder):
    broken = Turned(encoder, error=RuntimeError("no kernel"))
    with pytest.raises(ModelError, match=r"^TOCSIN_ENCODER_PROVIDERS: cuda,cpu cannot run .*no kernel"):
        check_vectors(broken, encoder, [CUDA, CPU])


def test_vectors_are_compared_when_another_provider_is_loaded(monkeypatch):
    others = [name for name in offered_providers() if name != CPU]
    if not others:
        pytest.skip("the installed ONNX Runtime offers the processor only")
    monkeypatch.setattr("models.reference.TOLERANCE", 1.01)
    with pytest.raises(ModelError, match="are not those of the processor"):
        load_encoder(setup=setup_of(others[0]))


def test_a_model_that_torch_runs_has_no_such_provider(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(SettingsError, match=r"^TOCSIN_ENCODER_PROVIDERS: .* is run by torch"):
        open_encoder(str(tmp_path), setup=setup_of("cuda"))
