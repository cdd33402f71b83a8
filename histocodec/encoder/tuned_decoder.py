"""Whether a decoder that was tuned to a slide goes into its file.

It has to earn the bytes that it takes: under a byte budget, the base is coded more coarsely to make room for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import BudgetError
from ..generators.predict import ReadBase
from ..geometry import Image, Region, TileGrid
from ..pixels.resampler import Generator
from ..runtime.progress import Progress
from .coded_pyramid import CodedPyramid
from .draft import Draft, code_draft_within
from .measure import measure_blocks

DB_PER_DOUBLING = 2.5
"""What twice the bytes of a base gain, about, from 0.07 to 0.2 bits per full pixel (benchmarks/results). The price of a
tuned decoder where no budget makes it give way for anything."""


@dataclass(frozen=True, slots=True)
class TunedGenerator:
    """What a tuner gives back."""

    generator: Generator
    held_back: Sequence[tuple[int, int]]
    """(column, row) of blocks that were not trained on."""
    gain_db: float
    """Mean PSNR over those, above that of the generator that was started from, on the same base."""


@dataclass(frozen=True, slots=True)
class TissueBlocks:
    """The tissue of one slide, as source and as the base that its file will hold."""

    read_full: Callable[[Region], Image]
    """Regions of the source."""
    read_base: ReadBase
    """Regions of the decoded base."""
    grid: TileGrid
    """The canonical grid over the base."""
    addresses: Sequence[tuple[int, int]]
    """(column, row) of the tissue blocks that lie within the slide entirely."""


class Tuner(Protocol):
    """Trains a generator on with blocks of one slide; None if there are too few."""

    def __call__(self, generator: Generator, tissue: TissueBlocks, progress: Progress) -> TunedGenerator | None: ...


def adopt_tuned(
    file: Draft, coded: CodedPyramid, tuner: Tuner, budget: int | None, folder: Path, progress: Progress
) -> tuple[Draft, CodedPyramid, str]:
    """The file with a tuned decoder and the base coded anew beside it, or as it was; and a sentence on which, and why.

    Under a budget both files are measured on the blocks that the tuner held back, at equal bytes, and the better one is
    kept. Without one, the gain has to exceed what the same bytes would gain in the base (`DB_PER_DOUBLING`).
    """
    started_from = file.generator.name
    pyramid = file.pyramid
    tissue = TissueBlocks(file.source.read, coded.decoded_base().read, pyramid.blocks, pyramid.whole_tissue_blocks())
    tuned = tuner(file.generator, tissue, progress)
    if tuned is None:
        return file, coded, f"{started_from} was not tuned: the slide has too few blocks of tissue"
    gained = (
        f"tuning {started_from} to the slide gained {tuned.gain_db:+.2f} dB on {len(tuned.held_back)} blocks held back"
    )
    better = file.with_tuned(tuned.generator)
    if tuned.gain_db <= 0:
        return file, coded, f"{gained}: {started_from} stays"
    if budget is None:
        share = better.package_cost / coded.total_bytes
        if tuned.gain_db < DB_PER_DOUBLING * math.log2(1 + share):
            return (
                file,
                coded,
                f"{gained}, less than its {better.package_cost} bytes would gain in the base: {started_from} stays",
            )
        return better, coded, f"{gained}; it is embedded"
    try:
        better = better.fitted(budget)
        recoded = code_draft_within(better, budget, folder, progress)
    except BudgetError:
        return file, coded, f"{gained}, but there is no room for it: {started_from} stays"
    before_db, after_db = _mean_psnr(file, coded, tuned, progress), _mean_psnr(better, recoded, tuned, progress)
    if after_db <= before_db:
        recoded.close()
        return (
            file,
            coded,
            f"{gained}, and {after_db - before_db:+.2f} dB once it takes its place: {started_from} stays",
        )
    return better, recoded, f"{gained}, {after_db - before_db:+.2f} dB with its own bytes counted; it is embedded"


def _mean_psnr(file: Draft, coded: CodedPyramid, tuned: TunedGenerator, progress: Progress) -> float:
    facts, _ = measure_blocks(
        file.source.read,
        file.source.size,
        coded.decoded_base().read,
        file.generator,
        file.pyramid.blocks,
        tuned.held_back,
        method="sample",
        population=len(tuned.held_back),
        workers=file.settings.workers,
        progress=lambda done, total: progress("comparing", done, total),
    )
    return facts.psnr_db.mean
