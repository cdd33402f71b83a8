"""Prediction: the one way in which generators are run, block by block.

Between codec and network there is a numpy uint8 array. Encoder and decoder both go through `predict()`, on one
canonical grid of blocks of one shape, so that what a pixel is never depends on how it was asked for. An exact generator
gives a part of a block alone the same pixels. `BlockPredictor` holds the rule of which generator makes which block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import RegionError
from ..geometry import Grid, Image, Region, Size
from ..pixels.downsample import BLOCK
from ..pixels.resampler import Generator
from .bicubic import BicubicGenerator

ReadBase = Callable[[Region], Image]
"""A reader of regions that lie within the base, as (height, width, 3) uint8 RGB."""


def read_with_halo(read: Callable[[Region], Image], size: Size, region: Region, halo: int) -> Image:
    """Read a region of an image and `halo` pixels around it; beyond the image its edge pixels are repeated.

    read: gives a region that lies within the image, whose size is `size`. `region` itself may reach beyond it.
    """
    wanted = region.grown(halo)
    part = wanted.clipped(size)
    if part is None:
        raise RegionError(f"{region} lies outside an image of {size.width} x {size.height} px")
    image = read(part)
    if part == wanted:
        return image
    before_y, before_x = part.y - wanted.y, part.x - wanted.x
    after_y, after_x = wanted.bottom - part.bottom, wanted.right - part.right
    return np.pad(image, ((before_y, after_y), (before_x, after_x), (0, 0)), mode="edge")


def predict(generator: Generator, read_base: ReadBase, blocks: Grid, column: int, row: int) -> Image:
    """Predict one block of the canonical grid at full resolution.

    blocks: the grid over the base. The generator always sees a whole block and its halo, also at the edges, where the
    base is extended by repetition: one shape, so one order of arithmetic also in floats.
    Returns (block * scale, block * scale, 3) uint8 RGB; the caller crops what reaches beyond the slide.
    """
    return predict_region(generator, read_base, blocks.size, blocks.region(column, row))


def predict_region(generator: Generator, read_base: ReadBase, size: Size, region: Region) -> Image:
    """Predict a region of a base of `size`, which may reach beyond it, at full resolution.

    Returns (height * scale, width * scale, 3) uint8 RGB: with an exact generator what a larger region has there.
    """
    return generator(np.ascontiguousarray(read_with_halo(read_base, size, region, generator.halo)))


@dataclass(frozen=True)
class BlockPredictor:
    """Predicts the blocks of one slide as every decoder does: tissue by the file's generator, glass by bicubic."""

    load: Callable[[], Generator]
    """Gives the generator; called when a block of tissue is predicted, since loading a network takes seconds."""
    scale: int
    """Full pixels per base pixel."""
    read_base: ReadBase
    """Reads regions of the decoded base."""
    blocks: Grid
    """The canonical grid over the base."""
    tissue: NDArray[np.uint8]
    """(rows, columns), one a block: 1 tissue, 0 glass."""

    def __call__(self, column: int, row: int) -> Image:
        """Return (block * scale, block * scale, 3) uint8 RGB, also where the block reaches beyond the slide."""
        return predict(self._generator(column, row), self.read_base, self.blocks, column, row)

    def is_exact(self, column: int, row: int) -> bool:
        """Return True for a block of which `part` predicts the same pixels."""
        return self._generator(column, row).is_exact

    def part(self, region: Region) -> Image:
        """Predict any part of the base as if all of it lay in one block, that of its first pixel.

        Returns (height * scale, width * scale, 3) uint8 RGB.
        """
        generator = self._generator(region.x // self.blocks.side, region.y // self.blocks.side)
        return predict_region(generator, self.read_base, self.blocks.size, region)

    def _generator(self, column: int, row: int) -> Generator:
        return self.load() if self.tissue[row, column] else self._bicubic

    def bicubic(self, column: int, row: int) -> Image:
        """Return one block as bicubic enlarges it, tissue or glass; the shape is that of `__call__`."""
        return predict(self._bicubic, self.read_base, self.blocks, column, row)

    @cached_property
    def _bicubic(self) -> BicubicGenerator:
        return BicubicGenerator(self.scale)


def reconstruct(generator: Generator, base: Image, block: int = BLOCK) -> Image:
    """Enlarge a whole base in memory, block by block as a decoder does it, every block as if it were tissue.

    base: (height, width, 3) uint8 RGB. Returns (height * scale, width * scale, 3) uint8.
    """
    grid = Grid(Size(base.shape[1], base.shape[0]), block)
    scale = generator.scale
    out = np.empty((base.shape[0] * scale, base.shape[1] * scale, 3), np.uint8)

    def read_base(region: Region) -> Image:
        return base[region.y : region.bottom, region.x : region.right]

    for row in range(grid.shape.height):
        for column in range(grid.shape.width):
            part = grid.covered(column, row).scaled(scale)
            pixels = predict(generator, read_base, grid, column, row)
            out[part.y : part.bottom, part.x : part.right] = pixels[: part.height, : part.width]
    return out
