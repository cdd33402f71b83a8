"""A colour transform for tiles that nobody but a decoder looks at: fitted to a slide, undone after decoding.

H&E stains lie along two directions that a codec's YCbCr does not know: what it codes as three planes is still
correlated. The transform turns the colours to their principal axes, and AV1 codes these as they are, the strongest one
as its first plane: about 6 % fewer bytes at equal PSNR of the base than through YCbCr and libavif's own tuning
(benchmarks/NOTES.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry import Image

ONE = 1 << 16
"""The unit of the stored numbers."""

MIDDLE = 512
"""The stored sample in the middle of what 10 bits hold."""

_STEPS = 2.3
"""Stored steps for a step along an axis. The longest that an axis can be within the RGB cube is its diagonal of
255 * sqrt(3) steps, which just fits into 10 bits; and rounding by half a stored step moves no channel by half a step,
so every colour comes back as it was."""

_HIGHEST, _WHITE = 1023, 257.0


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
        rows = np.array(self.numbers, np.float64).reshape(3, 4)
        # Whole numbers far below 2^53: exact in float64, in any order of summation.
        levels = (stored.reshape(-1, 3).astype(np.float64) - MIDDLE) @ rows[:, :3].T + rows[:, 3] + ONE // 2
        return np.clip(np.floor(levels / ONE), 0, 255).astype(np.uint8).reshape(stored.shape)

    def apply(self, rgb: Image) -> NDArray[np.uint16]:
        """Turn (height, width, 3) uint8 RGB into (height, width, 3) uint16 of 10 bits, which `undo` reverts.

        Pure white is made whiter than white, which `undo` clamps: a codec that misses it by a step must not show.
        """
        rows = np.array(self.numbers, np.float64).reshape(3, 4) / ONE
        levels = rgb.reshape(-1, 3).astype(np.float64)
        levels[(levels == 255).all(-1)] = _WHITE
        stored = (levels - rows[:, 3]) @ np.linalg.inv(rows[:, :3]).T + MIDDLE
        planes: NDArray[np.uint16] = np.clip(np.rint(stored), 0, _HIGHEST).astype(np.uint16).reshape(rgb.shape)
        return planes


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
