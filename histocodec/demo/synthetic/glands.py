"""Places glands: rings of columnar epithelium."""

from __future__ import annotations

import math

import numpy as np

from .cells import place_nucleus
from .oval import Oval
from .slab import Slab
from .textures import step


def place_glands(slab: Slab, rng: np.random.Generator) -> None:
    """Place rings of columnar epithelium around a lumen."""
    for x, y in slab.spots(150, rng):
        lumen, height = rng.uniform(14, 60), rng.uniform(44, 66)
        if slab.depth[int(y), int(x)] < 0.3 or rng.random() < 0.3:
            continue
        stretch, angle = rng.uniform(1.0, 1.7), rng.uniform(0, math.pi)
        axes = ((lumen + height) * stretch, lumen + height)
        oval = Oval.drawn(slab, (x, y), axes, angle, rng, reach=1.2, uneven=0.11)
        if not oval.is_free(slab):
            continue
        haematoxylin, eosin, _ = slab.stains[:, oval.rows, oval.columns]
        grain = oval.grain(slab, rng)
        within = lumen / (lumen + height)
        hollow = step((within - oval.radius) * oval.inner + 2.2 * grain, 2.5)
        apical = np.clip((oval.radius - within) / (1 - within), 0, 1)
        cells = round(2 * math.pi * 0.75 * (axes[0] + axes[1]) / 2 / 24)
        border = np.exp(-np.square(np.sin(0.5 * cells * np.angle(oval.around) + 0.35 * grain) / 0.13))
        texture = np.exp(np.float32(0.13) * grain) * (1 - 0.22 * border)
        wall = oval.filled(softness=1.5)
        eosin += wall * ((0.20 + 0.09 * apical) * texture - 0.85 * eosin)
        haematoxylin += wall * ((0.07 + 0.11 * apical) * texture - haematoxylin)
        eosin += 0.14 * oval.ring(1.01, 1.6) + 0.10 * oval.ring(within, 1.8)
        eosin *= 1 - 0.93 * hollow
        haematoxylin *= 1 - 0.98 * hollow
        oval.take(slab, 1.1)
        _line_with_nuclei(slab, (x, y), axes, angle, rng, at=1 - 19 / axes[1], spacing=20)


def _line_with_nuclei(
    slab: Slab,
    centre: tuple[float, float],
    axes: tuple[float, float],
    angle: float,
    rng: np.random.Generator,
    *,
    at: float,
    spacing: float,
) -> None:
    """Place columnar nuclei on the ellipse `at` times `axes`, `spacing` px apart."""
    mean = at * (axes[0] + axes[1]) / 2
    for bearing in np.arange(0, 2 * math.pi, spacing / mean):
        along = float(bearing) + rng.normal(0, 0.12 * spacing / mean)
        sunk = at * rng.uniform(0.88, 1.03) - (rng.uniform(0.12, 0.25) if rng.random() < 0.3 else 0.0)
        u, v = sunk * axes[0] * math.cos(along), sunk * axes[1] * math.sin(along)
        x = centre[0] + math.cos(angle) * u - math.sin(angle) * v
        y = centre[1] + math.sin(angle) * u + math.cos(angle) * v
        if not (0 <= x < slab.size.width and 0 <= y < slab.size.height):
            continue
        outward = math.atan2(axes[0] * math.sin(along), axes[1] * math.cos(along)) + angle
        shape = (rng.uniform(13, 19), rng.uniform(8.5, 12))
        density, vesicular = rng.uniform(0.45, 0.8), rng.uniform(0.2, 0.9)
        turned = outward + rng.normal(0, 0.2)
        place_nucleus(slab, (x, y), shape, turned, rng, density=density, vesicular=vesicular)
