"""Writes a BERT encoder as an int8 ONNX graph, operator by operator. Used only when the encoder is rebuilt.

Written by hand rather than exported and fused: the exporters' graphs change with every release and no longer
match ONNX Runtime's attention fusion, and this graph is a quarter faster than what quantize_dynamic makes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, npt.NDArray[np.float32]]

FUSED = "com.microsoft"  # ONNX Runtime's own operators
# Weights use 7 of 8 bits: on processors without VNNI the 8th can overflow the 16-bit sums (onnxruntime.ai,
# "Quantize ONNX models", reduce_range). The cost in cosine is 0.001.
WEIGHT_LEVELS = 63
EMBEDDING_LEVELS = 127
_EMBEDDINGS = ("word", "position", "token_type")


class _Graph:
    """Collects nodes and constants; every method returns the name of what it made."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, values: npt.ArrayLike, kind: type[np.generic] = np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=kind), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], outputs: str | list[str], **attributes: Any) -> str:
        names = [outputs] if isinstance(outputs, str) else outputs
        domain = attributes.pop("domain", "")
        self.nodes.append(helper.make_node(kind, inputs, names, name=names[0], domain=domain, **attributes))
        return names[0]

    def quantized(self, name: str, matrix: npt.NDArray[np.float32]) -> list[str]:
        """Store a weight matrix (inputs, outputs) as int8 with one scale for each output."""
        scale = np.abs(matrix).max(axis=0) / WEIGHT_LEVELS
        scale[scale == 0] = 1
        return [
            self.constant(name, np.round(matrix / scale), np.int8),
            self.constant(f"{name}.scale", scale),
            self.constant(f"{name}.zero", np.zeros(len(scale)), np.int8),
        ]

    def linear(self, x: str, name: str) -> str:
        matrix = self.quantized(f"{name}.weight", self.weights[f"{name}.weight"].T)
        bias = self.constant(f"{name}.bias", self.weights[f"{name}.bias"])
        return self.node("DynamicQuantizeMatMul", [x, *matrix, bias], f"{name}.output", domain=FUSED)

    def normalized(self, x: str, name: str, epsilon: float) -> str:
        parts = [
            self.constant(f"{name}.{part}", self.weights[f"{name}.{part}"]) for part in ("weight", "bias")
        ]
        return self.node("LayerNormalization", [x, *parts], f"{name}.output", epsilon=epsilon)


def build_graph(weights: Weights, config: Mapping[str, Any]) -> Any:
    """Return the ONNX model: (input_ids, attention_mask) int32 (batch, tokens) -> last_hidden_state float32.

    `weights` and `config` are those of a Hugging Face `BertModel` with exact GELU. Token type 0 is assumed,
    so its embedding is added to the positions'.
    """
    graph = _Graph(weights)
    epsilon = config["layer_norm_eps"]
    x = _embeddings(graph, epsilon)
    lengths = graph.node(
        "ReduceSum", ["attention_mask", graph.constant("one", [1], np.int64)], "lengths", keepdims=0
    )
    for i in range(config["num_hidden_layers"]):
        x = _layer(graph, f"encoder.layer.{i}", x, lengths, config)
    graph.node("Identity", [x], "last_hidden_state")
    return _model(graph, config["hidden_size"])


def _embeddings(graph: _Graph, epsilon: float) -> str:
    weights = {name: graph.weights[f"embeddings.{name}_embeddings.weight"] for name in _EMBEDDINGS}
    scale = np.abs(weights["word"]).max(axis=1, keepdims=True) / EMBEDDING_LEVELS
    scale[scale == 0] = 1
    words = graph.constant("words", np.round(weights["word"] / scale), np.int8)
    picked = graph.node("Gather", [words, "input_ids"], "words.picked")
    as_float = graph.node("Cast", [picked], "words.float", to=TensorProto.FLOAT)
    scales = graph.node("Gather", [graph.constant("words.scale", scale), "input_ids"], "words.scales")
    word = graph.node("Mul", [as_float, scales], "words.embedded")
    positions = graph.constant("positions", weights["position"] + weights["token_type"][0])
    start = graph.constant("start", [0], np.int64)
    count = graph.node("Shape", ["input_ids"], "tokens", start=1, end=2)
    position = graph.node("Slice", [positions, start, count, start], "positions.used")
    total = graph.node("Add", [word, position], "embedded")
    return graph.normalized(total, "embeddings.LayerNorm", epsilon)


def _layer(graph: _Graph, name: str, x: str, lengths: str, config: Mapping[str, Any]) -> str:
    attended = _attention(graph, f"{name}.attention", x, lengths, config["num_attention_heads"])
    mixed = graph.linear(attended, f"{name}.attention.output.dense")
    x = _add_and_normalize(graph, mixed, x, f"{name}.attention.output.LayerNorm", config)
    wide = graph.linear(x, f"{name}.intermediate.dense")
    active = graph.node("Gelu", [wide], f"{name}.gelu", domain=FUSED)
    narrow = graph.linear(active, f"{name}.output.dense")
    return _add_and_normalize(graph, narrow, x, f"{name}.output.LayerNorm", config)


def _attention(graph: _Graph, name: str, x: str, lengths: str, heads: int) -> str:
    parts = [f"{name}.self.{part}" for part in ("query", "key", "value")]
    matrix = np.concatenate([graph.weights[f"{part}.weight"].T for part in parts], axis=1)
    bias = graph.constant(f"{name}.bias", np.concatenate([graph.weights[f"{part}.bias"] for part in parts]))
    weight, scale, zero = graph.quantized(f"{name}.weight", matrix)
    outputs = [f"{name}.{part}" for part in ("input8", "input_scale", "input_zero")]
    graph.node("DynamicQuantizeLinear", [x], outputs)
    inputs = [outputs[0], weight, bias, outputs[1], scale, lengths, outputs[2], zero]
    return graph.node("QAttention", inputs, f"{name}.attended", domain=FUSED, num_heads=heads)


def _add_and_normalize(graph: _Graph, x: str, residual: str, name: str, config: Mapping[str, Any]) -> str:
    return graph.normalized(graph.node("Add", [x, residual], f"{name}.sum"), name, config["layer_norm_eps"])


def _model(graph: _Graph, size: int) -> Any:
    integers = [
        helper.make_tensor_value_info(name, TensorProto.INT32, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", size])
    made = helper.make_graph(graph.nodes, "encoder", integers, [states], graph.constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(FUSED, 1)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=8, producer_name="tocsin")
    onnx.checker.check_model(model)
    return model
