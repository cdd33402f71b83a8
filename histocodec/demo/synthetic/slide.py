"""Writes an image as a slide, as a scanner would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from ...geometry import Image, Size, TileGrid
from ...pixels.downsample import downsample


def write_slide(path: str | Path, image: Image, *, mpp: float = 0.25, jpeg_quality: int = 80, tile: int = 256) -> None:
    """Write `image` as a scanner would: a tiled pyramidal TIFF in JPEG 4:2:0, each level half of the one before.

    image: (height, width, 3) uint8 RGB. mpp: micrometres per pixel. The pyramid ends when a level fits into one tile.
    """
    resolution = (1e4 / mpp, 1e4 / mpp)
    with tifffile.TiffWriter(path) as tiff:
        level, reduced = image, False
        while True:
            tiff.write(
                _jpeg_tiles(level, tile, jpeg_quality),
                shape=level.shape,
                dtype=np.uint8,
                photometric="ycbcr",
                subsampling=(2, 2),
                compression="jpeg",
                tile=(tile, tile),
                subfiletype=int(reduced),
                resolution=resolution,
                resolutionunit="CENTIMETER",
                metadata=None,
                software="histocodec.synthetic",
            )
            if max(level.shape[:2]) <= tile:
                return
            level, reduced = downsample(level, 2), True
            resolution = (resolution[0] / 2, resolution[1] / 2)


def _jpeg_tiles(image: Image, tile: int, quality: int) -> Iterator[bytes]:
    """Yield codestreams in row-major order; a tile that reaches beyond the image repeats its last row and column."""
    grid = TileGrid(Size(image.shape[1], image.shape[0]), tile)
    for index in range(grid.count):
        part = grid.covered(*grid.address(index))
        pixels = image[part.y : part.bottom, part.x : part.right]
        pixels = np.pad(pixels, ((0, tile - part.height), (0, tile - part.width), (0, 0)), mode="edge")
        yield bytes(imagecodecs.jpeg_encode(pixels, level=quality, subsampling="420"))
