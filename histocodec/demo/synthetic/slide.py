"""Writes an image as a slide, as a scanner would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from ...format.tags import COMPRESSION_JPEG
from ...format.tiff_keywords import tiled_image
from ...geometry import Grid, Image, Size
from ...pixels.downsample import downsample, extended


def write_slide(path: str | Path, image: Image, *, mpp: float = 0.25, jpeg_quality: int = 80, tile: int = 256) -> None:
    """Write `image` as a scanner would: a tiled pyramidal TIFF in JPEG 4:2:0, each level half of the one before.

    image: (height, width, 3) uint8 RGB. mpp: micrometres per pixel. The pyramid ends when a level fits into one tile.
    """
    with tifffile.TiffWriter(path) as tiff:
        level, reduced = image, False
        while True:
            grid = Grid(Size(level.shape[1], level.shape[0]), tile)
            tiff.write(
                _jpeg_tiles(level, grid, jpeg_quality),
                **tiled_image(grid, COMPRESSION_JPEG, mpp=mpp),
                subfiletype=int(reduced),
                metadata=None,
                software="histocodec.synthetic",
            )
            if max(grid.size) <= tile:
                return
            level, mpp, reduced = downsample(level, 2), 2 * mpp, True


def _jpeg_tiles(image: Image, grid: Grid, quality: int) -> Iterator[bytes]:
    """Yield codestreams in row-major order; a tile that reaches beyond the image repeats its last row and column."""
    for index in range(grid.count):
        part = grid.covered(*grid.address(index))
        pixels = image[part.y : part.bottom, part.x : part.right]
        whole = np.ascontiguousarray(extended(pixels, grid.side - part.height, grid.side - part.width))
        yield bytes(imagecodecs.jpeg_encode(whole, level=quality, subsampling="420"))
