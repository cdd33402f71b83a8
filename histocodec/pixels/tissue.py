"""Finding tissue: the blocks of the canonical grid that hold detail, and so are worth a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..geometry import Image
from .squares import by_square

FLAT_RANGE = 16
"""A block whose uncoded base varies by at most this much in every channel is glass. Glass in JPEG-born slides varies by
4 to 8 after the box average; the palest stroma by 30 and more."""


def tissue_blocks(base: Image, block: int) -> NDArray[np.uint8]:
    """Tell which blocks of an uncoded base hold detail.

    base: (height, width, 3) uint8 RGB, sides divisible by `block`. Returns (height / block, width / block) uint8,
    1 tissue, 0 glass.

    Examples:
        >>> base = np.full((128, 256, 3), 240, np.uint8)
        >>> base[40:60, 200:220] = 90
        >>> tissue_blocks(base, 128).tolist()
        [[0, 1]]
    """
    spread = by_square(np.maximum, base, block) - by_square(np.minimum, base, block)
    tissue: NDArray[np.uint8] = (spread.max(-1) > FLAT_RANGE).astype(np.uint8)
    return tissue
