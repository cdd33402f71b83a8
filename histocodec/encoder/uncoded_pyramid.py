"""The uncoded base pyramid of a slide, made in one pass over the source and held on disk."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..format.entries import LEVEL_STEP, level_sizes
from ..generators.predict import read_with_halo
from ..geometry import Image, Region, Size, TileGrid
from ..pixels.downsample import BoxDownsampler, downsample, make_base
from ..pixels.resampler import Downsampler
from ..runtime.parallel import ordered_map
from ..runtime.progress import Progress
from ..runtime.scratch import PixelSpool
from ..source import Source

_MOST_PIXELS = 1 << 20
_STRIP = 32
"""Rows of a reduced level that are made at a time."""


class UncodedPyramid:
    """Base and reduced levels as spools of uncoded tiles, and the tissue map. A context manager that frees the disk.

    Tiles that reach beyond a level's edge repeat its last row and column.
    """

    def __init__(
        self,
        source: Source,
        *,
        scale: int,
        tile: int,
        block: int,
        folder: Path,
        workers: int,
        progress: Progress,
        downsampler: Downsampler | None = None,
    ) -> None:
        """Reads all of `source`. Memory: a few tiles for each worker. Raises SourceReadError, OSError.

        tile, block: base pixels a side; a tile is whole blocks. downsampler: makes the base, with this scale; None for
        the box average, which makes the reduced levels in any case.
        """
        self.downsampler: Downsampler = downsampler or BoxDownsampler(scale)
        base_size = source.size.divided(scale)
        self.grids = [TileGrid(Size(*level.size), tile) for level in level_sizes(base_size, tile)]
        self.blocks = TileGrid(base_size, block)
        self.tissue: NDArray[np.uint8] = np.zeros((self.blocks.shape.height, self.blocks.shape.width), np.uint8)
        """(rows, columns) uint8, one a block: 1 tissue, 0 glass."""
        self._workers, self._scale, self._full_size = workers, scale, source.size
        with ExitStack() as stack:
            self.levels: list[PixelSpool] = []
            for grid in self.grids:
                self.levels.append(PixelSpool(grid, folder))
                stack.callback(self.levels[-1].close)
            self._scan(source, progress)
            for finer, coarser in zip(self.levels[:-1], self.levels[1:], strict=True):
                self._reduce(finer, coarser)
            self._stack = stack.pop_all()

    def _scan(self, source: Source, progress: Progress) -> None:
        spool, grid = self.levels[0], self.grids[0]
        full_halo = self.downsampler.halo * self._scale

        def work(index: int) -> tuple[int, NDArray[np.uint8]]:
            full_region = grid.covered(*grid.address(index)).scaled(self._scale)
            image = read_with_halo(source.read, source.size, full_region, full_halo)
            base, tissue = make_base(image, self.downsampler, self.blocks.tile)
            spool.put(index, _filled(base, grid.tile))
            return index, tissue

        for done, (index, tissue) in enumerate(ordered_map(work, range(grid.count), workers=self._workers), 1):
            self.tissue_of(index)[:] = tissue
            progress("reading", done, grid.count)

    def _reduce(self, finer: PixelSpool, coarser: PixelSpool) -> None:
        def work(index: int) -> None:
            made = coarser.grid.covered(*coarser.grid.address(index))
            strips = []
            for y in range(made.y, made.bottom, _STRIP):  # all of it at once would be 64 tiles in memory
                strip = Region(made.x, y, made.width, min(_STRIP, made.bottom - y))
                wanted = strip.scaled(LEVEL_STEP).clipped(finer.grid.size)
                assert wanted is not None
                strips.append(downsample(finer.read(wanted), LEVEL_STEP))
            coarser.put(index, _filled(np.concatenate(strips), coarser.grid.tile))

        for _ in ordered_map(work, range(coarser.grid.count), workers=self._workers):
            pass

    def tissue_of(self, index: int) -> NDArray[np.uint8]:
        """The part of the tissue map that a base tile covers, as a view."""
        per_tile = self.grids[0].tile // self.blocks.tile
        column, row = self.grids[0].address(index)
        return self.tissue[row * per_tile : (row + 1) * per_tile, column * per_tile : (column + 1) * per_tile]

    def whole_tissue_blocks(self) -> list[tuple[int, int]]:
        """(column, row) of every tissue block that lies within the slide entirely, row by row."""
        return self.tissue_blocks(self.blocks.tile * self._scale)

    def tissue_blocks(self, least: int) -> list[tuple[int, int]]:
        """(column, row) of every tissue block of which at least so many full pixels a side lie within the slide."""
        grid = TileGrid(self._full_size, self.blocks.tile * self._scale)
        return [
            (int(column), int(row))
            for row, column in np.argwhere(self.tissue)
            if min(grid.covered(column, row).width, grid.covered(column, row).height) >= least
        ]

    def pixels_all_over(self) -> NDArray[np.uint8]:
        """Some pixels of the whole base, tissue and glass: (n, 3) uint8 RGB, about a million at most."""
        level = next(k for k, grid in enumerate(self.grids) if grid.size.area <= _MOST_PIXELS or grid is self.grids[-1])
        size = self.grids[level].size
        return self.levels[level].read(Region(0, 0, size.width, size.height)).reshape(-1, 3)

    def coarsest(self) -> Image:
        """The last level, which fits into one tile, as (height, width, 3) uint8 RGB."""
        size = self.grids[-1].size
        return self.levels[-1].read(Region(0, 0, size.width, size.height))

    def close(self) -> None:
        """Free the disk."""
        self._stack.close()

    def __enter__(self) -> UncodedPyramid:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _filled(image: Image, side: int) -> Image:
    """Extended to `side` x `side` by repeating the last row and column: costs the codec next to nothing."""
    return np.pad(image, ((0, side - image.shape[0]), (0, side - image.shape[1]), (0, 0)), mode="edge")
