"""How encoders are to be run, as a person set it; `models` makes of it what the machine can do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EncoderSetup:
    """`providers` of ONNX Runtime by name, the preferred first; none: the processor alone.

    `threads`: texts (or batches) embedded at the same time; `batch`: texts that run together; None: by
    measurement.
    """

    providers: tuple[str, ...] = ()
    threads: int | None = None
    batch: int | None = None
