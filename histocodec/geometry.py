"""Integer geometry: sizes, regions, grids. No I/O.

Frames of reference, named as a prefix of every coordinate:

- `full_`  pixels of the slide as it was scanned (level 0 of a decoded slide)
- `base_`  pixels of the stored base; one is `scale` x `scale` full pixels
- `level_` pixels of one level, whichever the context names
- `tile_`  column and row of a tile in its grid

x runs right, y runs down, (0, 0) is the top left corner, and regions are half open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import RegionError

Image = NDArray[np.uint8]
"""height x width x 3, uint8, RGB, 0..255."""

Address = tuple[int, int]
"""Column and row of a block or a tile in its grid."""


class Size(NamedTuple):
    """Width and height in pixels (or columns and rows of cells)."""

    width: int
    height: int

    @property
    def area(self) -> int:
        """Number of pixels or cells."""
        return self.width * self.height

    def divided(self, by: int) -> Size:
        """Return both sides divided, rounded up."""
        return Size(-(-self.width // by), -(-self.height // by))


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """A rectangle of pixels; may reach beyond the image that it is read from.

    Examples:
        >>> region = Region(200, 40, 100, 60)
        >>> region.clipped(Size(256, 256))
        Region(x=200, y=40, width=56, height=60)
        >>> region.scaled(4)
        Region(x=800, y=160, width=400, height=240)
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise RegionError(f"a region must have an area, found {self.width} x {self.height} px")

    @property
    def right(self) -> int:
        """X of the first column beyond."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """Y of the first row beyond."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def clipped(self, size: Size) -> Region | None:
        """Return the part within an image of `size`, or None."""
        x, y = max(self.x, 0), max(self.y, 0)
        right, bottom = min(self.right, size.width), min(self.bottom, size.height)
        return Region(x, y, right - x, bottom - y) if right > x and bottom > y else None

    def overlap(self, other: Region) -> Region:
        """Return the part that lies in both. Raises RegionError if there is none."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        return Region(x, y, min(self.right, other.right) - x, min(self.bottom, other.bottom) - y)

    def within(self, size: Size) -> bool:
        """Return True if all of it lies in an image of `size`."""
        return self.x >= 0 and self.y >= 0 and self.right <= size.width and self.bottom <= size.height

    def check_within(self, size: Size) -> None:
        """Raise RegionError unless all of it lies in an image of `size`."""
        if not self.within(size):
            raise RegionError(f"{self} does not lie within {size.width} x {size.height} px")

    def scaled(self, scale: int) -> Region:
        """Return this area in the pixels of a frame that is `scale` times finer."""
        return Region(self.x * scale, self.y * scale, self.width * scale, self.height * scale)

    def grown(self, by: int) -> Region:
        """Return the region with `by` pixels more on every side."""
        return Region(self.x - by, self.y - by, self.width + 2 * by, self.height + 2 * by)


@dataclass(frozen=True, slots=True)
class Grid:
    """An image cut into equal square cells, tiles or blocks, from its top left corner.

    The cells at the right and bottom edges may reach beyond the image.

    Examples:
        >>> grid = Grid(Size(1000, 600), 256)
        >>> grid.shape
        Size(width=4, height=3)
        >>> grid.covered(3, 2)
        Region(x=768, y=512, width=232, height=88)
        >>> list(grid.touching(Region(250, 0, 10, 10)))
        [(0, 0), (1, 0)]
    """

    size: Size
    side: int
    """Pixels a side of a cell."""

    @property
    def shape(self) -> Size:
        """Number of columns and rows."""
        return self.size.divided(self.side)

    @property
    def count(self) -> int:
        """Number of cells."""
        return self.shape.area

    def index(self, column: int, row: int) -> int:
        """Return the position in row-major order, as TIFF counts tiles."""
        return row * self.shape.width + column

    def address(self, index: int) -> tuple[int, int]:
        """Return (column, row) of a position in row-major order."""
        row, column = divmod(index, self.shape.width)
        return column, row

    def region(self, column: int, row: int) -> Region:
        """Return the whole cell, also where it reaches beyond the image."""
        return Region(column * self.side, row * self.side, self.side, self.side)

    def covered(self, column: int, row: int) -> Region:
        """Return the part of a cell that lies within the image. Raises RegionError for a cell that does not exist."""
        part = self.region(column, row).clipped(self.size)
        if part is None:
            raise RegionError(f"no cell {column}, {row} in a grid of {self.shape.width} x {self.shape.height}")
        return part

    def touching(self, region: Region) -> Iterator[tuple[int, int]]:
        """Yield (column, row) of every cell that shares a pixel with `region`, row by row."""
        part = region.clipped(self.size)
        if part is None:
            return
        for row in range(part.y // self.side, (part.bottom - 1) // self.side + 1):
            for column in range(part.x // self.side, (part.right - 1) // self.side + 1):
                yield column, row


def addresses_where(chosen: NDArray[np.bool_]) -> list[Address]:
    """List (column, row) of what is True in a (rows, columns) array, row by row."""
    return [(int(column), int(row)) for row, column in np.argwhere(chosen)]
