"""Measuring a reconstruction on blocks of the slide, and what a manifest states of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..format.entries import QualityEntry
from ..format.quality import QualityMap, summarise, summarise_errors
from ..generators.bicubic import BicubicGenerator
from ..generators.predict import ReadBase, predict
from ..geometry import Image, Region, Size, TileGrid
from ..pixels.metrics import psnr
from ..pixels.resampler import Generator
from ..pixels.score import PSNR_CAP_DB, BlockScore, score_block
from ..runtime.parallel import ordered_map

FEWEST_BLOCKS = 24
"""Below that a sample's own spread says little of the slide's."""


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
) -> tuple[QualityEntry, QualityMap]:
    """Reconstruct some blocks as a decoder does, and compare them with the source.

    read_full: regions of the source, whose size is `full_size`. read_base: regions of the *decoded* base. addresses:
    (column, row) of blocks, at least one, in random order. Of each the part that lies within the slide is measured,
    which has to be SSIM_SIDE px a side. method: how they were chosen, out of `population`.
    within_db: stop once the mean PSNR of the population is known to within so much (`half_width`), which is looked at
    after FEWEST_BLOCKS, twice as many, and so on; 0 measures all. PSNR and SSIM as `pixels.metrics` defines them,
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
    facts = quality_entry(
        measured, bicubic_db, method=method, block_size=blocks.tile * generator.scale, population=population
    )
    return facts, QualityMap.of(blocks, measured)


def quality_entry(
    measured: Sequence[tuple[tuple[int, int], BlockScore]],
    bicubic_db: Sequence[float],
    *,
    method: str,
    block_size: int,
    population: int,
) -> QualityEntry:
    """What a manifest states of measured blocks, at least one.

    measured: pairs of (column, row) and score. bicubic_db: PSNR of plain bicubic on the same blocks. method: how they
    were chosen, out of `population`. block_size: full pixels a side.
    """
    scores = [score for _, score in measured]
    psnr_db = [score.psnr_db for score in scores]
    return QualityEntry(
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
