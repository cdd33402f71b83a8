"""Measured quality: how close a reconstruction is to the source, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .base import downsample
from .codecs import Image
from .facts import ErrorSummary, QualityFacts, Summary
from .generator import BicubicGenerator, Generator, ReadBase, predict
from .geometry import Region, Size, TileGrid
from .metrics import colour_error, psnr, ssim
from .parallel import ordered_map

PSNR_CAP_DB = 100.0
"""Stands for the infinite PSNR of equal images, so that means and JSON stay finite."""

SSIM_SIDE = 11
"""Pixels a side that SSIM needs."""

FEWEST_BLOCKS = 24
"""Below that a sample's own spread says little of the slide's."""


@dataclass(frozen=True, slots=True)
class BlockScore:
    """One block of the reconstruction against the source."""

    psnr_db: float
    """At most PSNR_CAP_DB."""
    ssim: float | None
    """None of less than 11 px a side."""
    colour_error: float
    """`metrics.colour_error` of both averaged down to the base's resolution: what happened to the stain."""
    consistency_db: float
    """PSNR of the reconstruction, averaged down, against the decoded base: whether what was added agrees with what is
    stored. At most PSNR_CAP_DB."""


def score_block(original: Image, made: Image, base: Image, scale: int) -> BlockScore:
    """original, made: (height, width, 3) uint8 of a block within the slide. base: the same area of the decoded base,
    (ceil(height / scale), ceil(width / scale), 3) uint8."""
    small = downsample(made, scale)
    return BlockScore(
        psnr_db=min(psnr(original, made), PSNR_CAP_DB),
        ssim=ssim(original, made) if min(original.shape[:2]) >= SSIM_SIDE else None,
        colour_error=colour_error(downsample(original, scale), small),
        consistency_db=min(psnr(base, small), PSNR_CAP_DB),
    )


MAP_CHANNELS = 4
MAP_LEGEND = (
    "0 not measured, else PSNR dB = (v - 1) / 500; SSIM = (v - 1) / 30000 - 1; colour error = (v - 1) / 500; "
    "consistency dB = (v - 1) / 500"
)
_STEPS = np.array([500.0, 30000.0, 500.0, 500.0])
_OFFSETS = np.array([0.0, 1.0, 0.0, 0.0])
_HIGHEST = 65534


@dataclass(frozen=True, eq=False)
class QualityMap:
    """What was measured of each block of the canonical grid, as it is stored."""

    values: NDArray[np.uint16]
    """(rows, columns, 4) uint16: PSNR, SSIM, colour error, consistency, by MAP_LEGEND. All 0: not measured."""

    @classmethod
    def of(cls, blocks: TileGrid, scores: Iterable[tuple[tuple[int, int], BlockScore]]) -> QualityMap:
        """scores: pairs of (column, row) and what was measured there."""
        values = np.zeros((blocks.shape.height, blocks.shape.width, MAP_CHANNELS), np.uint16)
        for (column, row), score in scores:
            assert score.ssim is not None  # slivers are not in the map
            measured = np.array([score.psnr_db, score.ssim, score.colour_error, score.consistency_db])
            values[row, column] = 1 + np.clip(np.rint((measured + _OFFSETS) * _STEPS), 0, _HIGHEST)
        return cls(values)

    @property
    def measured(self) -> NDArray[np.bool_]:
        """(rows, columns): where something was measured."""
        found: NDArray[np.bool_] = self.values[..., 0] > 0
        return found

    @property
    def psnr_db(self) -> NDArray[np.float64]:
        """(rows, columns) in dB, to 1/500; NaN where nothing was measured."""
        return self._channel(0)

    @property
    def ssim(self) -> NDArray[np.float64]:
        """(rows, columns), -1 to 1, to 1/30000; NaN where nothing was measured."""
        return self._channel(1)

    @property
    def colour_error(self) -> NDArray[np.float64]:
        """(rows, columns) in delta E*ab, to 1/500; NaN where nothing was measured."""
        return self._channel(2)

    @property
    def consistency_db(self) -> NDArray[np.float64]:
        """(rows, columns) in dB, to 1/500; NaN where nothing was measured."""
        return self._channel(3)

    def _channel(self, number: int) -> NDArray[np.float64]:
        stored = self.values[..., number].astype(np.float64)
        return np.where(stored > 0, (stored - 1) / _STEPS[number] - _OFFSETS[number], np.nan)


def measure_blocks(
    read_full: Callable[[Region], Image],
    full_size: Size,
    read_base: ReadBase,
    generator: Generator,
    blocks: TileGrid,
    addresses: Sequence[tuple[int, int]],
    *,
    method: str,
    population: int,
    within_db: float = 0.0,
    workers: int,
    progress: Callable[[int, int], None],
) -> tuple[QualityFacts, QualityMap]:
    """Reconstruct some blocks as a decoder does, and compare them with the source.

    read_full: regions of the source, whose size is `full_size`. read_base: regions of the *decoded* base. addresses:
    (column, row) of blocks, at least one, in random order. Of each the part that lies within the slide is measured,
    which has to be SSIM_SIDE px a side. method: how they were chosen, out of `population`.
    within_db: stop once the mean PSNR of the population is known to within so much (`half_width`), which is looked at
    after FEWEST_BLOCKS, twice as many, and so on; 0 measures all. PSNR and SSIM as `histocodec.metrics` defines them,
    PSNR at most PSNR_CAP_DB.
    """
    bicubic = BicubicGenerator(generator.scale)
    grid = TileGrid(full_size, blocks.tile * generator.scale)

    def measure(address: tuple[int, int]) -> tuple[BlockScore, float]:
        original = read_full(grid.covered(*address))
        within = np.s_[: original.shape[0], : original.shape[1]]
        predicted = predict(generator, read_base, blocks, *address)[within]
        plain = predict(bicubic, read_base, blocks, *address)[within]
        score = score_block(original, predicted, read_base(blocks.covered(*address)), generator.scale)
        return score, min(psnr(original, plain), PSNR_CAP_DB)

    scores: list[BlockScore] = []
    bicubic_db: list[float] = []
    # Looked at after every block, a sample would stop when its spread happens to seem small.
    looks = {FEWEST_BLOCKS << doubling for doubling in range(16)}
    for score, plain_db in ordered_map(measure, addresses, workers=workers):
        scores.append(score)
        bicubic_db.append(plain_db)
        progress(len(scores), len(addresses))
        look = within_db > 0 and len(scores) in looks
        if look and half_width([score.psnr_db for score in scores], population) <= within_db:
            progress(len(scores), len(scores))
            break
    measured = list(zip(addresses, scores, strict=False))
    facts = quality_facts(
        measured, bicubic_db, method=method, block_size=blocks.tile * generator.scale, population=population
    )
    return facts, QualityMap.of(blocks, measured)


def quality_facts(
    measured: Sequence[tuple[tuple[int, int], BlockScore]],
    bicubic_db: Sequence[float],
    *,
    method: str,
    block_size: int,
    population: int,
) -> QualityFacts:
    """What a manifest states of measured blocks, at least one.

    measured: pairs of (column, row) and score. bicubic_db: PSNR of plain bicubic on the same blocks. method: how they
    were chosen, out of `population`. block_size: full pixels a side.
    """
    scores = [score for _, score in measured]
    psnr_db = [score.psnr_db for score in scores]
    return QualityFacts(
        method=method,
        blocks=len(scores),
        block_size=block_size,
        psnr_db=summarise(psnr_db),
        ssim=summarise([score.ssim for score in scores if score.ssim is not None]),
        bicubic_psnr_db=round(float(np.mean(bicubic_db)), 4),
        psnr_half_width_db=round(half_width(psnr_db, population), 4),
        colour_error=summarise_errors([score.colour_error for score in scores]),
        consistency_db=summarise([score.consistency_db for score in scores]),
        worst_block=min(measured, key=lambda pair: pair[1].psnr_db)[0],
    )


def half_width(values: Sequence[float], population: int) -> float:
    """Half the width of the 95 % confidence interval of a population's mean, from a random sample without replacement.

    Two standard errors, with the correction for a finite population (Cochran 1977, 2.8); 0 for all of it. It is less
    sure where a few blocks are far worse than the others, as in folds: a small sample may hold none of them.
    """
    count = len(values)
    if count >= population:
        return 0.0
    if count < 2:
        return PSNR_CAP_DB
    return min(PSNR_CAP_DB, 2 * float(np.std(values, ddof=1)) * math.sqrt((1 - count / population) / count))


def summarise(values: Sequence[float]) -> Summary:
    """Mean, 5th percentile (linear between ranks) and lowest of a measure where higher is better."""
    array = np.array(values, np.float64)
    return Summary(
        mean=round(float(array.mean()), 4),
        percentile_5=round(float(np.percentile(array, 5)), 4),
        worst=round(float(array.min()), 4),
    )


def summarise_errors(values: Sequence[float]) -> ErrorSummary:
    """Mean, 95th percentile (linear between ranks) and highest of a measure where lower is better."""
    array = np.array(values, np.float64)
    return ErrorSummary(
        mean=round(float(array.mean()), 4),
        percentile_95=round(float(np.percentile(array, 95)), 4),
        worst=round(float(array.max()), 4),
    )
