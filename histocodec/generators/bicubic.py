"""Keys' cubic convolution in exact integers: the generator that needs no package, and the one for glass."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from ..geometry import Image

_ROWS = 32
"""Base rows that are worked on at once: their sums stay in a core's own cache."""


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
        taps, shift = _cubic_taps(scale)
        across = _enlarged_across(base, scale, width)
        levels = np.empty((height, scale, across.shape[1]), np.uint8)
        total, term = np.empty((2, min(_ROWS, height), across.shape[1]), np.int32)
        for top in range(0, height, _ROWS):
            count = min(_ROWS, height - top)
            t, u = total[:count], term[:count]
            for phase, weights in enumerate(taps.tolist()):
                first = top + 2 * phase // scale
                np.multiply(across[first : first + count], weights[0], out=t)
                for k in (1, 2, 3):
                    np.multiply(across[first + k : first + k + count], weights[k], out=u)
                    t += u
                t >>= 2 * shift
                np.clip(t, 0, 255, out=t)
                np.copyto(levels[top : top + count, phase], t, casting="unsafe")
        return levels.reshape(height * scale, width * scale, 3)


def _enlarged_across(base: Image, scale: int, width: int) -> NDArray[np.int32]:
    """Enlarge along the rows alone: return the sums, (h + 4, width * scale * 3), times 2^shift.

    2^(shift - 1) is added to each: the weights of the other axis sum to 2^shift, and make it the half that rounds.
    """
    taps, shift = _cubic_taps(scale)
    weights = _row_weights(scale, width)
    samples, step = width * scale * 3, scale * 3
    # Of the pixels of a row, each repeated, those of one tap are a run; it begins half a base pixel late.
    repeated = base.repeat(scale, axis=1).reshape(len(base), -1)[:, step // 2 :].astype(np.int32)
    across = np.full((len(base), samples), 1 << (shift - 1), np.int32)
    term = np.empty((min(_ROWS, len(base)), samples), np.int32)
    for top in range(0, len(base), _ROWS):
        sums = across[top : top + _ROWS]
        for k in range(taps.shape[1]):
            product = term[: len(sums)]
            np.multiply(repeated[top : top + _ROWS, k * step : k * step + samples], weights[k], out=product)
            sums += product
    return across


@functools.lru_cache(maxsize=16)
def _row_weights(scale: int, width: int) -> NDArray[np.int32]:
    """Return the weight of each tap for every sample of an enlarged row, (4, width * scale * 3)."""
    return np.tile(_cubic_taps(scale)[0].T.repeat(3, axis=1), (1, width))


@functools.cache
def _cubic_taps(scale: int) -> tuple[NDArray[np.int32], int]:
    """Return the four weights of each phase that are not zero, (scale, 4), over 2^shift.

    They begin at offset -2 in the first half of a base pixel, and at -1 in the second.
    """
    weights, shift = _cubic_weights(scale)
    return np.stack([weights[phase, (first := 2 * phase // scale) : first + 4] for phase in range(scale)]), shift


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
