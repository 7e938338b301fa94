"""Writes an encoder's int8 graph anew in float, by ONNX's own operators, as graphics processors want it.

Needs onnx; no run uses it. The weights are the int8 ones times their scales, so all that differs is that
activations are not rounded: vectors stay within the tolerance of other providers, and keep their revision.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from models.encode import FOLDER, load_encoder
from models.manifest import MODEL, Manifest, mark_files, read_manifest, write_manifest
from models.reference import TEXTS, TOLERANCE, lowest_cosine
from tocsin.errors import ModelError

HIDDEN = -1e4  # added to what attention must not see; within float16's range
_CONSTANTS = {"root_half": 0.5**0.5, "half": 0.5, "one_float": 1.0, "hidden": HIDDEN}

Constants = Mapping[str, npt.NDArray[Any]]


class _Floats:
    """Collects the nodes and constants of the float graph."""

    def __init__(self, model: Any, heads: int) -> None:
        self.old: Constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        self.heads = heads
        self.nodes: list[Any] = []
        self.new = {name: np.array(value, np.float32) for name, value in _CONSTANTS.items()}
        self._read_by = {name: node for node in model.graph.node for name in node.output}

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def scaled(self, name: str) -> str:
        """Store an int8 matrix times its scales under its own name."""
        self.new[name] = self.old[name].astype(np.float32) * self.old[f"{name}.scale"]
        return name

    def linear(self, x: str, weight: str, bias: str, output: str) -> str:
        """Add a product with what was an int8 matrix, and a bias."""
        product = self.node("MatMul", [x, self.scaled(weight)], f"{output}.product")
        return self.node("Add", [product, bias], output)

    def convert(self, node: Any) -> None:
        """Write one node's float counterpart; others stay as they are."""
        writers: dict[str, Callable[[Any], None]] = {
            "DynamicQuantizeMatMul": self._matrix,
            "QAttention": self._attention,
            "Gelu": self._gelu,
            "ReduceSum": self._mask,
        }
        if node.op_type == "DynamicQuantizeLinear":
            return  # only attention reads it
        writers.get(node.op_type, self.nodes.append)(node)

    def _matrix(self, node: Any) -> None:
        x, weight, _, _, bias = node.input
        self.linear(x, weight, bias, node.output[0])

    def _mask(self, node: Any) -> None:
        """Instead of lengths: 0 for a token and `HIDDEN` for none, float32 (texts, 1, 1, tokens)."""
        mask = self.node("Cast", [node.input[0]], "mask.float", to=onnx.TensorProto.FLOAT)
        absent = self.node("Sub", ["one_float", mask], "mask.absent")
        hidden = self.node("Mul", [absent, "hidden"], "mask.hidden")
        self.new["mask.axes"] = np.array([1, 2], np.int64)
        self.node("Unsqueeze", [hidden, "mask.axes"], node.output[0])

    def _gelu(self, node: Any) -> None:
        x, out = node.input[0], node.output[0]
        scaled = self.node("Mul", [x, "root_half"], f"{out}.scaled")
        erf = self.node("Erf", [scaled], f"{out}.erf")
        share = self.node("Add", [erf, "one_float"], f"{out}.share")
        halved = self.node("Mul", [x, "half"], f"{out}.halved")
        self.node("Mul", [halved, share], out)

    def _attention(self, node: Any) -> None:
        x = self._read_by[node.input[0]].input[0]  # what was made int8 for it
        weight, bias, lengths, out = node.input[1], node.input[2], node.input[5], node.output[0]
        size = self.old[weight].shape[0] // self.heads
        self.new |= {
            "heads": np.array([0, 0, self.heads, size], np.int64),
            "joined": np.array([0, 0, self.heads * size], np.int64),
            "temper": np.array(size**-0.5, np.float32),
        }
        parts = [f"{out}.{part}" for part in ("query", "key", "value")]
        whole = self.linear(x, weight, bias, f"{out}.parts")
        split = helper.make_node("Split", [whole], parts, name=f"{out}.split", axis=2, num_outputs=3)
        self.nodes.append(split)
        query, key, value = (
            self._by_head(part, [0, 2, 3, 1] if part.endswith("key") else [0, 2, 1, 3]) for part in parts
        )
        likeness = self.node("MatMul", [query, key], f"{out}.likeness")
        tempered = self.node("Mul", [likeness, "temper"], f"{out}.tempered")
        masked = self.node("Add", [tempered, lengths], f"{out}.masked")
        shares = self.node("Softmax", [masked], f"{out}.shares", axis=-1)
        mixed = self.node("MatMul", [shares, value], f"{out}.mixed")
        turned = self.node("Transpose", [mixed], f"{out}.turned", perm=[0, 2, 1, 3])
        self.node("Reshape", [turned, "joined"], out)

    def _by_head(self, part: str, order: list[int]) -> str:
        split = self.node("Reshape", [part, "heads"], f"{part}.split")
        return self.node("Transpose", [split], f"{part}.by_head", perm=order)


def build_float_graph(model: Any, heads: int) -> Any:
    """Return the float counterpart of a model by `models.build_graph`, with as many attention `heads`."""
    floats = _Floats(model, heads)
    for node in model.graph.node:
        floats.convert(node)
    used = {name for node in floats.nodes for name in node.input}
    constants = {name: value for name, value in {**floats.old, **floats.new}.items() if name in used}
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(floats.nodes, "encoder", model.graph.input, model.graph.output, stored)
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, producer_name="tocsin"
    )
    onnx.checker.check_model(made)
    return made


def write_float_encoder(source: Path, out: Path) -> Manifest:
    """Write the float counterpart of the encoder in `source` into the folder `out`.

    Raises: ModelError if its vectors are not within the tolerance of those of `source`.
    """
    manifest = read_manifest(source)
    heads = json.loads((source / "config.json").read_text(encoding="utf-8"))["num_attention_heads"]
    out.mkdir(parents=True, exist_ok=True)
    for name in manifest.files:
        if name != MODEL:
            shutil.copyfile(source / name, out / name)
    model = build_float_graph(onnx.load(source / MODEL), heads)
    (out / MODEL).write_bytes(model.SerializeToString(deterministic=True))
    made = replace(
        manifest,
        files=mark_files(out, manifest.files),
        source={"file": MODEL, "sha256": manifest.files[MODEL].sha256},
        optimization="all",
    )
    write_manifest(out, made)
    lowest = lowest_cosine(load_encoder(out).embed(TEXTS), load_encoder(source).embed(TEXTS))
    if not lowest >= TOLERANCE:
        raise ModelError(f"{out}: its vectors are not those of {source} (cosine {lowest:.4f})", path=out)
    return made


def main() -> None:
    """Write a float encoder from the command line."""
    parser = argparse.ArgumentParser(prog="python -m models.float_graph", description=__doc__)
    parser.add_argument("--source", type=Path, default=FOLDER, help="encoder (default: the shipped one)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    arguments = parser.parse_args()
    manifest = write_float_encoder(arguments.source, arguments.out)
    size = manifest.files[MODEL].size / 1e6
    sys.stdout.write(f"{arguments.out}: {manifest.revision} in float, {size:.1f} MB\n")


if __name__ == "__main__":
    main()
