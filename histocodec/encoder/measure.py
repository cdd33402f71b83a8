"""Measuring a prediction on blocks of the slide, and what a manifest states of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..format.entries import QualityEntry
from ..format.quality import QualityMap, summarise, summarise_errors
from ..geometry import Address
from ..pixels.score import PSNR_CAP_DB, SSIM_SIDE, BlockScore
from ..runtime.resources import Resources
from .blocks import BlockReader
from .coded_pyramid import CodedPyramid
from .job import Job

FEWEST_BLOCKS = 24
"""Number of blocks below which a sample's own spread says little of the slide's."""

Measured = tuple[QualityEntry, QualityMap]
"""The measures of the prediction, summed up and block by block."""


Scores = list[tuple[Address, BlockScore, float]]
"""The address of each measured block, its score, and the PSNR of bicubic on it, capped."""


def measure_prediction(job: Job, coded: CodedPyramid) -> Measured | None:
    """Predict the blocks of tissue that the settings ask for, and compare them with the source.

    Returns None if nothing is asked for, or there is no tissue.
    """
    settings = job.settings
    if settings.verify == "none":
        return None
    candidates = job.pyramid.tissue_blocks(SSIM_SIDE)
    count = len(candidates) if settings.verify == "all" else settings.verify_blocks
    spread = job.resources.sample(candidates, count)
    if not spread:
        return None
    # In random order, so that the first ones stand for all of them.
    addresses = [spread[k] for k in np.random.default_rng(settings.seed).permutation(len(spread))]
    measured = measure_blocks(
        job.blocks(coded.decoded_base().read),
        addresses,
        population=len(candidates),
        within_db=settings.verify_within_db if settings.verify == "sample" else 0.0,
        resources=job.resources,
        stage="measuring",
    )
    return measured_of(job, measured, method=settings.verify, population=len(candidates))


def measure_blocks(
    read: BlockReader,
    addresses: Sequence[Address],
    *,
    population: int,
    within_db: float = 0.0,
    resources: Resources,
    stage: str,
) -> Scores:
    """Predict some blocks of tissue as a decoder does, and score them on the part that lies within the slide.

    addresses: at least one, in random order, drawn out of `population`; the part within the slide has SSIM_SIDE px a
    side at least. within_db: stop once the mean PSNR of the population is known to within so much (`half_width`),
    which is looked at after FEWEST_BLOCKS, twice as many, and so on; 0 measures all. stage: what progress is told.
    """

    def measure(address: Address) -> tuple[BlockScore, float]:
        return read.score(address, read(address))

    found: Scores = []
    # Looked at after every block, a sample would stop when its spread happens to seem small.
    looks = {FEWEST_BLOCKS << doubling for doubling in range(16)}
    for address, (score, bicubic_db) in zip(addresses, resources.map(measure, addresses, stage), strict=False):
        found.append((address, score, bicubic_db))
        look = within_db > 0 and len(found) in looks
        if look and half_width([score.psnr_db for _, score, _ in found], population) <= within_db:
            resources.progress(stage, len(found), len(found))
            break
    return found


def measured_of(job: Job, scores: Scores, *, method: str, population: int) -> Measured:
    """Return what a manifest states of measured blocks, at least one, and their map.

    method: how they were chosen, out of `population`.
    """
    psnr_db = [score.psnr_db for _, score, _ in scores]
    entry = QualityEntry(
        method=method,
        blocks=len(scores),
        block_size=job.pyramid.full_blocks.side,
        psnr_db=summarise(psnr_db),
        ssim=summarise([score.ssim for _, score, _ in scores if score.ssim is not None]),
        bicubic_psnr_db=round(float(np.mean([bicubic_db for _, _, bicubic_db in scores])), 4),
        psnr_half_width_db=round(half_width(psnr_db, population), 4),
        colour_error=summarise_errors([score.colour_error for _, score, _ in scores]),
        consistency_db=summarise([score.consistency_db for _, score, _ in scores]),
        worst_block=min(scores, key=lambda measured: measured[1].psnr_db)[0],
    )
    return entry, QualityMap.of(job.pyramid.blocks, [(address, score) for address, score, _ in scores])


def half_width(values: Sequence[float], population: int) -> float:
    """Return half the width of the 95 % confidence interval of a population's mean, from a sample without replacement.

    Two standard errors, with the correction for a finite population (Cochran 1977, 2.8); 0 for all of it. It is less
    sure where a few blocks are far worse than the others, as in folds: a small sample may hold none of them.
    """
    count = len(values)
    if count >= population:
        return 0.0
    if count < 2:
        return PSNR_CAP_DB
    return min(PSNR_CAP_DB, 2 * float(np.std(values, ddof=1)) * math.sqrt((1 - count / population) / count))
