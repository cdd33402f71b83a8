"""Ellipses with uneven rims, of which nuclei, glands, vessels and blood cells are made."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .slab import Slab
from .textures import Field, step


@dataclass(frozen=True, slots=True)
class Oval:
    """A window on the slab around an ellipse with an uneven rim."""

    rows: slice
    columns: slice
    radius: Field
    """Distance from the centre: 0 there, 1 on the rim."""
    around: NDArray[np.complex64]
    """Unit vector from the centre, in the ellipse's own frame stretched to a circle."""
    inner: float
    """Smaller semi-axis in px: radius * inner is about a distance in px."""

    @classmethod
    def drawn(
        cls,
        slab: Slab,
        centre: tuple[float, float],
        axes: tuple[float, float],
        angle: float,
        rng: np.random.Generator,
        *,
        reach: float = 1.3,
        uneven: float = 0.06,
    ) -> Oval:
        """Draw an oval. axes: semi-axes in px. angle: of the first one, in radians.

        reach: half side of the window, in larger semi-axes. uneven: size of the rim's waves, as a share of the axes.
        """
        half = math.ceil(reach * max(axes)) + 2
        left, top = int(centre[0]) - half, int(centre[1]) - half
        rows = slice(max(top, 0), min(top + 2 * half + 1, slab.size.height))
        columns = slice(max(left, 0), min(left + 2 * half + 1, slab.size.width))
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(centre[1]))[:, None]
        x = (np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(centre[0]))[None, :]
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        u, v = (cos * x + sin * y) / np.float32(axes[0]), (cos * y - sin * x) / np.float32(axes[1])
        radius = np.sqrt(u * u + v * v) + np.float32(1e-6)
        # Powers of a unit vector stand for multiples of its angle: cheaper than cosines of them.
        around = ((u + np.complex64(1j) * v) / radius).astype(np.complex64, copy=False)
        second = around * around
        third = second * around
        rim = np.ones_like(radius)
        for order, power in ((2, second), (3, third), (5, third * second)):
            size, phase = 2 / order * uneven * rng.uniform(0.3, 1.0), rng.uniform(0, 2 * math.pi)
            rim += np.float32(size * math.cos(phase)) * power.real - np.float32(size * math.sin(phase)) * power.imag
        return cls(rows, columns, radius / rim, around, min(axes))

    def filled(self, at: float = 1.0, softness: float = 0.9) -> Field:
        """Return 1 within `at` times the rim, 0 outside of it; softness: of the edge, in px."""
        return step((np.float32(at) - self.radius) * np.float32(self.inner), softness)

    def ring(self, at: float, width: float) -> Field:
        """Return a Gaussian ridge of `width` px (standard deviation) at `at` times the rim."""
        ridge: Field = np.exp(
            np.float32(-0.5) * np.square((self.radius - np.float32(at)) * np.float32(self.inner / width))
        )
        return ridge

    def is_free(self, slab: Slab) -> bool:
        """Tell whether nothing has been placed within the oval."""
        inside = self.radius[::8, ::8] < 1.15
        taken = slab.taken[self.rows.start // 8 :, self.columns.start // 8 :]
        return not (inside & taken[: inside.shape[0], : inside.shape[1]]).any()

    def grain(self, slab: Slab, rng: np.random.Generator) -> Field:
        """Return fine texture for this window, of about unit variance."""
        height, width = self.radius.shape
        row = int(rng.integers(0, slab.chromatin.shape[0] - height))
        column = int(rng.integers(0, slab.chromatin.shape[1] - width))
        return slab.chromatin[row : row + height, column : column + width]

    def take(self, slab: Slab, at: float) -> None:
        """Keep other cells out of the oval grown to `at` times its rim."""
        rows, columns = np.nonzero(self.radius < at)
        slab.taken[(rows + self.rows.start) // 8, (columns + self.columns.start) // 8] = True
