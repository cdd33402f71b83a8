"""Coding the base: within a budget, at a quality, or as a floor makes best."""

from __future__ import annotations

import math

from ..errors import BudgetError
from .coded_pyramid import CodedPyramid
from .coded_slide import CodedSlide
from .filling import code_within
from .job import Job
from .overhead import overhead_bytes
from .split import choose_split


def code_base(job: Job) -> CodedSlide:
    """Code the base, under a budget as if there were no floor. Raises BudgetError if nothing fits."""
    if job.budget_bytes is not None:
        return CodedSlide(job, code_base_within(job, job.budget_bytes))
    quality = job.settings.quality
    if quality is None:
        assert job.floors is not None
        quality = choose_split(job, job.floors)
    coded = CodedPyramid(job.pyramid, job.overview, job.coder, quality, job.resources)
    return CodedSlide(job.with_package_for(coded.total_bytes), coded)


def code_base_within(job: Job, budget_bytes: int) -> CodedPyramid:
    """Code the base at the best quality that fits. Raises BudgetError, which speaks of the whole file."""
    overhead, settings = overhead_bytes(job), job.settings
    try:
        return code_within(job.pyramid, job.overview, job.coder, budget_bytes - overhead, job.resources)
    except BudgetError as error:
        ratio = _possible_ratio(job, error.needed_bytes)
        raise BudgetError(
            budget_bytes,
            error.needed_bytes + overhead,
            f"{job.source.path}: a ratio of {settings.ratio:g} allows {budget_bytes} bytes. The base at its lowest "
            f"quality takes {error.needed_bytes} and everything else {overhead}: "
            + (f"--ratio {ratio:g} can be met" if ratio else "no ratio can be met, but --quality sets none"),
        ) from error


def _possible_ratio(job: Job, tile_bytes: int) -> float | None:
    """Return the highest ratio, in tenths, whose budget holds tiles of so many bytes and all that it admits."""
    needed = tile_bytes + overhead_bytes(job)
    while True:
        ratio = math.floor(10 * job.source.size_bytes / needed) / 10
        if ratio < 1:
            return None
        budget_bytes = int(job.source.size_bytes / ratio)
        # A larger budget admits better associated images, and perhaps the generator: it needs more itself.
        needed = tile_bytes + overhead_bytes(job.fitted(budget_bytes))
        if needed <= budget_bytes:
            return ratio
