"""The most int8 multiply-adds a second that ONNX Runtime reaches here on large square matrices.

Beside it, how many an encoder needs by the shapes of its layers: the share of the peak is their quotient.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SIZES = (512, 1024, 2048)
OPERATORS = ("MatMulInteger", "DynamicQuantizeMatMul")


class Product(NamedTuple):
    """A square int8 matrix product that can be run, and its multiply-adds."""

    operator: str
    size: int
    run: Callable[[], Any]

    @property
    def work(self) -> int:
        """Multiply-adds of one run."""
        return self.size**3


class Work(NamedTuple):
    """Multiply-adds: those of layers with int8 weights, and those of attention, which stay float."""

    int8: float
    attention: float


def make_products() -> list[Product]:
    """Make one product for each operator and size, on one thread each as the encoder runs."""
    return [_make_product(operator, size) for operator in OPERATORS for size in SIZES]


def _make_product(operator: str, size: int) -> Product:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(size)
    weights = numpy_helper.from_array(rng.integers(-64, 64, (size, size), dtype=np.int8), "b")
    if operator == "MatMulInteger":
        fed = rng.integers(0, 255, (size, size), dtype=np.uint8)
        kinds, inputs, domain, constants = (TensorProto.UINT8, TensorProto.INT32), ["a", "b"], "", [weights]
    else:
        fed = rng.normal(size=(size, size)).astype(np.float32)
        kinds, inputs, domain = (TensorProto.FLOAT, TensorProto.FLOAT), ["a", "b", "scale"], "com.microsoft"
        constants = [weights, numpy_helper.from_array(np.full(size, 0.01, np.float32), "scale")]
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, ["y"], domain=domain)],
        "product",
        [helper.make_tensor_value_info("a", kinds[0], [size, size])],
        [helper.make_tensor_value_info("y", kinds[1], [size, size])],
        constants,
    )
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return Product(operator, size, lambda: session.run(None, {"a": fed}))


def time_product(product: Product, *, threads: int, seconds: float = 0.15) -> tuple[float, float]:
    """Run a product on all threads for about `seconds`; return multiply-adds by wall and by CPU second."""
    product.run()
    started = time.perf_counter()
    product.run()
    times = max(1, round(seconds / (time.perf_counter() - started)))

    def work(_: int) -> None:
        for _ in range(times):
            product.run()

    with ThreadPoolExecutor(threads) as pool:
        wall, cpu = time.perf_counter(), time.process_time()
        list(pool.map(work, range(threads)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    done = times * threads * product.work
    return done / wall, done / cpu


def count_work(config: Path, tokens: Sequence[int]) -> Work:
    """Count the multiply-adds of a BERT on texts of so many tokens, run one by one without padding."""
    sizes = json.loads(config.read_text())
    width, inner, layers = sizes["hidden_size"], sizes["intermediate_size"], sizes["num_hidden_layers"]
    dense = layers * (
        4 * width**2 + 2 * width * inner
    )  # a token: query, key, value, output; two of the middle
    between = layers * 2 * width  # a pair of tokens: scores and sums
    return Work(float(dense * sum(tokens)), float(between * sum(n * n for n in tokens)))
