"""A pyramid as coded tiles on disk: at one quality, or at the best quality that fits a budget."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..errors import BudgetError
from ..format.entries import OVERVIEW_CODEC
from ..format.pieces import image_crc32
from ..geometry import Image
from ..pixels.rate import SEARCH_RANGES, RateCurve, best_quality
from ..pixels.tile_codecs import TileCodec
from ..pixels.tile_coder import TileCoder, coded_tile
from ..runtime.closing import Closing
from ..runtime.resources import Resources
from ..runtime.scratch import CodeSpool, PixelSpool
from ..runtime.tiled_image import TileCache, TiledImage
from .uncoded_pyramid import UncodedPyramid

GOOD_FILL = 0.97
"""A first coding that fills at least this much of its budget is kept; below it a second one is worth its time."""

OVERVIEW_QUALITY: dict[TileCodec, tuple[float, ...]] = {"jp2k": (33.5, 31.0, 28.0, 24.0), "jpeg": (90, 80, 65, 50)}
"""Qualities of the reduced levels on their codec's scale, the first choice first. They are what a recipient sees first,
and all that other programs show of an AVIF file."""

OVERVIEW_SHARE = 0.1
"""Share of a budget that the reduced levels may take before they are coded at the next lower quality."""

_AIM = 0.995
"""Share of the budget that estimates aim at: a coding that exceeds it by a hair has to be made again."""

_GLASS_SAMPLE = 8
"""Glass tiles that an estimate of the whole codes."""

_TISSUE_SHARE, _TISSUE_SAMPLES = 8, (16, 48)
"""An estimate codes one tissue tile in so many, and at least and at most so many: a small slide is cheap to code once
more."""

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
                    self.levels.append(stack.enter_context(_coded_level(pixels, coder, self.quality, resources)))
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
    ) -> None:
        """Code every tile of the base; the reduced levels are there already."""
        self.coder, self.quality = coder, quality
        self.base = _coded_level(pyramid.levels[0], coder, quality, resources)
        self.levels = [self.base, *overview.levels]

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
    code, side = _tile_coding(pixels, coder, quality), pixels.grid.side

    def make(column: int, row: int) -> Image:
        return coder.decode(code(pixels.grid.index(column, row)), height=side, width=side)

    return TiledImage(pixels.grid, make, TileCache(_CACHE_BYTES))


def code_within(
    pyramid: UncodedPyramid,
    overview: CodedOverview,
    coder: TileCoder,
    budget_bytes: int,
    resources: Resources,
) -> CodedPyramid:
    """Code at the best quality whose tiles fit into `budget_bytes`.

    A sample of tiles gives a first estimate of bytes over quality; what the whole really takes corrects it, until it
    fits. Raises BudgetError if the lowest quality does not; its `needed_bytes` are what that really took.
    """
    curve = estimated_bytes(pyramid, overview, coder, resources)
    lowest = SEARCH_RANGES[coder.codec][0]
    first = True
    while True:
        quality = best_quality(curve, _AIM * budget_bytes, coder.codec) or lowest
        coded = CodedPyramid(pyramid, overview, coder, quality, resources)
        # A coding that is too large raises the curve above the budget at its quality, so the next one is lower.
        curve.correct(quality, coded.total_bytes)
        fits = coded.total_bytes <= budget_bytes
        poor = first and coded.total_bytes < GOOD_FILL * budget_bytes
        if fits and not (poor and (best_quality(curve, _AIM * budget_bytes, coder.codec) or 0) > quality):
            return coded
        coded.close()
        if quality == lowest and not fits:
            needed = coded.total_bytes
            raise BudgetError(budget_bytes, needed, f"the tiles need {needed} bytes, {budget_bytes} are left for them")
        first = False


def estimated_bytes(
    pyramid: UncodedPyramid, overview: CodedOverview, coder: TileCoder, resources: Resources
) -> RateCurve:
    """Return the bytes of all tiles over the base's quality, from a sample of its tiles."""
    samples = _samples(pyramid, resources)
    return RateCurve(
        lambda quality: overview.total_bytes + _estimate(samples, pyramid.levels[0], coder, quality, resources)
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    """Tiles of the base that stand for a group of its tiles."""

    indexes: list[int]
    group_size: int


def _samples(pyramid: UncodedPyramid, resources: Resources) -> list[_Sample]:
    """Draw a sample of the tissue tiles, and one of the glass tiles."""
    has_tissue = [bool(pyramid.tissue_of(index).any()) for index in range(pyramid.grids[0].count)]
    most = min(max(sum(has_tissue) // _TISSUE_SHARE, _TISSUE_SAMPLES[0]), _TISSUE_SAMPLES[1])
    groups = [
        ([index for index, tissue in enumerate(has_tissue) if tissue], most),
        ([index for index, tissue in enumerate(has_tissue) if not tissue], _GLASS_SAMPLE),
    ]
    return [_Sample(resources.sample(group, count), len(group)) for group, count in groups if group]


def _estimate(
    samples: list[_Sample], pixels: PixelSpool, coder: TileCoder, quality: float, resources: Resources
) -> float:
    """Return the bytes of all tiles at a quality, from the sizes of the sampled ones."""
    code, total = _tile_coding(pixels, coder, quality), 0.0
    for sample in samples:
        sizes = resources.map(lambda index: len(code(index)), sample.indexes)
        total += sum(sizes) / len(sample.indexes) * sample.group_size
    return total


def _coded_level(pixels: PixelSpool, coder: TileCoder, quality: float, resources: Resources) -> CodeSpool:
    codes, code = CodeSpool(pixels.grid, resources.folder), _tile_coding(pixels, coder, quality)

    def work(index: int) -> None:
        codes.put(index, code(index))

    try:
        for _ in resources.map(work, range(pixels.grid.count), "coding"):
            pass
    except BaseException:
        codes.close()
        raise
    return codes


def _tile_coding(pixels: PixelSpool, coder: TileCoder, quality: float) -> Callable[[int], bytes]:
    """Return the function from a tile's index to its bytes."""
    return partial(coded_tile, pixels.read, pixels.grid, coder, quality)
