"""Products of many vectors with few columns, which BLAS spoils by starting threads for them."""

from __future__ import annotations

import numpy as np

from models.encode import Vectors

# Multiplications below which OpenBLAS stays in its caller's thread. Threads that wait for each other cost
# four times what they save where a column or ten are asked for, and more where the processors are busy.
QUIET = 250_000
LEAST_ROWS = 32  # in fewer at a time the calls cost more


def multiply(vectors: Vectors, columns: Vectors) -> Vectors:
    """Multiply vectors (n, d) with columns (d, k): float32 (n, k)."""
    rows = QUIET // max(columns.size, 1)
    if rows < LEAST_ROWS or rows >= len(vectors):
        return np.asarray(vectors @ columns, dtype=np.float32)
    product = np.empty((len(vectors), columns.shape[1]), dtype=np.float32)
    for start in range(0, len(vectors), rows):
        np.matmul(vectors[start : start + rows], columns, out=product[start : start + rows])
    return product
