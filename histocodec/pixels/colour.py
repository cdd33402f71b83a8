"""A colour transform for tiles that nobody but a decoder looks at: fitted to a slide, undone after decoding.

H&E stains lie along two directions that a codec's YCbCr does not know: what it codes as three planes is still
correlated. The transform turns the colours to their principal axes, and AV1 codes these as they are, the strongest one
as its first plane: about 6 % fewer bytes at equal PSNR of the base than through YCbCr and libavif's own tuning
(benchmarks/NOTES.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..geometry import Image

_SHIFT = 16
ONE = 1 << _SHIFT
"""The unit of the stored numbers."""

MIDDLE = 512
"""The stored sample in the middle of what 10 bits hold."""

_STEPS = 2.3
"""Stored steps for a step along an axis. The longest that an axis can be within the RGB cube is its diagonal of
255 * sqrt(3) steps, which just fits into 10 bits; and rounding by half a stored step moves no channel by half a step,
so every colour comes back as it was."""

_HIGHEST, _WHITE = 1023, 257.0

_STRIP = 1 << 15
"""Pixels that are transformed at a time."""

A = TypeVar("A", bound=np.generic)
B = TypeVar("B", bound=np.generic)


@dataclass(frozen=True, slots=True)
class ColourTransform:
    """The map from stored colours to RGB, in whole numbers, so that every decoder gets the same.

    rgb[i] = clamp((sum over j of numbers[4 i + j] * (stored[j] - 512) + numbers[4 i + 3] + 2^15) >> 16, 0, 255)
    """

    numbers: tuple[int, ...]
    """Twelve, in 1/65536: three rows of a 3 x 3 matrix and an offset."""

    def shifted(self, steps: NDArray[np.float64]) -> ColourTransform:
        """Return the transform that gives so many 8-bit steps of R, G and B more, fractions included. steps: (3,)."""
        numbers = list(self.numbers)
        for channel, step in enumerate(steps.tolist()):
            numbers[4 * channel + 3] += round(step * ONE)
        return ColourTransform(tuple(numbers))

    def undo(self, stored: NDArray[np.uint16]) -> Image:
        """Turn stored samples, (height, width, 3) uint16 of 10 bits, into (height, width, 3) uint8 RGB."""
        rows = [self.numbers[at : at + 4] for at in range(0, 12, 4)]
        rows = [(p, q, r, offset - (p + q + r) * MIDDLE + ONE // 2) for p, q, r, offset in rows]
        reach = max(abs(offset) + _HIGHEST * (abs(p) + abs(q) + abs(r)) for p, q, r, offset in rows)
        image = np.empty(stored.shape, np.uint8)
        for pixels, out in _strips(stored, image):
            for channel, levels in enumerate(_mixed(pixels, rows, np.int32 if reach < 1 << 31 else np.int64)):
                levels >>= _SHIFT
                out[:, channel] = np.clip(levels, 0, 255, out=levels)
        return image

    def apply(self, rgb: Image) -> NDArray[np.uint16]:
        """Turn (height, width, 3) uint8 RGB into (height, width, 3) uint16 of 10 bits, which `undo` reverts.

        Pure white is made whiter than white, which `undo` clamps: a codec that misses it by a step must not show.
        """
        matrix = np.array(self.numbers, np.float64).reshape(3, 4) / ONE
        inverse = np.linalg.inv(matrix[:, :3])
        # Half a step more, as what follows drops the fraction.
        offsets = MIDDLE + 0.5 - (inverse * matrix[:, 3]).sum(1)
        rows = np.column_stack([inverse, offsets]).tolist()
        planes = np.empty(rgb.shape, np.uint16)
        for pixels, out in _strips(rgb, planes):
            # Single precision errs by a thousandth of a step, and half a step is far from mattering (`_STEPS`).
            for plane, samples in enumerate(_mixed(pixels, rows, np.float32)):
                out[:, plane] = np.clip(samples, 0, _HIGHEST, out=samples)
            white = (pixels[:, 0] & pixels[:, 1] & pixels[:, 2]) == 255
            out[white] = [int(min(max(sum(row[:3]) * _WHITE + row[3], 0), _HIGHEST)) for row in rows]
        return planes


def _strips(pixels: NDArray[A], out: NDArray[B]) -> Iterator[tuple[NDArray[A], NDArray[B]]]:
    """Yield strips of two images of one size as (n, 3) views: what is worked on stays in a core's cache."""
    flat, flat_out = pixels.reshape(-1, 3), out.reshape(-1, 3)
    for at in range(0, len(flat), _STRIP):
        yield flat[at : at + _STRIP], flat_out[at : at + _STRIP]


def _mixed(
    pixels: NDArray[Any], rows: Sequence[Sequence[float]], dtype: type[np.int32 | np.int64 | np.float32]
) -> Iterator[NDArray[Any]]:
    """Yield three planes, (n,) of `dtype` each: the samples of (n, 3) pixels, weighed by a row, and its offset added.

    Without a matrix product, whose library would use threads of its own, and is exact in floats alone.
    """
    x, y, z = pixels.T.astype(dtype, order="C")
    part = np.empty_like(x)
    for p, q, r, offset in rows:
        total = x * p
        total += offset
        total += np.multiply(y, q, out=part)
        total += np.multiply(z, r, out=part)
        yield total


def fit_colours(pixels: NDArray[np.uint8]) -> ColourTransform:
    """Fit a transform to the principal axes of some pixels (Karhunen-Loeve).

    pixels: (n, 3) uint8 RGB of all that will be coded, glass and ink included, or a fair sample of it. Whatever they
    are, every colour comes back exactly from what `apply` makes of it. Of pixels without variance the axes are G, B, R.
    """
    samples = pixels.reshape(-1, 3).astype(np.float64)
    variance, axes = np.linalg.eigh(np.cov(samples.T) if len(samples) > 1 else np.zeros((3, 3)))
    axes = axes[:, ::-1] if variance[-1] >= 1 else np.eye(3)[:, [1, 2, 0]]
    axes = axes * np.where(axes.sum(0) < 0, -1, 1)  # pointing to the light
    # AV1's first plane is the second sample of a stored pixel, as G is of RGB (`av1.Planes`).
    rows = np.column_stack([axes[:, [2, 0, 1]] / _STEPS, np.full(3, 127.5)])
    return ColourTransform(tuple(int(v) for v in np.rint(rows * ONE).ravel()))


UNCHANGED = fit_colours(np.empty((0, 3), np.uint8))
"""The transform whose axes are those of RGB."""
