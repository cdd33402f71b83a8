"""The engine that needs nothing but numpy: what the specification says, slowly.

It is the reference that checksums of packages are made with, the start of every decoder, and its last resort.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..integer_net import LEAK_SHIFT, ZERO_POINT, IntegerNet


class NumpyEngine:
    """Computes a network in single precision, which holds every sum exactly (`integer_net`).

    Its products of matrices may be shared out by a BLAS to a team of threads. Where it computes whole slides on a busy
    machine, OPENBLAS_NUM_THREADS=1 in the environment keeps those teams from waiting for each other.
    """

    name = "numpy"
    version = np.__version__

    def __init__(self, net: IntegerNet) -> None:
        self._net = net
        # (row, column, out, in): a matrix for each of the nine places of a convolution
        self._matrices = [np.ascontiguousarray(layer.weight.transpose(2, 3, 0, 1), np.float32) for layer in net.layers]
        self._biases = [_column(layer.bias) for layer in net.layers]
        self._powers = [_column(np.exp2(layer.shift)) for layer in net.layers]

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Compute a batch: (n, height, width, 3) uint8 RGB to the same of the network's output size."""
        return np.stack([self._one(image) for image in images])

    def kernel(self) -> str:
        """Return the library of linear algebra that numpy was built with."""
        return str(np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"])

    def _one(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        net, scale, halo = self._net, self._net.scale, self._net.halo
        x = image.transpose(2, 0, 1).astype(np.float32)
        if net.enlarges:
            added = x[:, halo:-halo, halo:-halo].repeat(scale * scale, axis=0)
        else:
            _, height, width = x.shape
            cells = x.reshape(3, height // scale, scale, width // scale, scale).transpose(0, 2, 4, 1, 3)
            x = cells.reshape(3 * scale * scale, height // scale, width // scale)
            added = cells.sum((1, 2))[:, halo:-halo, halo:-halo] / np.float32(scale * scale)
        stream = x
        for index, power in enumerate(self._powers[:-1]):
            total = self._sums(index, x)
            if net.adds_stream(index):
                total += stream[:, 2:-2, 2:-2] * power
            total /= power
            np.maximum(total, total * np.float32(2.0**-LEAK_SHIFT), out=total)
            np.rint(total, out=total)
            total += ZERO_POINT
            x = np.clip(total, 0, 255, out=total)
            if index % 2 == 0:
                stream = x
        total = self._sums(len(net.layers) - 1, x) + added * self._powers[-1]
        total /= self._powers[-1]
        out = np.clip(np.rint(total), 0, 255).astype(np.uint8)
        if net.enlarges:
            _, height, width = out.shape
            shuffled = out.reshape(3, scale, scale, height, width).transpose(3, 1, 4, 2, 0)
            return np.ascontiguousarray(shuffled).reshape(height * scale, width * scale, 3)
        return np.ascontiguousarray(out.transpose(1, 2, 0))

    def _sums(self, index: int, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convolve: (channels, height, width) to the sums, two less in height and width."""
        matrices, (channels, height, row) = self._matrices[index], x.shape
        # Rows stay as wide as the input's: then each place of the convolution is one contiguous run of it, and the two
        # sums at the end of a row that mix two rows are dropped.
        flat = x.reshape(channels, -1)
        length = (height - 2) * row - 2
        total = np.zeros((matrices.shape[2], (height - 2) * row), np.float32)
        for i in range(3):
            for j in range(3):
                start = i * row + j
                total[:, :length] += matrices[i, j] @ flat[:, start : start + length]
        sums: NDArray[np.float32] = total.reshape(-1, height - 2, row)[:, :, : row - 2] + self._biases[index]
        return sums


def _column(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the values of output channels so that they broadcast over (channels, height, width)."""
    return values.astype(np.float32)[:, None, None]
