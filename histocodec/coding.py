"""Coding a pyramid: every tile at one quality, or at the best quality that fits a budget."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from .base import BaseCoder
from .codecs import Image
from .errors import BudgetError
from .parallel import ordered_map
from .plane import TileCache, TiledPlane
from .pyramid import Progress, Pyramid
from .rate import SEARCH_RANGES, RateCurve, best_quality
from .sampling import spread_sample
from .spool import CodeSpool, PixelSpool

GOOD_FILL = 0.97
"""A first coding that fills at least this much of its budget is kept; below it a second one is worth its time."""

_AIM = 0.995
"""Share of the budget that estimates aim at: a coding that exceeds it by a hair has to be made again."""

_GLASS_SAMPLE, _LEVEL_SAMPLE = 8, 12
_TISSUE_SHARE, _TISSUE_SAMPLES = 8, (16, 48)
"""Tiles that an estimate of the whole codes. Of the tissue one in eight: a small slide is cheap to code once more."""


class CodedPyramid:
    """The coded tiles of every level, on disk. A context manager that frees it."""

    def __init__(
        self, pyramid: Pyramid, coder: BaseCoder, quality: float, *, folder: Path, workers: int, progress: Progress
    ) -> None:
        """Codes every tile of `pyramid`."""
        self.coder, self.quality = coder, quality
        total = sum(grid.count for grid in pyramid.grids)
        done = 0
        with ExitStack() as stack:
            self.levels: list[CodeSpool] = []
            for pixels in pyramid.levels:
                codes = CodeSpool(pixels.grid, folder)
                stack.callback(codes.close)
                self.levels.append(codes)
                work = partial(_code_tile, pixels, codes, coder, quality)
                for _ in ordered_map(work, range(pixels.grid.count), workers=workers):
                    done += 1
                    progress("coding", done, total)
            self._stack = stack.pop_all()

    @property
    def total_bytes(self) -> int:
        return sum(codes.total_bytes for codes in self.levels)

    def base_plane(self, capacity_bytes: int = 64 << 20) -> TiledPlane:
        """The base as a decoder will see it."""
        codes = self.levels[0]

        def decode(column: int, row: int) -> Image:
            data = codes.get(codes.grid.index(column, row))
            return self.coder.decode(data, height=codes.grid.tile, width=codes.grid.tile)

        return TiledPlane(codes.grid, decode, TileCache(capacity_bytes))

    def close(self) -> None:
        """Free the disk."""
        self._stack.close()

    def __enter__(self) -> CodedPyramid:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def code_within(
    pyramid: Pyramid,
    coder: BaseCoder,
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
    curve = estimated_bytes(pyramid, coder, seed, workers)
    lowest = SEARCH_RANGES[coder.codec][0]
    first = True
    while True:
        quality = best_quality(curve, _AIM * budget_bytes, coder.codec) or lowest
        coded = CodedPyramid(pyramid, coder, quality, folder=folder, workers=workers, progress=progress)
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


def estimated_bytes(pyramid: Pyramid, coder: BaseCoder, seed: int, workers: int) -> RateCurve:
    """The bytes of all tiles over quality, from a sample of them."""
    return RateCurve(partial(_estimate, _samples(pyramid, seed), coder, workers))


def _code_tile(pixels: PixelSpool, codes: CodeSpool, coder: BaseCoder, quality: float, index: int) -> None:
    codes.put(index, coder.encode(pixels.get(index), quality))


@dataclass(frozen=True, slots=True)
class _Sample:
    """Tiles of a level that stand for a group of tiles of that level."""

    pixels: PixelSpool
    indexes: list[int]
    group_size: int


def _samples(pyramid: Pyramid, seed: int) -> list[_Sample]:
    """Of the tissue tiles of the base, of its glass tiles, and of every reduced level."""
    samples = []
    for level, pixels in enumerate(pyramid.levels):
        everything = range(pixels.grid.count)
        if level == 0:
            has_tissue = [bool(pyramid.tissue_of(index).any()) for index in everything]
            tissue_sample = min(max(sum(has_tissue) // _TISSUE_SHARE, _TISSUE_SAMPLES[0]), _TISSUE_SAMPLES[1])
            groups = [
                ([index for index in everything if has_tissue[index]], tissue_sample),
                ([index for index in everything if not has_tissue[index]], _GLASS_SAMPLE),
            ]
        else:
            groups = [(list(everything), _LEVEL_SAMPLE)]
        samples += [_Sample(pixels, spread_sample(group, count, seed), len(group)) for group, count in groups if group]
    return samples


def _estimate(samples: list[_Sample], coder: BaseCoder, workers: int, quality: float) -> float:
    """Bytes of all tiles at a quality, from the sizes of the sampled ones."""
    total = 0.0
    for sample in samples:
        work = partial(_coded_size, sample.pixels, coder, quality)
        sizes = ordered_map(work, sample.indexes, workers=workers)
        total += sum(sizes) / len(sample.indexes) * sample.group_size
    return total


def _coded_size(pixels: PixelSpool, coder: BaseCoder, quality: float, index: int) -> int:
    return len(coder.encode(pixels.get(index), quality))
