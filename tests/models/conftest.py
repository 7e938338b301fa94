"""The real bundled encoder and the default topics' heads, loaded once for each test process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.encode import FOLDER, Encoder, load_encoder
from models.heads import Heads, build_heads
from models.topics import default_topics

EVAL = Path(__file__).parents[3] / "shared" / "eval"


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return load_encoder()


@pytest.fixture(scope="session")
def heads(encoder: Encoder) -> Heads:
    return build_heads(default_topics(), encoder)


@pytest.fixture(scope="session")
def eval_folder() -> Path:
    """The labelled news beside the repository, which is not part of it."""
    if not (EVAL / "dev.jsonl").exists():
        pytest.skip(f"the labelled evaluation data are not here: {EVAL}")
    return EVAL


@pytest.fixture
def folder_copy(tmp_path: Path) -> Path:
    """A copy of the shipped encoder's folder that a test may damage; the model itself is a link."""
    copy = tmp_path / "encoder"
    copy.mkdir()
    for path in FOLDER.iterdir():
        target = copy / path.name
        if path.name == "model.onnx":
            target.symlink_to(path)
        else:
            target.write_bytes(path.read_bytes())
    return copy


@pytest.fixture
def edit_manifest():
    """Change fields of a folder's manifest."""

    def edit(folder: Path, **fields: object) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return edit
