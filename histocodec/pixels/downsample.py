"""Downsampling of a slide to its uncoded base, by a whole number.

It is the box average, or what a `Downsampler` makes of tissue. A decoder need not know which.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from ..geometry import Image
from .resampler import Downsampler
from .tissue import tissue_blocks

BLOCK = 128
"""Base pixels a side of a block of the canonical grid, the unit that is downsampled, and enlarged again, at a time."""

BOX = "box"
"""The downsampling that needs no package: the average."""


def downsample(image: Image, scale: int) -> Image:
    """Average `scale` x `scale` pixels into one, rounding halves up, in integers.

    image: (height, width, 3) uint8 RGB. Returns (ceil(height / scale), ceil(width / scale), 3) uint8.
    An edge that `scale` does not divide is first extended by repeating its last row or column.

        out[y, x, c] = (sum of scale * scale pixels + scale * scale // 2) // (scale * scale)

    Examples:
        >>> checks = np.array([[0, 1], [1, 0]], np.uint8)[..., None].repeat(3, axis=2)
        >>> downsample(checks, 2).tolist()
        [[[1, 1, 1]]]
    """
    height, width = image.shape[:2]
    image = extended(image, -height % scale, -width % scale)
    # scale <= 16 keeps that sum within uint16; adding strided views is faster than a 5-D reduction.
    rows = image[0::scale].astype(np.uint16)
    for offset in range(1, scale):
        rows += image[offset::scale]
    total = rows[:, 0::scale].copy()
    for offset in range(1, scale):
        total += rows[:, offset::scale]
    count = scale * scale
    return ((total + count // 2) // count).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class BoxDownsampler:
    """The box average, as `downsample`."""

    scale: int
    halo: int = field(default=0, init=False)
    name: str = field(default=BOX, init=False)
    digest: str = field(default="builtin:box", init=False)

    def __post_init__(self) -> None:
        if self.scale not in (2, 4):
            raise SettingsError(f"the scale must be 2 or 4, found {self.scale}")

    def __call__(self, image: Image) -> Image:
        """Return the average, as `downsample` does."""
        return downsample(image, self.scale)


def make_base(image: Image, downsampler: Downsampler, block: int = BLOCK) -> tuple[Image, NDArray[np.uint8]]:
    """Make the uncoded base of a part of a slide, and find the tissue in it.

    image: the part and `halo * scale` full pixels around it, ((h + 2 halo) * scale, (w + 2 halo) * scale, 3) uint8 RGB.
    The part begins at a corner of the canonical grid, whose blocks have `block` base pixels a side, and ends at one or
    at the edges of the base.
    Returns (h, w, 3) uint8 RGB and (ceil(h / block), ceil(w / block)) uint8, 1 tissue, 0 glass.

    Glass, as the box average tells it, stays that average: a decoder interpolates it, and no network's time is spent on
    it. Tissue is downsampled block by block, also at the edges, where whole blocks are made and cut: a network is
    prepared for each shape that it is given. A pixel is exactly the same with whatever part it is made, if parts are
    cut along the grid.
    """
    scale, halo = downsampler.scale, downsampler.halo
    margin = halo * scale
    height, width = image.shape[0] - 2 * margin, image.shape[1] - 2 * margin
    base = downsample(image[margin : margin + height, margin : margin + width], scale)
    tissue = tissue_blocks(extended(base, -base.shape[0] % block, -base.shape[1] % block), block)
    if not isinstance(downsampler, BoxDownsampler):  # whose result this is
        for row, column in np.argwhere(tissue).tolist():
            part = base[row * block : (row + 1) * block, column * block : (column + 1) * block]
            y, x = row * block * scale, column * block * scale
            seen = image[y : y + part.shape[0] * scale + 2 * margin, x : x + part.shape[1] * scale + 2 * margin]
            whole = extended(
                seen, block * scale + 2 * margin - seen.shape[0], block * scale + 2 * margin - seen.shape[1]
            )
            part[:] = downsampler(np.ascontiguousarray(whole))[: part.shape[0], : part.shape[1]]
    return base, tissue


def shrink(image: Image, downsampler: Downsampler) -> Image:
    """Make the uncoded base of a whole image; beyond its edges, its last pixels are repeated.

    image: (height, width, 3) uint8 RGB. Returns (ceil(height / scale), ceil(width / scale), 3) uint8.
    """
    return make_base(with_margin(image, downsampler.scale, downsampler.halo), downsampler)[0]


def with_margin(image: Image, scale: int, halo: int) -> Image:
    """Extend an image to whole base pixels, and by `halo` of them on every side, repeating its last pixels.

    image: (height, width, 3) uint8 RGB at full resolution.
    """
    height, width = image.shape[:2]
    margin = halo * scale
    around = (margin, margin + -height % scale), (margin, margin + -width % scale), (0, 0)
    return np.pad(image, around, mode="edge")


def extended(image: Image, down: int, right: int) -> Image:
    """Extend an image by so many rows and columns, the last ones repeated."""
    return np.pad(image, ((0, down), (0, right), (0, 0)), mode="edge") if down or right else image
