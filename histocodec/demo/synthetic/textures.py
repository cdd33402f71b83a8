"""Random textures: smooth noise of several sizes, and fibres."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...geometry import Size

Field = NDArray[np.floating]
"""height x width; float32 throughout."""


def step(x: Field, softness: float) -> Field:
    """Return 0 below -softness, 1 above softness, a cubic between."""
    t: Field = np.clip(x * np.float32(0.5 / softness) + np.float32(0.5), 0, 1)
    return t * t * (3 - 2 * t)


def noise(size: Size, cell: int, rng: np.random.Generator) -> Field:
    """Return smooth noise of zero mean and unit variance: random values every `cell` px, a cubic B-spline between."""
    rows, columns = -(-size.height // cell), -(-size.width // cell)
    knots = rng.standard_normal((rows + 3, columns + 3), dtype=np.float32)
    weights = _spline_weights(cell)
    tall = np.empty((rows, cell, columns + 3), np.float32)
    for phase, (a, b, c, d) in enumerate(weights):
        tall[:, phase] = a * knots[:-3] + b * knots[1:-2] + c * knots[2:-1] + d * knots[3:]
    tall = tall.reshape(rows * cell, columns + 3)[: size.height]
    out = np.empty((size.height, columns, cell), np.float32)
    for phase, (a, b, c, d) in enumerate(weights):
        out[:, :, phase] = a * tall[:, :-3] + b * tall[:, 1:-2] + c * tall[:, 2:-1] + d * tall[:, 3:]
    return out.reshape(size.height, columns * cell)[:, : size.width]


def rough(size: Size, octaves: tuple[tuple[int, float], ...], rng: np.random.Generator) -> Field:
    """Return a sum of smooth noises, each given as (cell in px, standard deviation)."""
    total: Field = np.zeros((size.height, size.width), np.float32)
    for cell, amplitude in octaves:
        total += np.float32(amplitude) * noise(size, cell, rng)
    return total


def profile(across: Field, cell: int, rng: np.random.Generator) -> Field:
    """Return smooth noise over the coordinate across the fibres alone: random values about every `cell` px."""
    table = noise(Size(4096 * 8, 1), 8, rng)[0] * np.float32(1 / 0.69)
    profile: Field = table[(across * np.float32(8 / cell)).astype(np.int32) & (table.size - 1)]
    return profile


def _spline_weights(cell: int) -> NDArray[np.float32]:
    """Return the uniform cubic B-spline at the centres of `cell` px, (cell, 4), scaled to unit variance in two axes."""
    t = ((np.arange(cell) + 0.5) / cell)[:, None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1)
    weights /= math.sqrt(float(np.mean(np.sum(weights**2, axis=1))))
    return weights.astype(np.float32)
