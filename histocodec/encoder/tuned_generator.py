"""The stage that tunes the generator to the slide, and keeps it if it is worth its bytes.

Under a byte budget, the base is coded more coarsely to make room for it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import BudgetError
from ..format.quality import summarise
from ..generators.predict import ReadBase
from ..geometry import Address, Grid, Image, Region
from ..pixels.rate import DB_PER_DOUBLING
from ..pixels.resampler import Generator
from ..runtime.progress import Progress
from .base_coding import code_base_within
from .coded_slide import CodedSlide
from .measure import measure_blocks


@dataclass(frozen=True, slots=True)
class TunedGenerator:
    """A generator that was tuned to one slide, and what that gained."""

    generator: Generator
    held_back: Sequence[tuple[int, int]]
    """(column, row) of the blocks that were not trained on."""
    gain_db: float
    """Gain in mean PSNR on those blocks, in dB, over the generator that was started from, on the same base."""


@dataclass(frozen=True, slots=True)
class TissueBlocks:
    """The tissue of one slide, as source and as the base that its file will hold."""

    read_full: Callable[[Region], Image]
    """Reads regions of the source."""
    read_base: ReadBase
    """Reads regions of the decoded base."""
    grid: Grid
    """The canonical grid over the base."""
    addresses: Sequence[tuple[int, int]]
    """(column, row) of the tissue blocks that lie within the slide entirely."""


class Tuner(Protocol):
    """Trains a generator on with the tissue of one slide."""

    def __call__(self, generator: Generator, tissue: TissueBlocks, progress: Progress) -> TunedGenerator | None:
        """Return the tuned generator; None if there are too few blocks."""
        ...


def tissue_blocks_of(coded: CodedSlide) -> TissueBlocks:
    """Return the tissue of a slide whose base is coded."""
    job = coded.job
    return TissueBlocks(
        job.source.read, coded.base.decoded_base().read, job.pyramid.blocks, job.pyramid.whole_tissue_blocks()
    )


def with_tuned_generator(coded: CodedSlide, tuner: Tuner) -> CodedSlide:
    """Return the slide with a tuned generator and the base coded anew beside it, or as it was; its notes say why.

    Under a budget both are measured on the blocks that the tuner held back, at equal bytes, and the better one is
    kept. Without one, the gain has to exceed what the same bytes would gain in the base (`DB_PER_DOUBLING`).
    """
    job = coded.job
    started_from = job.generator.name
    tuned = tuner(job.generator, tissue_blocks_of(coded), job.resources.progress)
    if tuned is None:
        return _noted(coded, f"{started_from} was not tuned: the slide has too few blocks of tissue")
    gained = (
        f"tuning {started_from} to the slide gained {tuned.gain_db:+.2f} dB on {len(tuned.held_back)} blocks held back"
    )
    better = job.with_tuned(tuned.generator)
    if tuned.gain_db <= 0:
        return _noted(coded, f"{gained}: {started_from} stays")
    if job.budget_bytes is None:
        cost = better.extras.package_cost
        if tuned.gain_db < DB_PER_DOUBLING * math.log2(1 + cost / coded.base.total_bytes):
            return _noted(coded, f"{gained}, less than its {cost} bytes would gain in the base: {started_from} stays")
        return _noted(dataclasses.replace(coded, job=better), f"{gained}; it is embedded")
    try:
        better = better.fitted(job.budget_bytes)
        recoded = dataclasses.replace(coded, job=better, base=code_base_within(better, job.budget_bytes))
    except BudgetError:
        return _noted(coded, f"{gained}, but there is no room for it: {started_from} stays")
    change_db = _mean_psnr(recoded, tuned.held_back) - _mean_psnr(coded, tuned.held_back)
    if change_db <= 0:
        recoded.close()
        return _noted(coded, f"{gained}, and {change_db:+.2f} dB once it takes its place: {started_from} stays")
    return _noted(recoded, f"{gained}, {change_db:+.2f} dB with its own bytes counted; it is embedded")


def _noted(coded: CodedSlide, note: str) -> CodedSlide:
    return dataclasses.replace(coded, notes=(*coded.notes, note))


def _mean_psnr(coded: CodedSlide, addresses: Sequence[Address]) -> float:
    """Return the mean PSNR of some blocks of tissue, in dB."""
    job = coded.job
    read = job.blocks(coded.base.decoded_base().read)
    scores = measure_blocks(read, addresses, population=len(addresses), resources=job.resources, stage="comparing")
    return summarise([score.psnr_db for _, score, _ in scores]).mean
