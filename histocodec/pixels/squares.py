"""Sums, minima and maxima of every square of an image: what tissue is found by, and its quality measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def by_square(reduce: np.ufunc, image: NDArray[Any], side: int, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Reduce every square of `side` px, channel by channel.

    reduce: such as `np.add` or `np.maximum`. image: (height, width, channels), sides divisible by `side`. dtype: of sum
    and result; None for what the ufunc takes. Returns (height / side, width / side, channels).

    Examples:
        >>> by_square(np.maximum, np.arange(16).reshape(4, 4, 1), 2)[..., 0].tolist()
        [[5, 7], [13, 15]]
    """
    height, width, channels = image.shape
    # Rows first: whole lines of an image are the fastest to combine.
    lines = reduce.reduce(image.reshape(height // side, side, width * channels), axis=1, dtype=dtype)
    cut = lines.reshape(height // side, width // side, side, channels)
    squares: NDArray[Any] = reduce.reduce(cut, axis=2, dtype=dtype)
    return squares
