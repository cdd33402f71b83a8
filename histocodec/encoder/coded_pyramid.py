"""A pyramid as coded tiles on disk: at one quality, or at the best quality that fits a budget."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from ..errors import BudgetError
from ..format.entries import OVERVIEW_CODEC
from ..format.pieces import image_crc32
from ..geometry import Image
from ..pixels.rate import SEARCH_RANGES, Coding, RateCurve, best_quality, between
from ..pixels.tile_codecs import TileCodec, encode_tile
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
and all that other programs show of a file with an AV1 base."""

OVERVIEW_SHARE = 0.1
"""Share of a budget that the reduced levels may take before they are coded at the next lower quality."""

_AIM, _FIRST_AIM = 0.995, 0.985
"""Share of the budget that estimates aim at, and that the first one does, which is less sure: a coding that exceeds the
budget by a hair has to be made again."""

_MOST_CODINGS = 8
"""Codings of the whole base in search of the one that fills the budget; one or two as a rule."""

_GLASS_SAMPLE = 4
"""Glass tiles that an estimate of the whole codes."""

_TISSUE_SHARE, _TISSUE_SAMPLES = 4, (6, 32)
"""An estimate codes one tissue tile in so many, and at least and at most so many."""

_WEIGHING_QUALITY = 20
"""Quality on libjpeg's scale at which tiles are weighed: about as coarse as bases are."""

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
        coded: Mapping[int, bytes] | None = None,
    ) -> None:
        """Code every tile of the base; the reduced levels are there already.

        coded: tiles by index that have been coded at this quality before.
        """
        self.coder, self.quality = coder, quality
        self.base = _coded_level(pyramid.levels[0], coder, quality, resources, coded)
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
    rate = BaseRate(pyramid, overview, coder, resources)
    lowest, highest = SEARCH_RANGES[coder.codec]
    best: CodedPyramid | None = None
    below: Coding | None = None
    above: Coding | None = None
    quality = best_quality(rate.curve, _FIRST_AIM * budget_bytes, coder.codec) or lowest
    for left in reversed(range(_MOST_CODINGS)):
        try:
            coded = CodedPyramid(pyramid, overview, coder, quality, resources, rate.coded_at(quality))
        except BaseException:
            if best is not None:
                best.close()
            raise
        found = Coding(quality, coded.total_bytes)
        rate.correct(coded)
        if found.total_bytes > budget_bytes:
            coded.close()
            above = found
            if quality == lowest:
                needed = found.total_bytes
                raise BudgetError(
                    budget_bytes, needed, f"the tiles need {needed} bytes, {budget_bytes} are left for them"
                )
        else:
            if best is not None:
                best.close()
            best, below = coded, found
            if found.total_bytes >= GOOD_FILL * budget_bytes or quality == highest:
                break
        # A curve that was wrong twice is not asked again.
        trusted = left == _MOST_CODINGS - 1
        wish = best_quality(rate.curve, _AIM * budget_bytes, coder.codec) if trusted else None
        quality = between(below, above, wish, _AIM * budget_bytes, coder.codec)
        if below is None and left == 1:
            quality = lowest
        if below is not None and quality == below.quality:
            break
    assert best is not None
    return best


class BaseRate:
    """The bytes of all tiles over the base's quality, from a sample of its tiles, each coded but once at a quality."""

    def __init__(
        self, pyramid: UncodedPyramid, overview: CodedOverview, coder: TileCoder, resources: Resources
    ) -> None:
        """Draw a sample of the tissue tiles, and one of the glass tiles."""
        self._pixels, self._overview, self._coder, self._resources = pyramid.levels[0], overview, coder, resources
        self._coded: dict[float, dict[int, bytes]] = {}
        self.curve = RateCurve(self._estimate, coder.codec)
        """Estimated bytes of the tiles of all levels at a quality."""
        indexes = range(pyramid.grids[0].count)
        weights = list(resources.map(lambda index: _weight(self._pixels.get(index)), indexes))
        has_tissue = [bool(pyramid.tissue_of(index).any()) for index in indexes]
        most = min(max(sum(has_tissue) // _TISSUE_SHARE, _TISSUE_SAMPLES[0]), _TISSUE_SAMPLES[1])
        self._samples = []
        for kind, count in ((True, most), (False, _GLASS_SAMPLE)):
            if group := [index for index in indexes if has_tissue[index] is kind]:
                sample = resources.sample(group, count)
                self._samples.append((sample, sum(weights[i] for i in group) / sum(weights[i] for i in sample)))

    def coded_at(self, quality: float) -> Mapping[int, bytes]:
        """Return the tiles by index that have been coded at a quality."""
        return self._coded.get(quality, {})

    def correct(self, coded: CodedPyramid) -> None:
        """Learn from a coding of all tiles: what they took, and what the sample would have told of it."""
        self.curve.add(coded.quality, self._total(lambda index: len(coded.base.get(index))))
        self.curve.correct(coded.quality, coded.total_bytes)

    def _estimate(self, quality: float) -> float:
        """Code the sample at a quality, and return the bytes of all tiles."""
        sampled = [index for sample, _ in self._samples for index in sample]
        codes = self._resources.map(_tile_coding(self._pixels, self._coder, quality), sampled)
        found = self._coded[quality] = dict(zip(sampled, codes, strict=True))
        return self._total(lambda index: len(found[index]))

    def _total(self, size: Callable[[int], int]) -> float:
        """Return the bytes of all tiles from those of the sample, by the ratio estimator (Cochran 1977, 6.1).

        The tissue tiles of a slide differ by a factor of several; their bytes over their weights, by a tenth or two.
        """
        return self._overview.total_bytes + sum(share * sum(map(size, sample)) for sample, share in self._samples)


def _weight(tile: Image) -> int:
    """Return the bytes of a tile as JPEG, but for those that an empty one takes, and one.

    In a twentieth of a coding's time they tell what it takes beside other tiles.
    """
    return 1 + max(0, len(encode_tile(tile, "jpeg", _WEIGHING_QUALITY)) - _empty_bytes(tile.shape))


@functools.cache
def _empty_bytes(shape: tuple[int, ...]) -> int:
    """Return the bytes of a tile of one colour as JPEG."""
    return len(encode_tile(np.full(shape, 240, np.uint8), "jpeg", _WEIGHING_QUALITY))


def _coded_level(
    pixels: PixelSpool,
    coder: TileCoder,
    quality: float,
    resources: Resources,
    coded: Mapping[int, bytes] | None = None,
) -> CodeSpool:
    codes, code = CodeSpool(pixels.grid, resources.folder), _tile_coding(pixels, coder, quality)
    ready = coded or {}

    def work(index: int) -> None:
        codes.put(index, ready[index] if index in ready else code(index))

    try:
        for _ in resources.map(work, range(pixels.grid.count), "coding"):
            pass
    except BaseException:
        codes.close()
        raise
    return codes


def _tile_coding(pixels: PixelSpool, coder: TileCoder, quality: float) -> Callable[[int], bytes]:
    """Return the function from a tile's index to its bytes."""
    return functools.partial(coded_tile, pixels.read, pixels.grid, coder, quality)
