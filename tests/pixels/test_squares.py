"""Reduction by squares, against a loop over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from histocodec.pixels.squares import by_square


@pytest.mark.parametrize(("reduce", "dtype"), [(np.add, np.uint32), (np.maximum, None), (np.minimum, None)])
def test_every_square_is_reduced_by_itself(reduce: np.ufunc, dtype: Any) -> None:
    image = np.random.default_rng(3).integers(0, 256, (24, 40, 3), np.uint8)
    found = by_square(reduce, image, 8, dtype)
    assert found.shape == (3, 5, 3)
    assert found.dtype == (dtype or np.uint8)
    for row, column in np.ndindex(3, 5):
        square = image[8 * row : 8 * row + 8, 8 * column : 8 * column + 8].reshape(-1, 3)
        assert np.array_equal(found[row, column], reduce.reduce(square, axis=0, dtype=dtype))
