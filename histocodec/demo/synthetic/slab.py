"""The section of tissue that is being painted: its ground, and the places that cells may take."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...geometry import Size
from .textures import Field, noise, profile, rough, step


@dataclass(frozen=True, slots=True)
class Slab:
    """The section that is being painted. All fields have the shape of the image."""

    stains: NDArray[np.float32]
    """Concentrations of haematoxylin, eosin and erythrocytes: 3 x height x width."""
    depth: Field
    """Depth in the tissue: above 0 within, growing inwards; about 1 deep inside."""
    epithelium: Field
    """Kind of tissue: above 0 in cellular sheets, below 0 in fibrous stroma."""
    crowd: Field
    """Crowding: above 1 where lymphocytes gather."""
    along: Field
    """Coordinate across the fibres in px: its contours are the fibres."""
    chromatin: Field
    """Fine texture that nuclei are cut from."""
    taken: NDArray[np.bool_]
    """True where no further cell may be placed; one entry for 8 x 8 px."""

    @classmethod
    def grown(cls, size: Size, rng: np.random.Generator) -> Slab:
        """Grow the ground: outline, stroma, epithelial sheets; no cells."""
        depth = rough(size, ((600, 1.0), (210, 0.45), (70, 0.16), (18, 0.06), (6, 0.02)), rng)
        depth -= np.float32(np.median(depth))
        epithelium = rough(size, ((260, 1.0), (60, 0.3), (14, 0.1)), rng)
        epithelium -= np.float32(0.35)
        angle = rng.uniform(0, math.pi)
        y, x = np.ogrid[: size.height, : size.width]
        along = rough(size, ((420, 330.0), (130, 55.0), (24, 3.0)), rng)
        along += (math.cos(angle) * x + math.sin(angle) * y).astype(np.float32)

        grain, mottle, patches = noise(size, 3, rng), noise(size, 9, rng), noise(size, 90, rng)
        stains = np.zeros((3, size.height, size.width), np.float32)
        haematoxylin, eosin, _ = stains
        eosin += _stroma(along, grain, mottle, patches, rng)
        haematoxylin += np.float32(0.05) * eosin
        inside = step(epithelium, 0.05)
        eosin += inside * (0.24 * np.exp(0.20 * mottle + 0.17 * grain + 0.14 * patches) - eosin)
        haematoxylin += inside * 0.13 * np.exp(0.25 * mottle + 0.20 * grain + 0.15 * patches)
        cover = step(depth, 0.012)
        # The rim of a section is pressed and takes a little more stain.
        cover *= 1 + 0.12 * np.exp(-np.square(depth / 0.06))
        stains *= cover

        taken = np.zeros(size.divided(8)[::-1], np.bool_)
        chromatin = rough(Size(512, 512), ((4, 1.0), (7, 0.6)), rng)
        return cls(stains, depth, epithelium, noise(size, 170, rng), along, chromatin, taken)

    @property
    def size(self) -> Size:
        """Size of the image in pixels."""
        return Size(self.depth.shape[1], self.depth.shape[0])

    def is_taken(self, x: float, y: float) -> bool:
        """Tell whether something lies at a point already."""
        return bool(self.taken[int(y) // 8, int(x) // 8])

    def fibre_angle(self, x: float, y: float) -> float:
        """Return the direction of the fibres at a point, in radians."""
        row, column = min(int(y), self.size.height - 5), min(int(x), self.size.width - 5)
        here = self.along[row, column]
        return math.atan2(self.along[row + 4, column] - here, self.along[row, column + 4] - here) + math.pi / 2

    def spots(self, pitch: float, rng: np.random.Generator) -> list[tuple[float, float]]:
        """Return the points of a jittered grid that lie in the tissue, in random order. pitch: px between them."""
        y, x = np.meshgrid(np.arange(pitch / 2, self.size.height, pitch), np.arange(pitch / 2, self.size.width, pitch))
        points = np.stack([x.ravel(), y.ravel()], axis=1)
        points += rng.uniform(-0.36 * pitch, 0.36 * pitch, points.shape)
        points = np.clip(points, 0, np.array(self.size) - 1)
        inside = self.depth[points[:, 1].astype(int), points[:, 0].astype(int)] > 0.05
        points = rng.permutation(points[inside])
        return [(float(x), float(y)) for x, y in points]


def _stroma(along: Field, grain: Field, mottle: Field, patches: Field, rng: np.random.Generator) -> Field:
    """Return the eosin of fibrous tissue: bundles, fibrils and threads along the contours of `along`, torn if loose."""
    strands = noise(Size(along.shape[1], along.shape[0]), 36, rng)
    bundles, fibrils, threads = (profile(along, cell, rng) for cell in (34, 9, 4))
    eosin = 0.19 * bundles + (0.12 + 0.05 * strands) * fibrils + 0.10 * threads
    eosin += 0.14 * patches + 0.14 * mottle + 0.09 * grain
    eosin = 0.27 * np.exp(eosin, out=eosin)
    # Shrinkage tears tissue along its fibres.
    loose = step(-(bundles + 0.6 * fibrils + 0.3 * threads) - 1.1 - 0.6 * patches + 0.5 * mottle, 0.5)
    eosin *= 1 - 0.9 * loose
    return eosin
