"""The engine that needs nothing but numpy: what the specification says, slowly.

It is the reference that checksums of packages are made with, and the last resort of a decoder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..integer_net import LEAK_SHIFT, ZERO_POINT, IntegerNet, Layer


class NumpyEngine:
    """Computes a network by matrix products in single precision, which are exact (`integer_net`)."""

    name = "numpy"

    def __init__(self, net: IntegerNet) -> None:
        self._net = net
        # (row, column, out, in): a matrix for each of the nine places of a convolution
        self._matrices = [
            np.ascontiguousarray(layer.weight.transpose(2, 3, 0, 1), np.float32) for layer in net.layers
        ]

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Compute a batch: (n, height, width, 3) uint8 RGB to the same of the network's output size."""
        return np.stack([self._one(image) for image in images])

    def _one(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        net, scale, halo = self._net, self._net.scale, self._net.halo
        planes = image.transpose(2, 0, 1)
        if net.enlarges:
            x = planes
            added = planes[:, halo:-halo, halo:-halo].astype(np.int32).repeat(scale * scale, axis=0)
            mean_shift = 0
        else:
            _, height, width = planes.shape
            cells = planes.reshape(3, height // scale, scale, width // scale, scale).transpose(0, 2, 4, 1, 3)
            x = cells.reshape(3 * scale * scale, height // scale, width // scale)
            added = cells.sum((1, 2), dtype=np.int32)[:, halo:-halo, halo:-halo]
            mean_shift = 2 * (scale.bit_length() - 1)
        stream = x
        last = len(net.layers) - 1
        for index, layer in enumerate(net.layers[:-1]):
            total = self._sums(index, x)
            if net.adds_stream(index):
                total += stream[:, 2:-2, 2:-2].astype(np.int32) << _column(layer)
            total = np.maximum(total << LEAK_SHIFT, total)
            x = np.clip(rounded_shift(total, _column(layer) + LEAK_SHIFT) + ZERO_POINT, 0, 255).astype(np.uint8)
            if index % 2 == 0:
                stream = x
        tail = _column(net.layers[last])
        total = self._sums(last, x) + (added << (tail - mean_shift))
        out = np.clip(rounded_shift(total, tail), 0, 255).astype(np.uint8)
        if net.enlarges:
            _, height, width = out.shape
            shuffled = out.reshape(3, scale, scale, height, width).transpose(3, 1, 4, 2, 0)
            return np.ascontiguousarray(shuffled).reshape(height * scale, width * scale, 3)
        return np.ascontiguousarray(out.transpose(1, 2, 0))

    def _sums(self, index: int, x: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Convolve: (channels, height, width) to the sums, two less in height and width."""
        matrices, channels = self._matrices[index], x.shape[0]
        height, width = x.shape[1] - 2, x.shape[2] - 2
        row = x.shape[2]
        # Rows stay as wide as the input's: then each place of the convolution is one contiguous run of it, and the two
        # sums at the end of a row that mix two rows are dropped.
        flat = x.astype(np.float32).reshape(channels, -1)
        length = height * row - 2
        total = np.zeros((matrices.shape[2], height * row), np.float32)
        for i in range(3):
            for j in range(3):
                start = i * row + j
                total[:, :length] += matrices[i, j] @ flat[:, start : start + length]
        sums = total.reshape(-1, height, row)[:, :, :width].astype(np.int32)
        return sums + self._net.layers[index].bias[:, None, None]


def rounded_shift(total: NDArray[np.int32], shift: NDArray[np.int32]) -> NDArray[np.int32]:
    """Divide by 2^shift and round half to even."""
    half_less_one = (np.int32(1) << np.maximum(shift - 1, 0)) - 1
    up = np.where(shift > 0, half_less_one + ((total >> shift) & 1), 0)
    return (total + up) >> shift


def _column(layer: Layer) -> NDArray[np.int32]:
    """Return the shifts of a layer so that they broadcast over (channels, height, width)."""
    return layer.shift.astype(np.int32)[:, None, None]
