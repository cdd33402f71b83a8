"""How a tile was compressed before it came to us, which some codecs profit from."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from histocodec.geometry import Image

History = Literal["jpeg2000-born", "jpeg-born", "other"]

JPEG_2000_SOURCES = ("dev/monuseg",)
"""Histories of sources that are known from their origin; JPEG 2000 leaves no grid to measure."""

GRID_EXCESS = 0.015
"""Excess, on both axes, from which the steps on one of the eight phases are a JPEG grid."""


def history(source: str, image: Image) -> History:
    """Return the coding history of an image: known from its source, or else told by its pixels."""
    if source in JPEG_2000_SOURCES:
        return "jpeg2000-born"
    return "jpeg-born" if grid_excess(image) >= GRID_EXCESS else "other"


def grid_excess(image: Image) -> float:
    """Return the excess of luma steps on JPEG's 8 px grid over those beside it; the smaller of both axes.

    Of luma (ITU-R BT.601) the absolute steps between neighbours, each less the mean of the steps before and after it;
    their means by position modulo 8, over the mean step; the greatest of the eight less the second. About 0.01 without
    a grid, 0.02 to 0.4 with one. image: (height, width, 3) uint8 RGB, at least 32 px a side.
    """
    luma = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return min(_excess(luma), _excess(luma.T))


def _excess(plane: NDArray[np.float32]) -> float:
    """Return the excess across rows."""
    steps = np.abs(np.diff(plane, axis=0))
    extra = (steps[1:-1] - (steps[:-2] + steps[2:]) / 2).mean(1)
    phases = np.sort([extra[phase::8].mean() for phase in range(8)])
    return float((phases[-1] - phases[-2]) / max(float(steps.mean()), 1e-6))
