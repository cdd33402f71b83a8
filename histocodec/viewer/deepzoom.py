"""The Deep Zoom pyramid of a slide: levels that halve, and tiles of 256 px without overlap."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..geometry import Grid, Region, Size

TILE = 256
"""Pixels a side of a tile, as many as a cell that a decoder computes alone."""

Format = Literal["jpeg", "webp"]
"""How tiles are coded, and how their names end."""

_ADDRESS = re.compile(r"([0-9]{1,2})/([0-9]{1,7})_([0-9]{1,7})")


@dataclass(frozen=True, slots=True)
class DeepZoom:
    """The levels of an image of `size`: the last has its pixels, the first a single one.

    Examples:
        >>> zoom = DeepZoom(Size(1000, 600))
        >>> zoom.finest, zoom.downsample(8), zoom.size_of(8)
        (10, 4, Size(width=250, height=150))
        >>> zoom.tile(9, 1, 1)
        Region(x=256, y=256, width=244, height=44)
        >>> zoom.tile(9, 2, 0) is None
        True
    """

    size: Size

    @property
    def finest(self) -> int:
        """The number of the last level."""
        return (max(self.size) - 1).bit_length()

    def downsample(self, level: int) -> int:
        """Return the pixels of the last level per pixel of a level, each axis."""
        return 1 << (self.finest - level)

    def size_of(self, level: int) -> Size:
        """Return the pixels of a level."""
        return self.size.divided(self.downsample(level))

    def tile(self, level: int, column: int, row: int) -> Region | None:
        """Return what a tile covers of its level, in pixels of that level; None for a tile that does not exist."""
        if not 0 <= level <= self.finest:
            return None
        grid = Grid(self.size_of(level), TILE)
        return grid.covered(column, row) if column < grid.shape.width and row < grid.shape.height else None

    def descriptor(self, form: Format) -> str:
        """Return the `.dzi` file, XML."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="{form}" Overlap="0" TileSize="{TILE}">'
            f'<Size Width="{self.size.width}" Height="{self.size.height}"/></Image>\n'
        )


def parsed_address(text: str) -> tuple[int, int, int] | None:
    """Parse `LEVEL/COLUMN_ROW`; None for anything else.

    Examples:
        >>> parsed_address("12/3_40"), parsed_address("12/-1_0")
        ((12, 3, 40), None)
    """
    match = _ADDRESS.fullmatch(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None
