"""Where the files of a model are that a person named: a folder, or one commit of a model on the hub.

The only place that may download anything. Weights are safetensors; pickled ones and code are never fetched.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

from tocsin.errors import ModelError, SettingsError

log = logging.getLogger(__name__)

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
WANTED = ["*.json", "*.safetensors", "*.txt", "*.model"]
UNWANTED = ["onnx/*", "openvino/*"]
_PINNED = re.compile(r"(\w[\w.-]*/\w[\w.-]*)@([0-9a-f]{40})")


def find_model(name: str, *, setting: str, cache: Path | None = None) -> Path:
    """Return the folder with the files of model `name`: a folder's path, or `owner/name@commit`.

    `setting` is named in errors. What was fetched once is taken from the hub's `cache` (None: the usual one)
    without asking the network. Raises: SettingsError if the name is neither, ModelError if files are missing.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _complete(folder, name, setting)
    pinned = _PINNED.fullmatch(name)
    if pinned is None:
        raise SettingsError(
            f"{setting}: {name} is neither a folder nor a model with its commit: write "
            "owner/name@commit, with the 40 digits that the model's page shows under its files"
        )
    stored = _ask_hub(pinned[1], pinned[2], cache, is_offline=True)
    if isinstance(stored, Path) and not _missing(stored):
        return stored
    fetched = _ask_hub(pinned[1], pinned[2], cache, is_offline=False)
    if isinstance(fetched, Path):
        return _complete(fetched, name, setting)
    raise ModelError(
        f"{setting}: {name} is not on this machine and cannot be fetched ({_first_line(fetched)}): "
        "run once with a connection, or name a folder that holds its files"
    ) from fetched


def _ask_hub(repository: str, commit: str, cache: Path | None, *, is_offline: bool) -> Path | Exception:
    """Give the folder of one commit's files, or the error that kept it away."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415  only where another model is named

    options: dict[str, Any] = {"local_files_only": is_offline, "cache_dir": cache}
    try:
        found = snapshot_download(
            repository, revision=commit, allow_patterns=WANTED, ignore_patterns=UNWANTED, **options
        )
    except Exception as error:  # noqa: BLE001  the library's, its HTTP client's and the system's errors
        return error
    if not is_offline:
        log.info("model.fetched repository=%s commit=%s", repository, commit)
    return Path(found)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _complete(folder: Path, name: str, setting: str) -> Path:
    missing = _missing(folder)
    if missing:
        raise ModelError(f"{setting}: {name} holds no {missing}", path=folder)
    return folder


def _missing(folder: Path) -> str:
    """Name what a folder lacks to be a model; empty if nothing."""
    if (folder / "manifest.json").is_file():
        return ""  # our own format, which is checked when it is read
    if not (folder / "config.json").is_file():
        return "config.json"
    for name in _weights(folder):
        if not (folder / name).is_file():
            return f"{name} (weights in other formats are not loaded)"
    return ""


def _weights(folder: Path) -> list[str]:
    if not (folder / INDEX).is_file():
        return [WEIGHTS]
    try:
        found = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()
        return sorted(set(map(str, found)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [f"readable {INDEX}"]
