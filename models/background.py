"""The background: how ordinary news lies in the encoder's space, as a mean and a covariance. No texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.encode import Vectors
from tocsin.errors import ModelError

PATH = Path(__file__).parent / "background.npy"
RESTORE = (
    "restore it with `git checkout -- models/background.npy`, or refit with `python -m models.fit_zero_shot`"
)


@dataclass(frozen=True)
class Background:
    """Moments of the vectors of ordinary news: `mean` float32 (d,), `covariance` float32 (d, d)."""

    mean: Vectors
    covariance: Vectors


def measure_background(vectors: Vectors) -> Background:
    """Measure the background of `vectors` (n, d)."""
    covariance = np.cov(vectors.T, dtype=np.float64).astype(np.float32)
    return Background(vectors.mean(axis=0), covariance)


def save_background(background: Background, path: Path) -> None:
    """Write the mean and the covariance as one float16 array (1 + d, d)."""
    np.save(path, np.vstack([background.mean, background.covariance]).astype(np.float16), allow_pickle=False)


def load_background(path: Path = PATH) -> Background:
    """Read what `save_background` wrote. Raises: ModelError if it is missing or of another shape."""
    try:
        rows = np.load(path, allow_pickle=False).astype(np.float32)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{path} cannot be read ({error}): {RESTORE}", path=path) from error
    if rows.ndim != 2 or rows.shape[0] != rows.shape[1] + 1:
        raise ModelError(f"{path} has the wrong shape {rows.shape}: {RESTORE}", path=path)
    return Background(rows[0], rows[1:])
