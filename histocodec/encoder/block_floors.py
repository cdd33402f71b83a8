"""The blocks that have a floor, and how high it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import RoiError
from ..format.regions import RegionsOfInterest
from .settings import EncodeSettings
from .uncoded_pyramid import UncodedPyramid

Floors = NDArray[np.float64]
"""(rows, columns) in dB: the PSNR that every square of a block has to reach; 0 where nothing is asked for."""


def block_floors(settings: EncodeSettings, pyramid: UncodedPyramid) -> Floors:
    """Return what the settings ask of each block of the canonical grid. Raises RoiError if no region touches any."""
    shape = pyramid.blocks.shape
    floors = np.full((shape.height, shape.width), settings.min_psnr_db or 0.0)
    if settings.regions is not None:
        assert settings.roi_psnr_db is not None
        floors[touched_blocks(settings.regions, pyramid)] = settings.roi_psnr_db
    return floors


def touched_blocks(regions: RegionsOfInterest | None, pyramid: UncodedPyramid) -> NDArray[np.bool_]:
    """Return which blocks of the canonical grid a region of interest touches, (rows, columns).

    Raises RoiError if none is touched.
    """
    grid = pyramid.full_blocks
    found = np.zeros((grid.shape.height, grid.shape.width), np.bool_)
    for column, row in regions.blocks(grid) if regions is not None else ():
        found[row, column] = True
    if not found.any():
        raise RoiError(f"no region of interest touches the slide of {grid.size.width} x {grid.size.height} px")
    return found
