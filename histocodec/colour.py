"""A colour transform for bases that nobody but a decoder looks at: fitted to a slide, undone before the generator.

H&E stains lie along two directions that a codec's YCbCr does not know: what it codes as three planes is still
correlated. The transform turns the colours so that the codec's luma carries the axis of most variance, and its chroma
the other two: 5 % fewer bytes at equal PSNR of the base on development tiles, 1 to 3 % on other labs'
(benchmarks/NOTES.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .codecs import Image

ONE = 1 << 16
"""The unit of the stored numbers."""

_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""RGB to YCbCr as the codec does it (ITU-R BT.601, full range), without the offset."""

_MOST, _LEAST = 0.5, 0.25
"""Stored steps for a step along a principal axis. YCbCr has about 0.58; less costs precision, and keeps colours far
from the others (ink, for instance) within 8 bits. Below the least, precision is worth more than the axes."""

_WITHIN = 122.0
"""Steps to both sides of the middle that all but the rarest colours have to keep to; the codec rings beyond them."""

_RAREST = 1e-4


@dataclass(frozen=True, slots=True)
class ColourTransform:
    """Stored colours to RGB, in whole numbers, so that every decoder gets the same:

    rgb[i] = clamp((sum over j of numbers[4 i + j] * (stored[j] - 128) + numbers[4 i + 3] + 2^15) >> 16, 0, 255)
    """

    numbers: tuple[int, ...]
    """Twelve, in 1/65536: three rows of a 3 x 3 matrix and an offset."""

    def undo(self, stored: Image) -> Image:
        """(height, width, 3) uint8 as it was coded -> (height, width, 3) uint8 RGB."""
        rows = np.array(self.numbers, np.float64).reshape(3, 4)
        # Whole numbers far below 2^53: exact in float64, in any order of summation.
        levels = (stored.reshape(-1, 3).astype(np.float64) - 128) @ rows[:, :3].T + rows[:, 3] + ONE // 2
        return _levels(np.floor(levels / ONE), stored.shape)

    def apply(self, rgb: Image) -> Image:
        """(height, width, 3) uint8 RGB -> (height, width, 3) uint8 to be coded: what `undo` takes back, as nearly as 8
        bits can."""
        rows = np.array(self.numbers, np.float64).reshape(3, 4) / ONE
        stored = (rgb.reshape(-1, 3) - rows[:, 3]) @ np.linalg.inv(rows[:, :3]).T + 128
        return _levels(np.rint(stored), rgb.shape)


UNCHANGED = ColourTransform((ONE, 0, 0, 128 * ONE, 0, ONE, 0, 128 * ONE, 0, 0, ONE, 128 * ONE))
"""Stored colours are RGB."""


def fit_colours(pixels: NDArray[np.uint8]) -> ColourTransform | None:
    """The principal axes of some pixels, as a transform (Karhunen-Loeve).

    pixels: (n, 3) uint8 RGB of all that will be coded, glass and ink included, or a fair sample of it. Returns None if
    there is next to nothing in them, or if their colours reach too far for 8 bits.
    """
    samples = pixels.reshape(-1, 3).astype(np.float64)
    mean = np.rint(samples.mean(0))
    variance, axes = np.linalg.eigh(np.cov((samples - mean).T) if len(samples) > 1 else np.zeros((3, 3)))
    if variance[-1] < 1:
        return None
    axes = axes[:, ::-1] * np.where(axes[:, ::-1].sum(0) < 0, -1, 1)  # strongest first, pointing to the light
    forward = np.linalg.inv(_YCBCR) @ axes.T
    low, high = np.quantile((samples - mean) @ forward.T, [_RAREST, 1 - _RAREST], axis=0)
    scale = min(_MOST, _WITHIN / float((high - low).max() / 2))
    if scale < _LEAST:
        return None
    back = np.linalg.inv(scale * forward)
    middle = mean + back @ (scale * (low + high) / 2)
    rows = np.column_stack([back, middle])
    return ColourTransform(tuple(int(v) for v in np.rint(rows * ONE).ravel()))


def _levels(values: NDArray[np.float64], shape: tuple[int, ...]) -> Image:
    return np.clip(values, 0, 255).astype(np.uint8).reshape(shape)
