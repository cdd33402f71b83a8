"""Files with floors under a byte budget: base and enhancement layer fill it together."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ..errors import BudgetError, SettingsError
from ..format.entries import ErrorSummary, Summary
from ..pixels.rate import DB_PER_DOUBLING, SEARCH_RANGES, STEP, best_quality
from ..pixels.residual import HIGHEST_FLOOR_DB
from ..runtime.closing import Closing
from .block_floors import Floors
from .coded_pyramid import CodedPyramid
from .contents import stated_enhancement
from .enhance import CodedEnhancement
from .filling import fill
from .job import Job
from .overhead import overhead_bytes
from .split import Estimate, cheapest_quality, choose_coder

_AIM = 0.998
"""Share of the budget that estimates aim at."""

_ATTEMPTS = 6
"""Codings until one is full. Each corrects the estimate by what it really took: two or three as a rule."""

_ENOUGH = 0.996
"""A budget filled to this share is not worth another base, nor regions another layer."""

_MUCH = 0.25
"""Share of the blocks with a floor from which a finer base may take fewer bytes in all, as it saves many of the
layer's."""

_MOST_RAISED_DB, _RAISED_STEP_DB = 12.0, 0.02
"""The most that a floor is raised to use what a budget leaves, and the least."""


@dataclass
class Bounded(Closing):
    """A base and the layer that lifts it to its floors; closing it frees the disk of both."""

    base: CodedPyramid
    enhancement: CodedEnhancement

    def close(self) -> None:
        """Free the disk."""
        self.enhancement.close()
        self.base.close()


def enhanced(job: Job, base: CodedPyramid, floors: Floors) -> CodedEnhancement:
    """Code the layer that a base needs, with the colours that take the fewest bytes."""
    return CodedEnhancement(job, base, floors, choose_coder(job, base, floors))


def code_bounded_within(job: Job, floors: Floors, budget_bytes: int) -> Bounded:
    """Code the finest base that fits into a budget beside the layer that it needs. Raises BudgetError if none does."""
    search = _Search(job, floors, budget_bytes)
    made = search.run()
    try:
        _refine(job, made, floors, budget_bytes)
        if job.settings.min_psnr_db is None:
            _raise_regions(job, made, floors, budget_bytes)
    except BaseException:
        made.close()
        raise
    return made


class _Search:
    """The search for the finest base that fits."""

    def __init__(self, job: Job, floors: Floors, budget_bytes: int) -> None:
        self._job, self._floors, self._budget_bytes, self._codec = job, floors, budget_bytes, job.coder.codec
        self._estimate = Estimate(job, floors)
        self._cheapest = SEARCH_RANGES[self._codec][0]
        if np.count_nonzero(floors) > _MUCH * floors.size:
            self._cheapest = cheapest_quality(self._estimate, self._cheapest, job.resources.progress)
        self._fits, self._exceeds = -math.inf, math.inf
        """The highest quality that fits, and the lowest that does not, as far as they are known."""
        self._back = STEP / 2
        """Quality by which to stay below one that did not fit: of a few tiles, bytes do not fall with every step."""

    def run(self) -> Bounded:
        """Code until a budget is full or nothing finer fits. Raises BudgetError if nothing fits."""
        best: Bounded | None = None
        try:
            for _ in range(_ATTEMPTS):
                quality = self._next_quality()
                if quality <= self._fits or quality < self._cheapest:
                    break
                made = self._code(quality, best)
                needed = needed_bytes(self._job, made)
                base_bytes, layer_bytes = made.base.total_bytes, made.enhancement.total_bytes
                self._estimate.correct(quality, base_bytes, layer_bytes, needed - base_bytes - layer_bytes)
                if needed > self._budget_bytes:
                    self._exceeds, self._back = quality, 2 * self._back
                    if quality <= self._cheapest:
                        with made:
                            raise _too_small(self._job, made, needed, self._budget_bytes)
                    made.close()
                    continue
                if best is not None:
                    best.close()
                best, self._fits = made, quality
                if needed >= _ENOUGH * self._budget_bytes:
                    break
            if best is None:
                best = self._code(self._cheapest, None)
                if (needed := needed_bytes(self._job, best)) > self._budget_bytes:
                    raise _too_small(self._job, best, needed, self._budget_bytes)
        except BaseException:
            if best is not None:
                best.close()
            raise
        return best

    def _next_quality(self) -> float:
        step, aim = STEP, _AIM * self._budget_bytes
        # Below the cheapest, bytes grow again.
        rising = best_quality(lambda q: self._estimate(q) if q >= self._cheapest else 0.0, aim, self._codec)
        quality = max(rising or self._cheapest, self._cheapest)
        return round(min(max(quality, self._fits + step), self._exceeds - max(step, self._back)), 6)

    def _code(self, quality: float, other: Bounded | None) -> Bounded:
        """Code base and layer. other: what may hold some of the base's tiles already."""
        job = self._job
        known = (other.base.known,) if other else ()
        base = CodedPyramid(job.pyramid, job.overview, job.coder, quality, job.resources, *known)
        try:
            return Bounded(base, enhanced(job, base, self._floors))
        except BaseException:
            base.close()
            raise


def _refine(job: Job, made: Bounded, floors: Floors, budget_bytes: int) -> None:
    """Code tiles of the base finer while the budget lasts, those alone that no block with a floor sees."""
    grid, blocks = job.pyramid.grids[0], job.pyramid.blocks
    seen = {
        address
        for row, column in np.argwhere(floors > 0).tolist()
        for address in grid.touching(blocks.region(column, row).grown(job.generator.halo))
    }
    free = [i for i in range(grid.count) if grid.address(i) not in seen and job.pyramid.tissue_of(i).any()]
    spare = budget_bytes - needed_bytes(job, made)
    fill(made.base, made.base.total_bytes + spare, job.resources, free)


def _raise_regions(job: Job, made: Bounded, floors: Floors, budget_bytes: int) -> None:
    """Give what is still left to the regions, as a floor above the one that was asked for.

    On a small slide there may be no tile of the base that no region sees. The logarithm of the layer's bytes is nearly
    a line over the floor, so the next rise is where the line through the last two layers meets the budget.
    """
    kept_db, beyond_db = 0.0, min(HIGHEST_FLOOR_DB - float(floors.max()), _MOST_RAISED_DB)
    db_per_doubling = DB_PER_DOUBLING
    for _ in range(_ATTEMPTS):
        kept, needed = made.enhancement, needed_bytes(job, made)
        if needed >= _ENOUGH * budget_bytes or beyond_db - kept_db <= _RAISED_STEP_DB or not kept.total_bytes:
            break
        doublings = math.log2(1 + (_AIM * budget_bytes - needed) / kept.total_bytes)
        rise_db = kept_db + max(db_per_doubling * doublings, _RAISED_STEP_DB)
        if rise_db >= beyond_db:
            rise_db = (kept_db + beyond_db) / 2
        raised = np.where(floors > 0, floors + rise_db, 0.0)
        try:
            made.enhancement = CodedEnhancement(job, made.base, raised, kept.coder)
        except SettingsError:  # beyond the codec's highest quality
            beyond_db = rise_db
            continue
        if made.enhancement.total_bytes > kept.total_bytes:
            db_per_doubling = (rise_db - kept_db) / math.log2(made.enhancement.total_bytes / kept.total_bytes)
        if needed_bytes(job, made) <= budget_bytes:
            kept_db, unused = rise_db, kept
        else:
            beyond_db, unused, made.enhancement = rise_db, made.enhancement, kept
        unused.close()


def needed_bytes(job: Job, made: Bounded) -> int:
    """Return the bytes of the whole file, or a few more."""
    high, low = Summary(*[99.9999] * 3), ErrorSummary(*[-9.9999] * 3)
    entry = dataclasses.replace(
        stated_enhancement(job, made.enhancement, has_map=True),
        lowest_db=99.9999,
        psnr_db=high,
        tissue_psnr_db=high,
        rest_loss_db=low,
    )
    layer = entry, made.enhancement.pieces
    return overhead_bytes(job, layer) + made.base.total_bytes + made.enhancement.total_bytes


def _too_small(job: Job, made: Bounded, needed: int, budget_bytes: int) -> BudgetError:
    """Return the error that says by how much a budget is too small, and what would do."""
    settings = job.settings
    ratio = math.floor(9.8 * job.source.size_bytes / needed) / 10  # a larger budget admits more beside the tiles
    floors = " and ".join(f"{v:g} dB" for v in (settings.min_psnr_db, settings.roi_psnr_db) if v is not None)
    possible = f"--ratio {ratio:g} can be met" if ratio >= 1 else "no ratio can be met"
    return BudgetError(
        budget_bytes,
        needed,
        f"{job.source.path}: a ratio of {settings.ratio:g} allows {budget_bytes} bytes. A floor of {floors} takes "
        f"about {needed}, {needed / budget_bytes:.2f} times as many: {made.base.total_bytes} of them for the base "
        f"and {made.enhancement.total_bytes} for its enhancement. {possible} with this floor; this ratio needs a lower "
        "one",
    )
