"""Which execution providers of ONNX Runtime a person named, and whether they are there. Opens nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tocsin.errors import SettingsError

SETTING = "TOCSIN_ENCODER_PROVIDERS"
CPU = "CPUExecutionProvider"
_SUFFIX = "ExecutionProvider"
_NAMES = {
    "cpu": CPU,
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "dml": "DmlExecutionProvider",
}
_PACKAGES = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu",
    "rocm": "onnxruntime-rocm",
    "migraphx": "onnxruntime-migraphx",
    "openvino": "onnxruntime-openvino",
    "dml": "onnxruntime-directml",
}
# Of these one session must not run from two threads at the same time (onnxruntime.ai, "DirectML").
ONE_THREAD = frozenset({"DmlExecutionProvider"})


def read_providers(named: Sequence[str]) -> tuple[str, ...]:
    """Give ONNX Runtime's names of the `named` providers, each once, the processor always and last.

    Raises: SettingsError for a name that is neither short nor ONNX Runtime's.
    """
    found = dict.fromkeys(map(_read_name, named))
    found.pop(CPU, None)
    return (*found, CPU)


def _read_name(name: str) -> str:
    full = {each.lower(): each for each in _NAMES.values()}
    known = _NAMES.get(name.lower()) or full.get(name.lower())
    if known is None and not name.endswith(_SUFFIX):
        raise SettingsError(
            f"{SETTING}: {name} is no provider: write {', '.join(_NAMES)} or a name of ONNX Runtime's, "
            f"such as {_NAMES['cuda']}"
        )
    return known or name


def short_name(provider: str) -> str:
    """Give the short name of a provider; one that has none keeps its own."""
    return next((short for short, full in _NAMES.items() if full == provider), provider)


def short_names(providers: Collection[str]) -> str:
    """Join the short names of providers by commas."""
    return ",".join(map(short_name, providers))


def require_offered(wanted: Sequence[str], offered: Collection[str]) -> None:
    """Raises: SettingsError that says what the installed ONNX Runtime offers, and what brings the rest."""
    for provider in wanted:
        if provider not in offered:
            raise SettingsError(
                f"{SETTING}: the installed ONNX Runtime has no {short_name(provider)} (it offers "
                f"{short_names(offered)}): {_advise(short_name(provider))}, or unset it"
            )


def _advise(short: str) -> str:
    if short == "coreml":
        return "it comes with onnxruntime on a Mac, and nowhere else"
    package = _PACKAGES.get(short)
    if package is None:
        return "install an ONNX Runtime that has it"
    return f"pip uninstall onnxruntime, then pip install {package}"


def accept_started(wanted: Sequence[str], started: Collection[str], *, accepts_cpu: bool) -> list[str]:
    """Give the wanted providers that did not start, though ONNX Runtime went on without them.

    Raises: SettingsError if there are any, unless a person named the processor too (`accepts_cpu`).
    """
    missing = [provider for provider in wanted if provider not in started]
    if missing and not accepts_cpu:
        raise SettingsError(
            f"{SETTING}: {short_names(missing)} did not start, as where its device or driver is missing "
            f"(ONNX Runtime would go on with {short_names(started)}); to allow that, name cpu too: "
            f"{short_names([each for each in wanted if each != CPU])},cpu"
        )
    return missing
