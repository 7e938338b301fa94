"""Opens a graph in ONNX Runtime with the providers that a person named, and notices those that stay away."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.manifest import RESTORE, Optimization
from models.providers import (
    CPU,
    SETTING,
    accept_started,
    read_providers,
    require_offered,
    short_name,
    short_names,
)
from tocsin.errors import ModelError, SettingsError

log = logging.getLogger(__name__)


def open_session(path: Path, optimization: Optimization, named: Sequence[str] = ()) -> Any:
    """Open the graph at `path` with the `named` providers, the processor always the last.

    Raises: SettingsError for one that is unknown, not installed or does not start, unless the processor was
    named too, which then does without it; ModelError if the graph cannot be run.
    """
    wanted = read_providers(named)
    accepts_cpu = any(read_providers([name]) == (CPU,) for name in named)
    require_offered(wanted, offered_providers())
    session = _open_first(path, optimization, wanted, accepts_cpu=accepts_cpu)
    missing = accept_started(wanted, session.get_providers(), accepts_cpu=accepts_cpu)
    if missing:
        log.warning("encoder.provider_missing providers=%s", short_names(missing))
    return session


def offered_providers() -> list[str]:
    """Name what the installed ONNX Runtime was built with; whether a device is there it does not say."""
    import onnxruntime  # noqa: PLC0415  most runs find nothing new to score

    return [*onnxruntime.get_available_providers()]


def _open_first(path: Path, optimization: Optimization, wanted: Sequence[str], *, accepts_cpu: bool) -> Any:
    """Open with all of `wanted`, else without the first of them."""
    for start, provider in enumerate(wanted):
        try:
            return _open(path, optimization, wanted[start:])
        except Exception as error:  # ONNX Runtime's errors share no base class but Exception
            if provider == CPU:
                raise ModelError(f"{path} cannot be run ({error}): {RESTORE}", path=path) from error
            if not accepts_cpu:
                raise SettingsError(
                    f"{SETTING}: {short_name(provider)} did not start ({_first_line(error)}); to go on with "
                    "the processor then, name cpu too"
                ) from error
    raise AssertionError("the processor is always the last")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _open(path: Path, optimization: Optimization, providers: Sequence[str]) -> Any:
    import onnxruntime  # noqa: PLC0415  most runs find nothing new to score

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_mem_pattern = "DmlExecutionProvider" not in providers  # DirectML refuses it
    # The shipped graph is fused by hand; further fusion would bring back a slower layer norm.
    options.graph_optimization_level = (
        levels.ORT_ENABLE_BASIC if optimization == "basic" else levels.ORT_ENABLE_ALL
    )
    # Without `enable_fallback` an error is an error: else it is printed, and the processor does all.
    return onnxruntime.InferenceSession(path, options, providers=[*providers], enable_fallback=0)
