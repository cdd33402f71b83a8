"""The squares on which a floor holds: 256 full pixels a side, about what a person looks at in one glance.

A block of a 10x base has 512 full pixels a side, and a quarter of it can be 3 dB worse than all of it. So blocks are
what is coded, and squares are what is promised. `formats/container/v1/spec.md`, section 11.2, is normative.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..geometry import Image, Region
from .metrics import psnr_of_mse

SQUARE = 256
"""Full pixels a side. A block that is smaller is one square."""

SLIVER = 16
"""Pixels. Where the slide's edge leaves less of a square, that counts with the square before it in the same block, if
there is one: it is narrower than a nucleus, and a floor on it alone would set the price of the whole block."""


def square_side(block: int, stated: int | None = SQUARE) -> int:
    """Return the full pixels a side of the squares of a block of `block` px. stated: None for a whole block."""
    return block if stated is None else min(stated, block)


def lowest_psnr(source: Image, made: Image, square: int = SQUARE) -> float:
    """Return the PSNR in dB of the worst square; infinity for equal images. The images are as for `worst_square`."""
    return worst_square(source, made, square)[0]


def worst_square(source: Image, made: Image, square: int = SQUARE) -> tuple[float, Region]:
    """Return the PSNR in dB of the worst square, infinity for equal images, and its place, the first of equal ones.

    source, made: (height, width, 3) uint8 of a block, the part within the slide, from the block's top left corner.
    """
    difference = source.astype(np.int32) - made
    squared = difference * difference
    height, width = source.shape[:2]
    worst, place = -1.0, None
    for top, bottom in pairwise(_edges(height, square)):
        for left, right in pairwise(_edges(width, square)):
            mse = float(squared[top:bottom, left:right].mean(dtype=np.float64))
            if mse > worst:
                worst, place = mse, Region(left, top, right - left, bottom - top)
    assert place is not None
    return psnr_of_mse(worst), place


def _edges(length: int, square: int) -> list[int]:
    """Return where the squares along a side of a block begin, and where the last one ends."""
    edges = [*range(0, length, square), length]
    if len(edges) > 2 and length - edges[-2] < SLIVER:
        del edges[-2]
    return edges
