"""The background: how ordinary news lies in the encoder's space, and its words by place. No texts."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from models.encode import Vectors
from models.lexical import Lexicon
from models.neighbourhoods import Neighbourhoods
from tocsin.errors import ModelError

PATH = Path(__file__).parent / "background.npz"
TERMS = "background_terms.txt"
RESTORE = (
    "restore it with `git checkout -- models/background.npz models/background_terms.txt`, "
    "or refit with `python -m models.fit_zero_shot`"
)
ARRAYS = tuple(field.name for field in fields(Neighbourhoods))


@dataclass(frozen=True)
class Background:
    """Moments of the vectors of ordinary news, and its words.

    `mean` float32 (d,), `covariance` float32 (d, d); `within` float32 (d, d) is the mean covariance of the
    articles of one topic: how far they lie from each other, and in which directions.
    """

    mean: Vectors
    covariance: Vectors
    within: Vectors
    lexicon: Lexicon
    neighbourhoods: Neighbourhoods


def save_background(background: Background, path: Path) -> None:
    """Write numbers to `path` (moments and centres as float16), and the terms beside it."""
    near = background.neighbourhoods
    arrays = {name: getattr(near, name) for name in ARRAYS} | {"idf": background.lexicon.idf}
    moments = {name: getattr(background, name) for name in ("mean", "covariance", "within")}
    halved = {name: value.astype(np.float16) for name, value in (moments | {"centres": near.centres}).items()}
    np.savez_compressed(path, **(arrays | halved))
    terms = "\n".join(background.lexicon.terms) + "\n"
    path.with_name(TERMS).write_text(terms, encoding="utf-8", newline="\n")


def load_background(path: Path = PATH) -> Background:
    """Read what `save_background` wrote. Raises: ModelError if it is missing or does not fit together."""
    try:
        words = tuple(path.with_name(TERMS).read_text(encoding="utf-8").split("\n")[:-1])
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        background = _assemble(arrays, words)
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise ModelError(f"{path} cannot be read ({error}): {RESTORE}", path=path) from error
    _check(background, path)
    return background


def _assemble(arrays: dict[str, Any], words: tuple[str, ...]) -> Background:
    whole = {name: arrays[name].astype(np.float32) for name in ("mean", "covariance", "within", "centres")}
    near = {name: arrays[name] for name in ARRAYS} | {"centres": whole["centres"]}
    return Background(
        mean=whole["mean"],
        covariance=whole["covariance"],
        within=whole["within"],
        lexicon=Lexicon(words, arrays["idf"]),
        neighbourhoods=Neighbourhoods(**near),
    )


def _check(background: Background, path: Path) -> None:
    size, near, terms = background.mean.size, background.neighbourhoods, len(background.lexicon.terms)
    found = {
        "covariance": background.covariance.shape,
        "within": background.within.shape,
        "centres": near.centres.shape,
        "idf": background.lexicon.idf.shape,
        "totals": near.totals.shape,
    }
    wanted = {
        "covariance": (size, size),
        "within": (size, size),
        "centres": (len(near.sizes), size),
        "idf": (terms,),
        "totals": (terms,),
    }
    for name, shape in wanted.items():
        if found[name] != shape:
            raise ModelError(
                f"{path} has the wrong shape {found[name]} for `{name}`, not {shape}: {RESTORE}", path=path
            )
