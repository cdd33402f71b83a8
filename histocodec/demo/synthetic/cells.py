"""Places single cells, wherever glands and vessels leave room."""

from __future__ import annotations

import math

import numpy as np

from .oval import Oval
from .slab import Slab


def place_cells(slab: Slab, rng: np.random.Generator) -> None:
    """Place sheets of epithelium, fibroblasts and lymphocytes, one cell at a time."""
    epithelial = []
    for x, y in slab.spots(27, rng):
        if slab.is_taken(x, y):
            continue
        sheet, crowd = slab.epithelium[int(y), int(x)], slab.crowd[int(y), int(x)]
        chance = rng.random()
        if crowd > 1.15 and chance < 0.8:
            radius = rng.uniform(11.5, 14)
            axes = (radius, radius * rng.uniform(0.85, 1.0))
            angle = rng.uniform(0, math.pi)
            place_nucleus(slab, (x, y), axes, angle, rng, density=rng.uniform(0.65, 0.9), vesicular=0.25)
        elif sheet > 0.05 and chance < 0.72:
            long = rng.uniform(13.5, 20)
            axes = (long, long * rng.uniform(0.62, 0.95))
            angle = rng.uniform(0, math.pi)
            epithelial.append(((x, y), axes, angle))
            body = Oval.drawn(slab, (x, y), (axes[0] + 8, axes[1] + 9), angle, rng, uneven=0.2)
            gap = body.ring(1.0, 2.2) * np.clip(0.3 + body.grain(slab, rng), 0, 1)
            slab.stains[:2, body.rows, body.columns] *= 1 - np.float32(rng.uniform(0.3, 0.9)) * gap
        elif sheet < 0 and chance < 0.27:
            axes = (rng.uniform(13, 24), rng.uniform(4.0, 8.0))
            angle = slab.fibre_angle(x, y) + rng.normal(0, 0.2)
            place_nucleus(slab, (x, y), axes, angle, rng, density=rng.uniform(0.5, 0.85), vesicular=0.25)
    # After all the gaps between cells, which must not cut through a neighbour's nucleus.
    for centre, axes, angle in epithelial:
        density, vesicular = rng.uniform(0.36, 0.7), rng.uniform(0.3, 1.0)
        place_nucleus(slab, centre, axes, angle, rng, density=density, vesicular=vesicular)


def place_nucleus(
    slab: Slab,
    centre: tuple[float, float],
    axes: tuple[float, float],
    angle: float,
    rng: np.random.Generator,
    *,
    density: float,
    vesicular: float,
) -> None:
    """Paint one nucleus. axes: semi-axes in px. angle: of the first one, in radians.

    density: haematoxylin of the nucleus. vesicular: 0 for solid chromatin, 1 for an open nucleus with a rim.
    """
    oval = Oval.drawn(slab, centre, axes, angle, rng, reach=1.25)
    body = oval.filled()
    texture = oval.grain(slab, rng)
    chromatin = (1 - 0.42 * vesicular) * np.exp(np.float32(0.20 + 0.16 * vesicular) * texture)
    chromatin += np.float32(0.25 + 0.45 * vesicular) * oval.ring(1 - 1.6 / oval.inner, 1.1)
    if vesicular > 0.5:
        for _ in range(int(rng.integers(1, 3))):
            bearing, away = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.45) * oval.inner
            x = centre[0] + away * math.cos(bearing) - oval.columns.start
            y = centre[1] + away * math.sin(bearing) - oval.rows.start
            rows, columns = np.ogrid[: body.shape[0], : body.shape[1]]
            squared = np.square(rows - np.float32(y)) + np.square(columns - np.float32(x))
            chromatin += 0.8 * np.exp(-squared.astype(np.float32) / np.float32(2 * rng.uniform(1.5, 2.6) ** 2))
    haematoxylin, eosin, _ = slab.stains[:, oval.rows, oval.columns]
    haematoxylin += body * (np.float32(density) * chromatin - 0.6 * haematoxylin)
    eosin += body * (np.float32(0.26 * density) - 0.5 * eosin)
