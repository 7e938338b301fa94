"""Which providers a person may name, and what is said where they are not there."""

import pytest

from models.providers import CPU, accept_started, read_providers, require_offered, short_name, short_names
from tocsin.errors import SettingsError

CUDA, OPENVINO = "CUDAExecutionProvider", "OpenVINOExecutionProvider"


@pytest.mark.parametrize(
    ("named", "providers"),
    [
        ([], [CPU]),
        (["cpu"], [CPU]),
        (["cuda"], [CUDA, CPU]),
        (["CUDA", "cpu"], [CUDA, CPU]),
        (["cpu", "openvino"], [OPENVINO, CPU]),
        (["tensorrt", "cuda", "cuda"], ["TensorrtExecutionProvider", CUDA, CPU]),
        (["CUDAExecutionProvider"], [CUDA, CPU]),
        (["cudaexecutionprovider", "cuda"], [CUDA, CPU]),
        (["QNNExecutionProvider"], ["QNNExecutionProvider", CPU]),
    ],
    ids=" ".join,
)
def test_the_processor_is_always_there_and_always_last(named, providers):
    assert read_providers(named) == tuple(providers)


@pytest.mark.parametrize("name", ["gpu", "cuda:0", "executionprovider", ""])
def test_a_name_that_is_none_is_refused_with_those_there_are(name):
    with pytest.raises(SettingsError, match=r"^TOCSIN_ENCODER_PROVIDERS: .*is no provider: write cpu, cuda,"):
        read_providers([name])


def test_names_are_said_as_a_person_writes_them():
    assert short_names([CUDA, "QNNExecutionProvider", CPU]) == "cuda,QNNExecutionProvider,cpu"
    assert [read_providers([short_name(name)])[0] for name in (CUDA, OPENVINO)] == [CUDA, OPENVINO]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("cuda", "pip install onnxruntime-gpu,"),
        ("tensorrt", "pip install onnxruntime-gpu,"),
        ("rocm", "pip install onnxruntime-rocm,"),
        ("migraphx", "pip install onnxruntime-migraphx,"),
        ("openvino", "pip install onnxruntime-openvino,"),
        ("dml", "pip install onnxruntime-directml,"),
        ("coreml", "on a Mac, and nowhere else,"),
        ("QNNExecutionProvider", "install an ONNX Runtime that has it,"),
    ],
)
def test_a_provider_that_is_not_installed_names_setting_package_and_what_is_there(name, advice):
    with pytest.raises(SettingsError) as caught:
        require_offered(read_providers([name]), [OPENVINO * (name != "openvino") or "X", CPU])
    message = str(caught.value)
    assert message.startswith(
        f"TOCSIN_ENCODER_PROVIDERS: the installed ONNX Runtime has no {name} (it offers"
    )
    assert advice in message


def test_providers_that_are_installed_pass():
    require_offered([CUDA, CPU], [CPU, CUDA])


@pytest.mark.parametrize(
    ("started", "missing"),
    [([CUDA, OPENVINO, CPU], []), ([OPENVINO, CPU], [CUDA]), ([CPU], [CUDA, OPENVINO])],
)
def test_what_did_not_start_is_an_error_unless_the_processor_was_named_too(started, missing):
    wanted = [CUDA, OPENVINO, CPU]
    assert accept_started(wanted, started, accepts_cpu=True) == missing
    if not missing:
        assert accept_started(wanted, started, accepts_cpu=False) == []
        return
    with pytest.raises(SettingsError, match=r"cuda.* did not start.* name cpu too: cuda,openvino,cpu"):
        accept_started(wanted, started, accepts_cpu=False)
