"""Places capillaries with the red cells in them."""

from __future__ import annotations

import math

import numpy as np

from .cells import place_nucleus
from .oval import Oval
from .slab import Slab


def place_vessels(slab: Slab, rng: np.random.Generator) -> None:
    """Place capillaries: a thin wall with flat nuclei, red cells inside."""
    for x, y in slab.spots(260, rng):
        axes = (rng.uniform(40, 95), rng.uniform(22, 40))
        if slab.depth[int(y), int(x)] < 0.15 or slab.epithelium[int(y), int(x)] > -0.1 or rng.random() < 0.3:
            continue
        angle = slab.fibre_angle(x, y)
        oval = Oval.drawn(slab, (x, y), axes, angle, rng, reach=1.3, uneven=0.08)
        if not oval.is_free(slab):
            continue
        slab.stains[:, oval.rows, oval.columns] *= 1 - 0.96 * oval.filled(softness=1.5)
        slab.stains[1, oval.rows, oval.columns] += 0.26 * oval.ring(1.08, 2.4)
        for _ in range(int(axes[0] * axes[1] / 330)):
            bearing, away = rng.uniform(0, 2 * math.pi), 0.72 * math.sqrt(rng.random())
            u, v = away * axes[0] * math.cos(bearing), away * axes[1] * math.sin(bearing)
            spot = (x + math.cos(angle) * u - math.sin(angle) * v, y + math.sin(angle) * u + math.cos(angle) * v)
            _place_erythrocyte(slab, spot, rng)
        for bearing in rng.uniform(0, 2 * math.pi, int(rng.integers(3, 7))):
            u, v = 1.1 * axes[0] * math.cos(bearing), 1.1 * axes[1] * math.sin(bearing)
            spot = (x + math.cos(angle) * u - math.sin(angle) * v, y + math.sin(angle) * u + math.cos(angle) * v)
            if 0 <= spot[0] < slab.size.width and 0 <= spot[1] < slab.size.height:
                tangent = angle + math.atan2(axes[1] * math.cos(bearing), -axes[0] * math.sin(bearing))
                shape = (rng.uniform(14, 21), rng.uniform(4, 6))
                place_nucleus(slab, spot, shape, tangent, rng, density=0.85, vesicular=0.1)
        oval.take(slab, 1.3)


def _place_erythrocyte(slab: Slab, centre: tuple[float, float], rng: np.random.Generator) -> None:
    """Paint a red cell: a biconcave disc of about 7 um, pressed a little."""
    if not (0 <= centre[0] < slab.size.width and 0 <= centre[1] < slab.size.height):
        return
    axes = (rng.uniform(12, 14.5), rng.uniform(9, 13))
    oval = Oval.drawn(slab, centre, axes, rng.uniform(0, math.pi), rng)
    body = oval.filled()
    red = slab.stains[2, oval.rows, oval.columns]
    disc = np.float32(rng.uniform(0.38, 0.55)) * (0.8 + 0.3 * np.square(np.minimum(oval.radius, 1)))
    red += body * (disc - 0.8 * red)
