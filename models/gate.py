"""Holds floors under the default topics' figures: python -m models.gate --data FOLDER [--write-floors].

FOLDER holds the labelled file that gate.json names. Fails with a table of what fell; says so and passes
where the file is not there. --write-floors raises floors to what is measured, and never lowers one.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.encode import load_encoder
from models.evaluate import Evaluation, Figures, score_file
from models.manifest import mark_file
from models.topics import default_topics
from tocsin.errors import ModelError

PATH = Path(__file__).parent / "gate.json"
RESTORE = "restore it with `git checkout -- models/gate.json`"
GATED = ("ap", "f1")
MEAN = "mean of all topics"

# Another processor rounds int8 sums otherwise, which moves scores a little: so much may be lost to that.
SLACK = {"ap": 0.01, "f1": 0.01}

Floors = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Gate:
    """The floors of each topic and of the mean, and the file of `FOLDER` that they were measured on."""

    file: str
    sha256: str
    encoder_revision: str
    floors: Floors


@dataclass(frozen=True, slots=True)
class Fall:
    """A figure under its floor; `found` is None where nothing could be measured."""

    topic: str
    measure: str
    floor: float
    found: float | None


def read_gate(path: Path = PATH) -> Gate:
    """Read the floors. Raises: ModelError if the file is missing or not as `write_gate` made it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        floors = {
            topic: {name: float(data["floors"][topic][name]) for name in GATED} for topic in data["floors"]
        }
        gate = Gate(**{**data, "floors": floors})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} cannot be read ({error!r}): {RESTORE}", path=path) from error
    if not floors:
        raise ModelError(f"{path} holds no floors: {RESTORE}", path=path)
    return gate


def write_gate(gate: Gate, path: Path = PATH) -> None:
    """Write the floors as JSON, a figure to a line, so that a change shows in review."""
    path.write_text(json.dumps(asdict(gate), indent=2) + "\n", encoding="utf-8")


def find_falls(gate: Gate, evaluation: Evaluation) -> list[Fall]:
    """Return every figure under its floor, the deepest fall first. A topic that is gone has fallen too."""
    found = _figures(evaluation)
    falls = [
        Fall(topic, name, floor, value)
        for topic, floors in gate.floors.items()
        for name, floor in floors.items()
        if (value := found.get(topic, {}).get(name)) is None or value < floor
    ]
    return sorted(falls, key=lambda fall: (fall.found or 0) - fall.floor)


def _figures(evaluation: Evaluation) -> dict[str, dict[str, float | None]]:
    by_topic = {
        topic: {name: getattr(figures, name) for name in GATED}
        for topic, figures in evaluation.topics.items()
    }
    return {**by_topic, MEAN: {name: evaluation.mean[name] for name in GATED}}


def raise_floors(floors: Mapping[str, Mapping[str, float]], evaluation: Evaluation) -> Floors:
    """Return the floors that the figures allow, none lower than it was; topics not evaluated keep theirs."""
    raised: Floors = {topic: dict(values) for topic, values in floors.items()}
    for topic, figures in evaluation.topics.items():
        _raise(raised.setdefault(topic, {}), {"ap": _ap_floor(figures.ap), "f1": _f1_floor(figures)})
    mean = evaluation.mean
    _raise(raised.setdefault(MEAN, {}), {"ap": _ap_floor(mean["ap"]), "f1": _less(mean["f1"], SLACK["f1"])})
    return raised


def _raise(floors: dict[str, float], allowed: Mapping[str, float | None]) -> None:
    for name, value in allowed.items():
        if value is not None:
            floors[name] = max(floors.get(name, 0.0), value)


def _ap_floor(ap: float | None) -> float | None:
    return _less(ap, SLACK["ap"])


def _f1_floor(figures: Figures) -> float | None:
    """Return F1 with one hit fewer: what one verdict at the threshold costs is not a loss of quality."""
    if figures.f1 is None:
        return None
    hits = figures.f1 * (figures.matches + figures.positives) / 2
    return _less(2 * max(hits - 1, 0) / max(figures.matches - 1 + figures.positives, 1), 0)


def _less(value: float | None, slack: float) -> float | None:
    return None if value is None else max(math.floor((value - slack) * 1_000 + 1e-6) / 1_000, 0.0)


def show_falls(falls: Sequence[Fall]) -> str:
    """Return a table of what fell."""
    width = max(len(fall.topic) for fall in falls)
    rows = [
        f"{fall.topic:<{width}}  {fall.measure:<3} {fall.floor:>6.3f}  "
        + ("-" if fall.found is None else f"{fall.found:.3f}")
        for fall in falls
    ]
    return "\n".join([f"{'topic':<{width}}      floor  found", *rows])


def hold_gate(folder: Path, *, path: Path = PATH, write: bool = False) -> tuple[str, bool]:
    """Measure and compare, or with `write` raise the floors; return what to say, and whether the gate holds.

    Raises: ModelError if the labelled file is not the one that the floors were measured on.
    """
    gate = read_gate(path)
    data = folder / gate.file
    if not data.exists():
        return f"gate skipped: {data} is not here, and nothing can be measured without it", not write
    if (digest := mark_file(data).sha256) != gate.sha256:
        message = f"{data} is not the file that the floors of {path} were measured on (SHA-256 {digest})"
        raise ModelError(message, path=data)
    encoder = load_encoder()
    evaluation = score_file(data, topics=default_topics(), encoder=encoder).evaluate()
    if write:
        raised = raise_floors(gate.floors, evaluation)
        write_gate(Gate(gate.file, gate.sha256, encoder.revision, raised), path)
    falls = find_falls(read_gate(path), evaluation)
    return _verdict(falls, evaluation, raised=_moved(gate.floors, raised) if write else None), not falls


def _moved(before: Mapping[str, Any], after: Floors) -> int:
    pairs = [(topic, name) for topic, floors in after.items() for name in floors]
    return sum(after[topic][name] != before.get(topic, {}).get(name) for topic, name in pairs)


def _verdict(falls: Sequence[Fall], evaluation: Evaluation, *, raised: int | None) -> str:
    mean = ", ".join(f"{name.upper()} {evaluation.mean[name] or 0:.3f}" for name in GATED)
    said = (
        "" if raised is None else f"{raised} floors raised; a floor is lowered only by editing {PATH.name}\n"
    )
    if falls:
        return f"{said}gate fell: mean {mean}\n{show_falls(falls)}"
    return f"{said}gate holds: mean {mean} over {len(evaluation.topics)} topics"


def main() -> None:
    """Hold the gate from the command line; exit with 1 if a figure fell."""
    parser = argparse.ArgumentParser(prog="python -m models.gate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the labelled file")
    parser.add_argument("--write-floors", action="store_true", help="raise the floors to what is measured")
    arguments = parser.parse_args()
    try:
        said, holds = hold_gate(arguments.data, write=arguments.write_floors)
    except ModelError as error:
        said, holds = f"gate: {error}", False
    sys.stdout.write(said + "\n")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
