"""An image that is made block by block or, where little is wanted, by parts of blocks that cost less."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..geometry import Address, Grid, Image, Region
from .by_process import ByProcess
from .tiled_image import MakeTile, Piece, TileCache, TiledImage, joined

CELL = 256
"""Pixels a side of a cell: as many as most viewers ask for at a time."""
WINDOWS = (272, 528)
"""Pixels a side of windows: tiles of 256 and 512 px wherever they begin, and a border of some pixels."""

_BLOCKS, _CELLS, _WINDOWS = 0, -1, -2
"""Names in a cache of blocks, cells, and the first size of windows; its other images have names above."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What makes parts of blocks alone."""

    make: Callable[[Region], Image]
    """Makes a part, (height, width, 3) uint8 RGB, as it is in blocks of the kind of that which holds its first pixel;
    the part may reach beyond the image."""
    unit: int
    """Pixels: parts begin and end at multiples of it."""
    kind: Callable[[int, int], int | None]
    """Gives the kind of a block by column and row; None for one that cannot be made by parts."""
    expect: Callable[[list[Region]], None] = lambda areas: None
    """Is told the areas of what a region will make."""


class DividedImage:
    """Regions of an image of blocks, parts of which can be made alone and then have the same pixels.

    A *cell* is a part on a grid of its own; a region makes the cells that it touches of a block, unless they are more
    than half of them and none is there yet. A *window* is a part that begins where a region does. Of pieces on grids
    and a window a region makes what has fewer pixels. Parts have borders that are computed and lost, so whoever reads
    much of a block has to be given the block: windows are made until they have half of its pixels.
    """

    def __init__(
        self, blocks: Grid, make_block: MakeTile, parts: Parts, cache: TileCache, threads: Callable[[], int]
    ) -> None:
        """Take the grid of blocks and what makes them. threads: gives how many make the pieces of a region."""
        self.grid = blocks
        self._parts = parts
        self._cache = cache
        self._threads = threads
        self._blocks = TiledImage(blocks, make_block, cache, name=_BLOCKS)
        cell = blocks.side if blocks.side % CELL else CELL
        self._cells = TiledImage(Grid(blocks.size, cell), self._cell, cache, name=_CELLS)
        self._half = (blocks.side // cell) ** 2 // 2
        self._seen: OrderedDict[Address, int] = OrderedDict()
        """Pixels of the last blocks that windows had."""
        self._counting = ByProcess(threading.Lock)  # a fork might find it held by a thread that it does not have

    def read(self, region: Region, *, keep: bool = True) -> Image:
        """Return a region within the image, (height, width, 3) uint8 RGB.

        keep: False where nothing of its blocks is read again soon: they do not go into the cache. Raises RegionError.
        """
        region.check_within(self.grid.size)
        blocks = list(self.grid.touching(region))
        pieces = [piece for block in blocks for piece in self._of_block(block, region)]
        missing = sum(piece.area.area for piece in pieces if not piece.is_kept)
        window = self._window(region) if missing else None
        if window is not None and window.area.area < missing and self._may_be_one(window, region, blocks, keep):
            pieces = [window]
        if missing:
            self._parts.expect([piece.area for piece in pieces if not piece.is_kept])
        return joined(pieces, region, threads=self._threads(), keep=keep)

    def block(self, column: int, row: int) -> Image:
        """Return the pixels of a whole block, also where it reaches beyond the image; from cells, if some are there."""
        area = self.grid.region(column, row)
        return self.read(area) if area.within(self.grid.size) else self._blocks.tile(column, row)

    def forget(self) -> None:
        """Forget what was read, as the cache has."""
        with self._counting():
            self._seen.clear()

    def _of_block(self, address: Address, region: Region) -> list[Piece]:
        """List what to make of a block: itself, or some of its cells."""
        block = self._blocks.piece(*address)
        if self._half and not block.is_kept:
            touched = [self._cells.piece(*cell) for cell in self._cells.grid.touching(region.overlap(block.area))]
            may_be_cells = len(touched) <= self._half or any(cell.is_kept for cell in touched)
            if may_be_cells and self._parts.kind(*address) is not None:
                return touched
        return [block]

    def _window(self, region: Region) -> Piece | None:
        """Return the smallest window that holds a region, if there is one."""
        unit = self._parts.unit
        x, y = region.x // unit * unit, region.y // unit * unit
        for number, side in enumerate(WINDOWS):
            if max(region.right - x, region.bottom - y) <= side:
                area = Region(x, y, side, side)
                return Piece(self._cache, (_WINDOWS - number, x, y), area, partial(self._parts.make, area))
        return None

    def _may_be_one(self, window: Piece, region: Region, blocks: list[Address], keep: bool) -> bool:
        """Return whether a window gives a region its pixels, and windows had less than half of each block so far."""
        kinds = {self._parts.kind(*block) for block in blocks}
        if len(kinds) > 1 or None in kinds:
            return False
        if not keep or window.is_kept:
            return True
        block_pixels = self.grid.side**2
        with self._counting():
            if any(2 * self._seen.get(block, 0) >= block_pixels for block in blocks):
                return False
            for block in blocks:
                self._seen[block] = self._seen.pop(block, 0) + window.area.overlap(self.grid.region(*block)).area
            capacity = self._cache.memory.capacity_bytes
            while len(self._seen) * block_pixels * 3 > capacity and len(self._seen) > len(blocks):
                self._seen.popitem(last=False)
        return True

    def _cell(self, column: int, row: int) -> Image:
        return self._parts.make(self._cells.grid.region(column, row))
