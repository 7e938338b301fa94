"""Which encoder a person chose: the shipped one, another in our format, or one that torch runs."""

from __future__ import annotations

from collections.abc import Collection

from models.encode import Encoder, load_encoder
from models.hub import find_model
from models.manifest import MANIFEST
from models.providers import CPU, read_providers
from models.providers import SETTING as PROVIDERS
from models.torch_encoder import load_torch_encoder
from tocsin.encoder_setup import EncoderSetup
from tocsin.errors import SettingsError

SETTING = "TOCSIN_ENCODER"


def open_encoder(
    name: str | None = None, *, languages: Collection[str] = (), setup: EncoderSetup | None = None
) -> Encoder:
    """Load the encoder `name`: a folder, or the hub's `owner/name@commit`; None is the shipped one.

    `languages` says what a model covers whose files do not say it; none means all. `setup`: see
    `load_encoder`; torch has no such providers, and keeps its own threads and batches. Raises: SettingsError
    or ModelError that names the setting.
    """
    if name is None:
        return load_encoder(setup=setup)
    folder = find_model(name, setting=SETTING)
    if (folder / MANIFEST).is_file():
        return load_encoder(folder, setup=setup)
    if setup is not None and read_providers(setup.providers) != (CPU,):
        raise SettingsError(
            f"{PROVIDERS}: {name} is run by torch, which has no providers of ONNX Runtime: unset it, or name "
            f"an encoder with a {MANIFEST}"
        )
    return load_torch_encoder(folder, name=name, setting=SETTING, languages=languages)
