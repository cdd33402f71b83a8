"""Turns stain concentrations into the picture that a camera takes of them."""

from __future__ import annotations

import math

import numpy as np

from ...geometry import Image
from .slab import Slab
from .textures import Field

GLASS_RGB = (243.0, 242.0, 244.0)
"""Light through bare glass, 0..255."""

# Optical density per unit of concentration in R, G, B. Haematoxylin and eosin: Ruifrok & Johnston 2001. Their eosin
# hardly absorbs blue and turns magenta when it stands alone, so that eosin is carried with some of their third
# vector, as most scanners see it. Red cells are eosin on haemoglobin's absorption of blue.
_HAEMATOXYLIN = np.array([0.650, 0.704, 0.286])
_EOSIN = 0.80 * np.array([0.072, 0.990, 0.105]) + 0.42 * np.array([0.268, 0.570, 0.776])
_ERYTHROCYTE = 0.62 * np.array([0.072, 0.990, 0.105]) + 0.62 * np.array([0.268, 0.570, 0.776])
_STAINS = np.stack([_HAEMATOXYLIN, _EOSIN, _ERYTHROCYTE]).astype(np.float32)
"""(3, 3): optical density of each stain in R, G, B."""

_TAPS = np.exp(-0.5 * (np.arange(-2, 3) / 0.8) ** 2)
_TAPS = (_TAPS / _TAPS.sum()).astype(np.float32)
"""A Gaussian of 0.8 px, on 5 px."""

_STRIP = 256
"""Rows that are exposed at a time."""


def expose(slab: Slab, rng: np.random.Generator) -> Image:
    """Expose the slab: absorption, a lens that blurs by about 0.8 px, a sensor's noise of about one step.

    Returns (height, width, 3) uint8 RGB.
    """
    size = slab.size
    out = np.empty((size.height, size.width, 3), np.uint8)
    ink = slab.stains.reshape(3, -1)
    # Nats in place of decades: exp is much faster than a power of ten.
    nats = -math.log(10) * _STAINS
    for top in range(0, size.height, _STRIP):
        bottom = min(top + _STRIP, size.height)
        upper, lower = max(top - 2, 0), min(bottom + 2, size.height)
        part = ink[:, upper * size.width : lower * size.width]
        for channel in range(3):
            density = part[0] * nats[0, channel]
            density += part[1] * nats[1, channel]
            density += part[2] * nats[2, channel]
            light = np.exp(density, out=density).reshape(lower - upper, size.width)
            light = np.pad(light, ((2 - (top - upper), 2 - (lower - bottom)), (2, 2)), mode="edge")
            light = _blur(light)
            light *= np.float32(GLASS_RGB[channel])
            light += np.float32(1.1) * rng.standard_normal(light.shape, dtype=np.float32)
            out[top:bottom, :, channel] = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    return out


def _blur(x: Field) -> Field:
    """Blur with a separable Gaussian of 0.8 px; the result has 2 px less on every side."""
    rows = _TAPS[2] * x[2:-2]
    rows += _TAPS[1] * (x[1:-3] + x[3:-1])
    rows += _TAPS[0] * (x[:-4] + x[4:])
    out: Field = _TAPS[2] * rows[:, 2:-2]
    out += _TAPS[1] * (rows[:, 1:-3] + rows[:, 3:-1])
    out += _TAPS[0] * (rows[:, :-4] + rows[:, 4:])
    return out
