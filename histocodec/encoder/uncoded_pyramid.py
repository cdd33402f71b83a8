"""The uncoded base pyramid of a slide, made in one pass over the source and held on disk."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from ..format.entries import LEVEL_STEP, level_sizes
from ..generators.predict import read_with_halo
from ..geometry import Address, Grid, Image, Region, Size, addresses_where
from ..pixels.downsample import BLOCK, downsample, extended, make_base
from ..pixels.resampler import Downsampler
from ..runtime.closing import Closing
from ..runtime.resources import Resources
from ..runtime.scratch import PixelSpool
from ..source import Source

_MOST_PIXELS = 1 << 20
"""Pixels of the level that stands for the colours of the whole base, at most."""

_STRIP = 32
"""Rows of a reduced level that are made at a time."""


class UncodedPyramid(Closing):
    """Base and reduced levels as files of uncoded tiles, and the tissue map; closing it frees the disk.

    Tiles that reach beyond a level's edge repeat its last row and column.
    """

    def __init__(
        self, source: Source, downsampler: Downsampler, resources: Resources, *, tile: int, block: int = BLOCK
    ) -> None:
        """Read all of a source. Memory: a few tiles for each worker. Raises SourceReadError, OSError.

        downsampler: makes the base; the box average makes the reduced levels in any case. tile, block: base pixels a
        side; a tile is whole blocks.
        """
        self.downsampler, self.scale = downsampler, downsampler.scale
        base_size = source.size.divided(self.scale)
        self.grids = [Grid(Size(*level.size), tile) for level in level_sizes(base_size, tile)]
        """The tile grid of each level."""
        self.blocks = Grid(base_size, block)
        """The canonical grid over the base."""
        self.full_blocks = Grid(source.size, block * self.scale)
        """The canonical grid over the full resolution."""
        self.tissue: NDArray[np.uint8] = np.zeros((self.blocks.shape.height, self.blocks.shape.width), np.uint8)
        """(rows, columns) uint8, one a block: 1 tissue, 0 glass."""
        self._resources = resources
        with ExitStack() as stack:
            self.levels = [stack.enter_context(PixelSpool(grid, resources.folder)) for grid in self.grids]
            """The tiles of each level, that of the base first."""
            self._scan(source)
            for finer, coarser in zip(self.levels[:-1], self.levels[1:], strict=True):
                self._reduce(finer, coarser)
            self._stack = stack.pop_all()

    def _scan(self, source: Source) -> None:
        """Make the base and the tissue map, tile by tile."""
        spool, grid = self.levels[0], self.grids[0]
        full_halo = self.downsampler.halo * self.scale

        def work(index: int) -> tuple[int, NDArray[np.uint8]]:
            full_region = grid.covered(*grid.address(index)).scaled(self.scale)
            image = read_with_halo(source.read, source.size, full_region, full_halo)
            base, tissue = make_base(image, self.downsampler, self.blocks.side)
            spool.put(index, _filled(base, grid.side))
            return index, tissue

        for index, tissue in self._resources.map(work, range(grid.count), "reading"):
            self.tissue_of(index)[:] = tissue

    def _reduce(self, finer: PixelSpool, coarser: PixelSpool) -> None:
        """Make a level of the next finer one."""

        def work(index: int) -> None:
            made = coarser.grid.covered(*coarser.grid.address(index))
            strips = []
            for y in range(made.y, made.bottom, _STRIP):  # all of it at once would be 64 tiles in memory
                strip = Region(made.x, y, made.width, min(_STRIP, made.bottom - y))
                wanted = strip.scaled(LEVEL_STEP).clipped(finer.grid.size)
                assert wanted is not None
                strips.append(downsample(finer.read(wanted), LEVEL_STEP))
            coarser.put(index, _filled(np.concatenate(strips), coarser.grid.side))

        for _ in self._resources.map(work, range(coarser.grid.count)):
            pass

    def tissue_of(self, index: int) -> NDArray[np.uint8]:
        """Return the part of the tissue map that a base tile covers, as a view."""
        per_tile = self.grids[0].side // self.blocks.side
        column, row = self.grids[0].address(index)
        return self.tissue[row * per_tile : (row + 1) * per_tile, column * per_tile : (column + 1) * per_tile]

    def whole_tissue_blocks(self) -> list[Address]:
        """List the tissue blocks that lie within the slide entirely, row by row."""
        return self.tissue_blocks(self.full_blocks.side)

    def tissue_blocks(self, least: int) -> list[Address]:
        """List the tissue blocks of which at least so many full pixels a side lie within the slide, row by row."""
        return [
            address
            for address in addresses_where(self.tissue > 0)
            if min((part := self.full_blocks.covered(*address)).width, part.height) >= least
        ]

    def pixels_all_over(self) -> NDArray[np.uint8]:
        """Return pixels of the whole base, tissue and glass: (n, 3) uint8 RGB, about a million at most."""
        level = next(k for k, grid in enumerate(self.grids) if grid.size.area <= _MOST_PIXELS or grid is self.grids[-1])
        size = self.grids[level].size
        return self.levels[level].read(Region(0, 0, size.width, size.height)).reshape(-1, 3)

    def coarsest(self) -> Image:
        """Return the last level, which fits into one tile, as (height, width, 3) uint8 RGB."""
        size = self.grids[-1].size
        return self.levels[-1].read(Region(0, 0, size.width, size.height))

    def close(self) -> None:
        """Free the disk."""
        self._stack.close()


def _filled(tile: Image, side: int) -> Image:
    """Extend a tile to `side` x `side` by repeating its last row and column: it costs the codec next to nothing."""
    return extended(tile, side - tile.shape[0], side - tile.shape[1])
