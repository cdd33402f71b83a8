"""The self-test of an engine: a block that everybody can make, and the checksum that a package states of its result."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..geometry import Image
from .integer_net import IntegerNet

Compute = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""The call of an engine: a batch of images to a batch of images."""

SIDE = 64
"""Base pixels a side of the test block, without its halo."""


def build_test_block(net: IntegerNet) -> Image:
    """Make the input of the self-test: a third each of noise, of noise of 0 and 255 alone, and of ramps.

    Returns (side, side, 3) uint8, side = 64 + 2 halo base pixels; for a downsampler, so many of scale full pixels.
    """
    side = (SIDE + 2 * net.halo) * (1 if net.enlarges else net.scale)
    noise = np.arange(side * side * 3, dtype=np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):  # the last steps of MurmurHash3
        noise ^= noise >> np.uint32(shift)
        noise *= np.uint32(factor)
    row, column, channel = np.ogrid[:side, :side, :3]
    ramps = 3 * row + 2 * column + 85 * channel
    image = noise.reshape(side, side, 3)
    third = np.broadcast_to(3 * row // side, image.shape)
    return np.choose(third, (image & 255, (image & 1) * 255, ramps & 255)).astype(np.uint8)


def crc32_of_test_block(net: IntegerNet, compute: Compute) -> int:
    """Return the CRC-32 of what an engine makes of the test block, sample by sample as it lies in memory."""
    return zlib.crc32(np.ascontiguousarray(compute(build_test_block(net)[None])).data)
