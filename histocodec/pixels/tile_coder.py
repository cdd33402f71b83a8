"""The tiles of a base: one codec and its colours, coded and decoded, for slides and for images in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry import Grid, Image, Region, Size
from . import av1
from .colour import ColourTransform, fit_colours
from .downsample import extended
from .even_quality import CodeAt, EvenCoder
from .tile_codecs import Chroma, TileCodec, decode_planes, decode_tile, encode_tile

TILES: dict[TileCodec, int] = {"jp2k": 256, "av1": 512, "jpeg": 256}
"""Base pixels a side of a stored tile."""


_QUICK = 9
"""Speed of libaom that takes a twelfth of the time of speed 6, for sizes and errors that are in proportion."""


@dataclass(frozen=True, slots=True)
class TileCoder:
    """The codec of one base, and the colours in which its tiles are coded."""

    codec: TileCodec
    colour: ColourTransform | None = None
    """The transform of `av1` tiles, and of no others: what other readers open must have natural colours."""
    jpeg_chroma: Chroma = "420"
    """Chroma subsampling of `jpeg` tiles."""
    jpeg_optimised: bool = True
    """True for Huffman tables of each tile's own: a few percent smaller, in twice the time."""
    speed: int = av1.SPEED
    """Speed of libaom for `av1` tiles, 0 to 10."""

    @classmethod
    def fitted(cls, codec: TileCodec, pixels: NDArray[np.uint8], *, speed: int = av1.SPEED) -> TileCoder:
        """Return the coder for a base with such pixels, uint8 RGB of any shape that ends in 3."""
        return cls(codec, fit_colours(pixels.reshape(-1, 3)) if codec == "av1" else None, speed=speed)

    @property
    def quick(self) -> TileCoder:
        """The coder whose sizes tell of this one's, in less time if the codec has speeds."""
        has_speeds = self.codec == "av1" and self.speed < _QUICK
        return dataclasses.replace(self, speed=_QUICK) if has_speeds else self

    def encode(
        self, tile: Image, quality: float, *, within: tuple[int, int] | None = None, context: Image | None = None
    ) -> bytes:
        """Code a tile, as `even_quality.EvenCoder.encode` does."""
        return EvenCoder(self.codec, self._prepare, self._decode).encode(tile, quality, within, context)

    def decode(self, data: bytes, *, height: int, width: int) -> Image:
        """Decode a tile into (height, width, 3) uint8 RGB, the transform undone. Raises `tile_codecs.TileError`."""
        if self.colour is not None:
            return self.colour.undo(decode_planes(data, height=height, width=width))
        return decode_tile(data, self.codec, height=height, width=width)

    def _prepare(self, tile: Image) -> CodeAt:
        stored = self.colour.apply(tile) if self.colour else tile
        return lambda quality: encode_tile(
            stored,
            self.codec,
            quality,
            jpeg_chroma=self.jpeg_chroma,
            jpeg_optimised=self.jpeg_optimised,
            speed=self.speed,
        )

    def _decode(self, data: bytes, size: tuple[int, int]) -> Image:
        return self.decode(data, height=size[0], width=size[1])


def coded_tile(read: Callable[[Region], Image], grid: Grid, coder: TileCoder, quality: float, index: int) -> bytes:
    """Code one tile of a level as it lies in a file.

    read: regions within the level, as (height, width, 3) uint8 RGB. grid: its tiles. A tile that reaches beyond the
    slide is coded like the last whole tile's worth of pixels before the edge, so far as the slide has so many.
    """
    covered, side = grid.covered(*grid.address(index)), grid.side
    part = read(covered)
    if part.shape[:2] == (side, side):
        return coder.encode(part, quality)
    context = None
    if min(grid.size) >= side:
        context = read(Region(covered.right - side, covered.bottom - side, side, side))
    whole = extended(part, side - covered.height, side - covered.width)
    return coder.encode(whole, quality, within=(covered.height, covered.width), context=context)


def code_image(image: Image, coder: TileCoder, quality: float) -> list[bytes]:
    """Code an uncoded base in memory, (height, width, 3) uint8 RGB; return its tiles in TIFF order.

    An image that is smaller than a tile is coded as it is: what is cut from a slide does not end there.
    """
    grid = _grid_of(image.shape[:2], coder)
    if grid.count == 1:
        return [coder.encode(np.ascontiguousarray(image), quality)]

    def read(region: Region) -> Image:
        return np.ascontiguousarray(image[region.y : region.bottom, region.x : region.right])

    return [coded_tile(read, grid, coder, quality, index) for index in range(grid.count)]


def decode_image(tiles: Sequence[bytes], coder: TileCoder, *, height: int, width: int) -> Image:
    """Decode what `code_image` coded, (height, width, 3) uint8 RGB. Raises `tile_codecs.TileError`."""
    grid = _grid_of((height, width), coder)
    if grid.count == 1:
        return coder.decode(tiles[0], height=height, width=width)
    image = np.empty((height, width, 3), np.uint8)
    for index, data in enumerate(tiles):
        part = grid.covered(*grid.address(index))
        tile = coder.decode(data, height=grid.side, width=grid.side)
        image[part.y : part.bottom, part.x : part.right] = tile[: part.height, : part.width]
    return image


def _grid_of(shape: tuple[int, ...], coder: TileCoder) -> Grid:
    return Grid(Size(shape[1], shape[0]), TILES[coder.codec])
