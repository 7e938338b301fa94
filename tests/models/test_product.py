"""Products with few columns: in pieces, and the same numbers."""

import numpy as np
import pytest

from models.product import QUIET, multiply


@pytest.mark.parametrize("count", [0, 1, 700, 2 * QUIET // (384 * 5) + 3])
@pytest.mark.parametrize("columns", [0, 1, 5, 60])
def test_pieces_give_what_the_whole_gives(count, columns):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((count, 384)).astype(np.float32)
    aims = np.asfortranarray(rng.standard_normal((384, columns)).astype(np.float32))
    product = multiply(vectors, aims)
    assert product.dtype == np.float32
    np.testing.assert_allclose(product, vectors @ aims, rtol=1e-4, atol=1e-4)
