"""Synthetic H&E-like tissue at 40x (0.25 um/px), and slides of it: for `histocodec demo` and for tests.

Everything is painted as stain concentrations and turned into light at the end by Beer and Lambert's law, as in a
microscope: transmitted = glass * 10 ** -(concentration * stain). It looks like tissue; it is no tissue, and measures
taken on it say nothing about real slides.
"""

from __future__ import annotations

import numpy as np

from ...errors import SettingsError
from ...geometry import Image, Size
from .cells import place_cells
from .exposure import GLASS_RGB, expose
from .glands import place_glands
from .slab import Slab
from .slide import write_slide
from .vessels import place_vessels

__all__ = ["GLASS_RGB", "tissue", "write_slide"]


def tissue(size: Size, seed: int) -> Image:
    """Paint tissue on glass: about half of the area each.

    Returns (height, width, 3) uint8 RGB at 0.25 um/px. The same size and seed give the same pixels.
    Raises SettingsError if a side is under 64 px.
    """
    if min(size) < 64:
        raise SettingsError(f"synthetic tissue needs at least 64 px a side, found {size.width} x {size.height}")
    rng = np.random.default_rng(seed)
    slab = Slab.grown(size, rng)
    place_vessels(slab, rng)
    place_glands(slab, rng)
    place_cells(slab, rng)
    return expose(slab, rng)
