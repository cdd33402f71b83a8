"""Keys' cubic convolution in exact integers: the generator that needs no package, and the one for glass."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from ..geometry import Image


class BicubicGenerator:
    """Keys' cubic convolution (a = -1/2; Keys 1981) in integers: exact on every machine.

    The centre of base pixel b lies at full coordinate scale * b + (scale - 1) / 2. Both axes are summed without
    rounding between them; the result is rounded once, halves up, and clipped to 0..255.

    Examples:
        >>> enlarge = BicubicGenerator(4)
        >>> ramp = np.arange(0, 120, 10, np.uint8)[None, :, None].repeat(5, axis=0).repeat(3, axis=2)  # (5, 12, 3)
        >>> enlarge(ramp).shape
        (4, 32, 3)
        >>> enlarge(ramp)[0, :5, 0].tolist()
        [16, 19, 21, 24, 26]
    """

    halo = 2
    package = None
    is_exact = True

    def __init__(self, scale: int) -> None:
        if scale not in (2, 4):
            raise SettingsError(f"the scale must be 2 or 4, found {scale}")
        self.scale = scale

    @property
    def name(self) -> str:
        """Name, as the manifest states it."""
        return f"bicubic-x{self.scale}"

    @property
    def digest(self) -> str:
        """`builtin:` and the name: the format defines what it computes."""
        return f"builtin:{self.name}"

    def __call__(self, base: Image) -> Image:
        """Enlarge (h + 4, w + 4, 3) uint8 RGB to (h * scale, w * scale, 3) uint8 RGB."""
        height, width = base.shape[0] - 4, base.shape[1] - 4
        scale = self.scale
        inner = base[2:-2, 2:-2]
        if (base == base[0, 0]).all():  # flat glass: the weights sum to one, so this is the same result
            return np.broadcast_to(inner[0, 0], (height * scale, width * scale, 3)).copy()
        # Matrix products of whole numbers below 2^53 are exact in float64, in any order: fast, and the same everywhere.
        down, shift = _cubic_matrix(scale, height)
        across, _ = _cubic_matrix(scale, width)
        planes = np.ascontiguousarray(base.transpose(2, 0, 1), np.float64)
        total = ((down @ planes).reshape(-1, width + 4) @ across.T).reshape(3, height * scale, width * scale)
        total += 2.0 ** (2 * shift - 1)
        total *= 2.0 ** (-2 * shift)
        levels = np.clip(total, 0, 255, out=total).astype(np.uint8)  # which drops the fraction
        return np.ascontiguousarray(levels.transpose(1, 2, 0))


@functools.lru_cache(maxsize=16)
def _cubic_matrix(scale: int, size: int) -> tuple[NDArray[np.float64], int]:
    """Return the weights as a (size * scale, size + 4) matrix from base pixels with their halo, over 2^shift."""
    weights, shift = _cubic_weights(scale)
    matrix = np.zeros((size, scale, size + 4))
    for pixel in range(size):
        matrix[pixel, :, pixel : pixel + 5] = weights
    return matrix.reshape(size * scale, size + 4), shift


@functools.cache
def _cubic_weights(scale: int) -> tuple[NDArray[np.int32], int]:
    """Return the weights of the base pixels at offsets -2..2 for each of `scale` phases, as integers over 2^shift.

    Phase p lies (2 p + 1 - scale) / (2 scale) base pixels from the centre of its base pixel. With m = 2 * scale, every
    distance is a multiple of 1 / m, so every weight is a multiple of 1 / (2 m^3).
    """
    m = 2 * scale
    weights = np.zeros((scale, 5), np.int32)
    for phase in range(scale):
        for k in range(5):
            d = abs(m * (k - 2) - (2 * phase + 1 - scale))  # distance times m
            if d < m:  # 1 - 5/2 t^2 + 3/2 t^3
                weights[phase, k] = 3 * d**3 - 5 * m * d**2 + 2 * m**3
            elif d < 2 * m:  # 2 - 4 t + 5/2 t^2 - 1/2 t^3
                weights[phase, k] = -(d**3) + 5 * m * d**2 - 8 * m**2 * d + 4 * m**3
    shift = (2 * m**3).bit_length() - 1
    common = int(np.gcd.reduce(np.append(weights.ravel(), 1 << shift)))
    return weights // common, shift - (common.bit_length() - 1)
