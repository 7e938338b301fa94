"""Draws precision against recall, one picture for each topic and one of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tocsin.draw import make_figure, save_figure

if TYPE_CHECKING:
    from models.report import Curve

OVERVIEW = "overview.png"
COLUMNS = 4


def draw_curves(curves: Sequence[Curve], folder: Path) -> list[Path]:
    """Write `TOPIC.png` for each curve and `overview.png`; return the files. Nothing to draw, no files."""
    if not curves:
        return []
    written = []
    for curve in curves:
        figure = make_figure(width=5, height=4.5)
        _draw(figure.subplots(), curve)
        written.append(save_figure(figure, folder / f"{curve.topic}.png"))
    return [*written, _draw_overview(curves, folder / OVERVIEW)]


def _draw_overview(curves: Sequence[Curve], path: Path) -> Path:
    columns = min(COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    figure = make_figure(width=3.2 * columns, height=3.0 * rows)
    places = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    for place, curve in zip(places, curves, strict=False):
        _draw(place, curve)
        place.label_outer()
    for place in places[len(curves) :]:
        place.set_axis_off()
    return save_figure(figure, path)


def _draw(axes: Any, curve: Curve) -> None:
    axes.step([0, *curve.recall], [curve.precision[0], *curve.precision], where="pre", linewidth=1.5)
    if curve.at_threshold is not None:
        axes.plot(*curve.at_threshold, marker="o", color="black")
        axes.annotate("threshold", curve.at_threshold, (-8, -12), textcoords="offset points", ha="right")
    axes.set_title(f"{curve.topic}\nAP {curve.ap:.2f}, {curve.positives} positives", fontsize="medium")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
