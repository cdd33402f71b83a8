"""A pyramid as coded tiles on disk."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from ..format.entries import OVERVIEW_CODEC
from ..format.pieces import image_crc32
from ..geometry import Grid, Image
from ..pixels.rate import RUNGS, place_of, rung_of, tile_quality
from ..pixels.tile_codecs import TileCodec
from ..pixels.tile_coder import TileCoder, coded_tile
from ..runtime.closing import Closing
from ..runtime.resources import Resources
from ..runtime.scratch import CodeSpool, PixelSpool
from ..runtime.tiled_image import TileCache, TiledImage
from .uncoded_pyramid import UncodedPyramid

OVERVIEW_QUALITY: dict[TileCodec, tuple[float, ...]] = {"jp2k": (33.5, 31.0, 28.0, 24.0), "jpeg": (90, 80, 65, 50)}
"""Qualities of the reduced levels on their codec's scale, the first choice first. They are what a recipient sees first,
and all that other programs show of a file with an AV1 base."""

OVERVIEW_SHARE = 0.1
"""Share of a budget that the reduced levels may take before they are coded at the next lower quality."""

_CACHE_BYTES = 64 << 20
"""Memory for the decoded tiles of a base."""


class CodedOverview(Closing):
    """The coded tiles of the reduced levels, on disk; closing it frees the disk."""

    def __init__(
        self, pyramid: UncodedPyramid, base_codec: TileCodec, budget_bytes: int | None, resources: Resources
    ) -> None:
        """Code them at the best quality that leaves the base its share of the file's budget; the lowest in any case."""
        # Stain is colour: half of it thrown away is more than any quality brings back.
        coder = TileCoder(OVERVIEW_CODEC[base_codec], jpeg_chroma="444")
        limit = math.inf if budget_bytes is None else OVERVIEW_SHARE * budget_bytes
        for self.quality in OVERVIEW_QUALITY[coder.codec]:
            with ExitStack() as stack:
                self.levels: list[CodeSpool] = []
                for pixels in pyramid.levels[1:]:
                    code = functools.partial(tile_coding(pixels, coder), self.quality)
                    self.levels.append(stack.enter_context(_coded_level(pixels.grid, code, resources)))
                if self.total_bytes <= limit or self.quality == OVERVIEW_QUALITY[coder.codec][-1]:
                    self._stack = stack.pop_all()
                    return

    @property
    def total_bytes(self) -> int:
        """Bytes of all tiles."""
        return sum(codes.total_bytes for codes in self.levels)

    def close(self) -> None:
        """Free the disk."""
        self._stack.close()


class CodedPyramid(Closing):
    """The coded tiles of every level, on disk; closing it frees those of the base, which it made."""

    def __init__(
        self,
        pyramid: UncodedPyramid,
        overview: CodedOverview,
        coder: TileCoder,
        quality: float,
        resources: Resources,
        known: Callable[[int, float], bytes | None] = lambda index, quality: None,
    ) -> None:
        """Code every tile of the base; the reduced levels are there already.

        known: gives a tile by index that has been coded at a quality before, or None.
        """
        pixels = pyramid.levels[0]
        self.coder, self._code, self._known = coder, tile_coding(pixels, coder), known
        self.rungs = [
            rung_of(coder.codec, quality, place_of(*pixels.grid.address(k))) for k in range(pixels.grid.count)
        ]
        """The quality of each tile of the base, as an index of `rate.RUNGS`."""
        self._is_closed = False
        self.base = _coded_level(pixels.grid, lambda index: self.code(index, self.rungs[index]), resources)
        self.levels = [self.base, *overview.levels]

    def code(self, index: int, rung: int) -> bytes:
        """Code a tile of the base at a quality, as an index of `rate.RUNGS`. It is not stored."""
        quality = RUNGS[self.coder.codec][rung]
        return self._known(index, quality) or self._code(quality, index)

    def put(self, index: int, rung: int, data: bytes) -> None:
        """Store a tile of the base that `code` gave."""
        self.base.put(index, data)
        self.rungs[index] = rung

    def size(self, index: int) -> int:
        """Return the bytes of a tile of the base."""
        return self.base.size(index)

    def known(self, index: int, quality: float) -> bytes | None:
        """Return a tile of the base if it is coded at a quality, and as long as the disk holds it."""
        own = RUNGS[self.coder.codec][self.rungs[index]]
        return self.base.get(index) if own == quality and not self._is_closed else None

    @property
    def quality(self) -> float:
        """Mean quality of the base's tiles."""
        rungs = RUNGS[self.coder.codec]
        return round(sum(rungs[rung] for rung in self.rungs) / len(self.rungs), 2)

    @property
    def total_bytes(self) -> int:
        """Bytes of the tiles of all levels."""
        return sum(codes.total_bytes for codes in self.levels)

    def decoded_base(self) -> TiledImage:
        """Return the base as a decoder will see it."""
        return decoded_tiles(self.base, self.coder)

    def decoded_sums(self, resources: Resources) -> NDArray[np.uint32]:
        """Return the CRC-32 of each tile of the base as it is decoded, (tiles,)."""
        decode, grid = tile_decoding(self.base, self.coder), self.base.grid
        sums = resources.map(lambda index: image_crc32(decode(*grid.address(index))), range(grid.count))
        return np.fromiter(sums, np.uint32, grid.count)

    def shift_colours(self, steps: NDArray[np.float64]) -> None:
        """Make a decoder give so many steps of R, G and B more, (3,), fractions included; no tile is coded again.

        Only a coder with a colour transform can do it.
        """
        assert self.coder.colour is not None
        self.coder = dataclasses.replace(self.coder, colour=self.coder.colour.shifted(steps))

    def close(self) -> None:
        """Free the disk."""
        self._is_closed = True
        self.base.close()


def decoded_tiles(codes: CodeSpool, coder: TileCoder) -> TiledImage:
    """Return coded tiles as the image that a decoder sees."""
    return TiledImage(codes.grid, tile_decoding(codes, coder), TileCache(_CACHE_BYTES))


def tile_decoding(codes: CodeSpool, coder: TileCoder) -> Callable[[int, int], Image]:
    """Return the function from a tile's column and row to its decoded pixels, (tile, tile, 3) uint8 RGB."""

    def decode(column: int, row: int) -> Image:
        data = codes.get(codes.grid.index(column, row))
        return coder.decode(data, height=codes.grid.side, width=codes.grid.side)

    return decode


def coded_on_demand(pyramid: UncodedPyramid, coder: TileCoder, quality: float) -> TiledImage:
    """Return the base as a decoder would see it, its tiles coded when they are asked for."""
    pixels = pyramid.levels[0]
    code, side = tile_coding(pixels, coder), pixels.grid.side

    def make(column: int, row: int) -> Image:
        own = tile_quality(coder.codec, quality, column, row)
        return coder.decode(code(own, pixels.grid.index(column, row)), height=side, width=side)

    return TiledImage(pixels.grid, make, TileCache(_CACHE_BYTES))


def tile_coding(pixels: PixelSpool, coder: TileCoder) -> Callable[[float, int], bytes]:
    """Return the function from a quality and a tile's index to its bytes."""
    return functools.partial(coded_tile, pixels.read, pixels.grid, coder)


def _coded_level(grid: Grid, code: Callable[[int], bytes], resources: Resources) -> CodeSpool:
    codes = CodeSpool(grid, resources.folder)
    try:
        for index, data in enumerate(resources.map(code, range(grid.count), "coding")):
            codes.put(index, data)
    except BaseException:
        codes.close()
        raise
    return codes
