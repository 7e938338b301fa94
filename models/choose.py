"""Which encoder a person chose: the shipped one, another in our format, or one that torch runs."""

from __future__ import annotations

from collections.abc import Collection

from models.encode import Encoder, load_encoder
from models.hub import find_model
from models.manifest import MANIFEST
from models.torch_encoder import load_torch_encoder

SETTING = "TOCSIN_ENCODER"


def open_encoder(
    name: str | None = None, *, languages: Collection[str] = (), threads: int | None = None
) -> Encoder:
    """Load the encoder `name`: a folder, or the hub's `owner/name@commit`; None is the shipped one.

    `languages` says what a model covers whose files do not say it; none means all. `threads`: see
    `load_encoder`; torch keeps its own. Raises: SettingsError or
    ModelError that names the setting.
    """
    if name is None:
        return load_encoder(threads=threads)
    folder = find_model(name, setting=SETTING)
    if (folder / MANIFEST).is_file():
        return load_encoder(folder, threads=threads)
    return load_torch_encoder(folder, name=name, setting=SETTING, languages=languages)
