"""The manifest of an encoder's folder: which files belong to it, their checksums, how they are run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tocsin.errors import ModelError

MANIFEST = "manifest.json"
MODEL = "model.onnx"
CARD = "training.json"  # beside tuned weights: what they were made from, and their checksum
RESTORE = "restore it with `make encoder` or `git checkout -- models/encoder`"

Optimization = Literal["basic", "all"]


@dataclass(frozen=True, slots=True)
class FileMark:
    """What a file must be: SHA-256 in hexadecimal digits, size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """An encoder's identity. Scores name its `revision`; `optimization` is a level of ONNX Runtime.

    `languages` are those whose articles it can judge, as ISO 639-1 codes; none named means every language.
    """

    revision: str
    dimensions: int
    max_tokens: int
    files: Mapping[str, FileMark]
    source: Mapping[str, str]
    optimization: Optimization = "all"
    languages: tuple[str, ...] = ()


def covers(languages: Collection[str], language: str | None) -> bool:
    """Tell whether `languages` hold `language`; an unknown one counts as held, and none named means all."""
    return language is None or not languages or language in languages


def mark_file(path: Path) -> FileMark:
    """Measure one file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileMark(digest, path.stat().st_size)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` into `folder`, always the same bytes for the same manifest."""
    text = json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def mark_files(folder: Path, names: Iterable[str]) -> dict[str, FileMark]:
    """Measure the named files of `folder`."""
    return {name: mark_file(folder / name) for name in names}


def read_manifest(folder: Path) -> Manifest:
    """Read `manifest.json` of `folder`. Raises: ModelError if it is missing or not a manifest."""
    path = folder / MANIFEST
    try:
        return _from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing: {RESTORE}", path=path) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path} is not a readable manifest ({error}): {RESTORE}", path=path) from error


def _from_json(data: dict[str, Any]) -> Manifest:
    files = {name: FileMark(**mark) for name, mark in data.pop("files").items()}
    languages = data.pop("languages", ())
    if isinstance(languages, str) or not all(isinstance(code, str) for code in languages):
        raise ValueError("`languages` is not a list of codes")
    return Manifest(files=files, languages=tuple(languages), **data)


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file of `folder` with the manifest. Raises: ModelError naming the first wrong file."""
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            found = mark_file(path)
        except OSError as error:
            raise ModelError(f"{path} is missing or unreadable: {RESTORE}", path=path) from error
        if found.size != expected.size:
            message = f"{path} is corrupt ({found.size} bytes instead of {expected.size}): {RESTORE}"
            raise ModelError(message, path=path)
        if found.sha256 != expected.sha256:
            raise ModelError(f"{path} is corrupt (its checksum differs): {RESTORE}", path=path)
