"""Coding a pyramid: every tile at one quality, or at the best quality that fits a budget."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from ..errors import BudgetError
from ..format.entries import OVERVIEW_CODEC
from ..geometry import Image
from ..pixels.tile_codecs import TileCodec
from ..pixels.tile_coder import TileCoder, coded_tile
from ..runtime.parallel import ordered_map
from ..runtime.progress import Progress
from ..runtime.sampling import spread_sample
from ..runtime.scratch import CodeSpool, PixelSpool
from ..runtime.tiled_image import TileCache, TiledImage
from .rate import SEARCH_RANGES, RateCurve, best_quality
from .uncoded_pyramid import UncodedPyramid

GOOD_FILL = 0.97
"""A first coding that fills at least this much of its budget is kept; below it a second one is worth its time."""

_AIM = 0.995
"""Share of the budget that estimates aim at: a coding that exceeds it by a hair has to be made again."""

_GLASS_SAMPLE = 8
_TISSUE_SHARE, _TISSUE_SAMPLES = 8, (16, 48)
"""Tiles that an estimate of the whole codes. Of the tissue one in eight: a small slide is cheap to code once more."""


OVERVIEW_QUALITY: dict[TileCodec, tuple[float, ...]] = {"jp2k": (33.5, 31.0, 28.0, 24.0), "jpeg": (90, 80, 65, 50)}
"""Of the reduced levels, on their codec's scale, the first choice first. They are what a recipient sees first, and all
that other programs show of an AVIF file."""

OVERVIEW_SHARE = 0.1
"""Of a budget that the reduced levels may take before they are coded at the next lower quality."""


class CodedOverview:
    """The coded tiles of the reduced levels, on disk. A context manager that frees it."""

    def __init__(
        self,
        pyramid: UncodedPyramid,
        codec: TileCodec,
        budget: int | None,
        *,
        folder: Path,
        workers: int,
        progress: Progress,
    ) -> None:
        """Codes them at the best quality that leaves the base its share of the file's budget; the lowest in any case.

        codec: that of the base.
        """
        # Stain is colour: half of it thrown away is more than any quality brings back.
        coder = TileCoder(OVERVIEW_CODEC[codec], jpeg_chroma="444")
        limit = math.inf if budget is None else OVERVIEW_SHARE * budget
        for self.quality in OVERVIEW_QUALITY[coder.codec]:
            with ExitStack() as stack:
                self.levels: list[CodeSpool] = []
                for pixels in pyramid.levels[1:]:
                    self.levels.append(
                        stack.enter_context(_coded_level(pixels, coder, self.quality, folder, workers, progress))
                    )
                if self.total_bytes <= limit or self.quality == OVERVIEW_QUALITY[coder.codec][-1]:
                    self._stack = stack.pop_all()
                    return

    @property
    def total_bytes(self) -> int:
        return sum(codes.total_bytes for codes in self.levels)

    def close(self) -> None:
        """Free the disk."""
        self._stack.close()

    def __enter__(self) -> CodedOverview:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class CodedPyramid:
    """The coded tiles of every level, on disk. A context manager that frees those of the base."""

    def __init__(
        self,
        pyramid: UncodedPyramid,
        overview: CodedOverview,
        coder: TileCoder,
        quality: float,
        *,
        folder: Path,
        workers: int,
        progress: Progress,
    ) -> None:
        """Codes every tile of the base."""
        self.coder, self.quality = coder, quality
        base = _coded_level(pyramid.levels[0], coder, quality, folder, workers, progress)
        self._base = base
        self.levels = [base, *overview.levels]

    @property
    def total_bytes(self) -> int:
        return sum(codes.total_bytes for codes in self.levels)

    def decoded_base(self, capacity_bytes: int = 64 << 20) -> TiledImage:
        """The base as a decoder will see it."""
        codes = self.levels[0]

        def decode(column: int, row: int) -> Image:
            data = codes.get(codes.grid.index(column, row))
            return self.coder.decode(data, height=codes.grid.tile, width=codes.grid.tile)

        return TiledImage(codes.grid, decode, TileCache(capacity_bytes))

    def close(self) -> None:
        """Free the disk."""
        self._base.close()

    def __enter__(self) -> CodedPyramid:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _coded_level(
    pixels: PixelSpool, coder: TileCoder, quality: float, folder: Path, workers: int, progress: Progress
) -> CodeSpool:
    codes = CodeSpool(pixels.grid, folder)
    try:
        work = partial(_code_tile, pixels, codes, coder, quality)
        for done, _ in enumerate(ordered_map(work, range(pixels.grid.count), workers=workers), 1):
            progress("coding", done, pixels.grid.count)
    except BaseException:
        codes.close()
        raise
    return codes


def code_within(
    pyramid: UncodedPyramid,
    overview: CodedOverview,
    coder: TileCoder,
    budget_bytes: int,
    *,
    seed: int,
    folder: Path,
    workers: int,
    progress: Progress,
) -> CodedPyramid:
    """Code at the best quality whose tiles fit into `budget_bytes`.

    A sample of tiles gives a first estimate of bytes over quality; what the whole really takes corrects it, until it
    fits. Raises BudgetError if the lowest quality does not; its `needed_bytes` are what that really took.
    """
    curve = estimated_bytes(pyramid, overview, coder, seed, workers)
    lowest = SEARCH_RANGES[coder.codec][0]
    first = True
    while True:
        quality = best_quality(curve, _AIM * budget_bytes, coder.codec) or lowest
        coded = CodedPyramid(pyramid, overview, coder, quality, folder=folder, workers=workers, progress=progress)
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
    pyramid: UncodedPyramid, overview: CodedOverview, coder: TileCoder, seed: int, workers: int
) -> RateCurve:
    """The bytes of all tiles over the base's quality, from a sample of its tiles."""
    samples = _samples(pyramid, seed)
    return RateCurve(lambda quality: overview.total_bytes + _estimate(samples, coder, workers, quality))


def _code_tile(pixels: PixelSpool, codes: CodeSpool, coder: TileCoder, quality: float, index: int) -> None:
    codes.put(index, coded_tile(pixels.read, pixels.grid, coder, quality, index))


@dataclass(frozen=True, slots=True)
class _Sample:
    """Tiles of the base that stand for a group of its tiles."""

    pixels: PixelSpool
    indexes: list[int]
    group_size: int


def _samples(pyramid: UncodedPyramid, seed: int) -> list[_Sample]:
    """Of its tissue tiles and of its glass tiles."""
    pixels = pyramid.levels[0]
    has_tissue = [bool(pyramid.tissue_of(index).any()) for index in range(pixels.grid.count)]
    most = min(max(sum(has_tissue) // _TISSUE_SHARE, _TISSUE_SAMPLES[0]), _TISSUE_SAMPLES[1])
    groups = [
        ([index for index, tissue in enumerate(has_tissue) if tissue], most),
        ([index for index, tissue in enumerate(has_tissue) if not tissue], _GLASS_SAMPLE),
    ]
    return [_Sample(pixels, spread_sample(group, count, seed), len(group)) for group, count in groups if group]


def _estimate(samples: list[_Sample], coder: TileCoder, workers: int, quality: float) -> float:
    """Bytes of all tiles at a quality, from the sizes of the sampled ones."""
    total = 0.0
    for sample in samples:
        work = partial(_coded_size, sample.pixels, coder, quality)
        sizes = ordered_map(work, sample.indexes, workers=workers)
        total += sum(sizes) / len(sample.indexes) * sample.group_size
    return total


def _coded_size(pixels: PixelSpool, coder: TileCoder, quality: float, index: int) -> int:
    return len(coded_tile(pixels.read, pixels.grid, coder, quality, index))
