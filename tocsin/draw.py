"""The one door to matplotlib, which is not always installed: figures as PNG files or bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from tocsin.errors import SettingsError

HOW = 'plots need matplotlib, which is not installed: `pip install "tocsin[plots]"`, or `[charts]`'
DPI = 120


def make_figure(*, width: float, height: float) -> Any:
    """Make an empty matplotlib `Figure`, inches wide and high, that needs no screen.

    Raises: SettingsError that names the extra if matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  half a second, rarely wanted
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(HOW) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: Path) -> Path:
    """Write `figure` as PNG, in place of what was there; the same figure gives the same bytes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def figure_bytes(figure: Any) -> bytes:
    """Return `figure` as the bytes of a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
