"""Which model a person chose for a second opinion: one for inference (NLI), or a one-pass classifier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.cross_encoder import load_cross_encoder
from models.hub import find_model
from models.one_pass import is_one_pass, load_one_pass
from models.refine import SecondReader
from tocsin.errors import ModelError

SETTING = "TOCSIN_CROSS_ENCODER"


def load_second_reader(name: str) -> SecondReader:
    """Load a folder, or the hub's `owner/name@commit`; its config.json says of which kind it is.

    Raises: SettingsError or ModelError that names the setting, ModelError too if it is of neither kind.
    """
    folder = find_model(name, setting=SETTING)
    config = _read_config(folder)
    if is_one_pass(config):
        return load_one_pass(folder, config, name=name, setting=SETTING)
    return load_cross_encoder(folder, config, name=name, setting=SETTING)


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{SETTING}: {folder} has no readable config.json ({error})", path=folder) from error
    if not isinstance(found, dict):
        raise ModelError(f"{SETTING}: {folder} has a config.json that is no object", path=folder)
    return found
