"""The price that the rest of a slide pays, under a budget, for floors in regions of interest.

What regions take beside the base, the base loses, and with it everything else. How much that is gets measured against
the same file without regions, and is held below a bound: in a batch a note is overlooked, and a slide is ruined.
So what exceeds the bound is refused, as a floor is that a ratio has no room for.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import BudgetError
from ..format.entries import ErrorSummary
from ..format.quality import summarise_errors
from ..geometry import Address, addresses_where
from ..pixels.floors import SLIVER
from ..pixels.rate import best_quality
from .block_floors import Floors, touched_blocks
from .coded_pyramid import CodedPyramid
from .floor_budget import Bounded, code_bounded_within
from .job import Job
from .split import Estimate

_SAFETY = 0.6
"""Share of the bound that proposals aim at, so that they hold: where all lose less, the block that loses most stands
out more."""


def measure_rest_loss(
    job: Job, unbounded: CodedPyramid, made: Bounded, floors: Floors, budget_bytes: int
) -> tuple[ErrorSummary | None, tuple[str, ...]]:
    """Measure what the regions cost the tissue outside them; a summary in dB, and a sentence for the user.

    unbounded: the base of the same file without floors. Returns None where no tissue lies outside. Raises BudgetError
    if the loss is above the bound of the settings.
    """
    settings, side = job.settings, job.pyramid.full_blocks.side
    outside = _rest(job)
    if not outside:
        return None, ()
    if settings.min_psnr_db is None:
        before_db, bytes_before = _predicted_db(job, unbounded, outside), unbounded.total_bytes
    else:
        with code_bounded_within(job, np.full(floors.shape, settings.min_psnr_db), budget_bytes) as without:
            before_db = [float(without.enhancement.decoded_db[row, column]) for column, row in outside]
            bytes_before = without.base.total_bytes
    after_db = [float(made.enhancement.decoded_db[row, column]) for column, row in outside]
    losses = [before - after for before, after in zip(before_db, after_db, strict=True)]
    loss = summarise_errors(losses)
    column, row = outside[int(np.argmax(losses))]
    lost = (
        f"{loss.mean:.2f} dB on average and {loss.worst:.2f} dB at most (the block at "
        f"{column * side}, {row * side}), against the same encode without regions"
    )
    if loss.worst > settings.rest_loss_db:
        raise BudgetError(
            budget_bytes,
            budget_bytes,
            f"{job.source.path}: at a ratio of {settings.ratio:g} a floor of {settings.roi_psnr_db:g} dB in the "
            f"regions costs the tissue outside them {lost}: more than the {settings.rest_loss_db:g} dB that any block "
            f"of it may lose. What would do: {_alternatives(job, made, loss, bytes_before, floors)}",
        )
    return loss, (
        f"the regions of interest cost the tissue outside them {lost} (--rest-loss {settings.rest_loss_db:g} is the "
        "most that is allowed)",
    )


def _rest(job: Job) -> list[Address]:
    """List the blocks of tissue outside the regions, but for those of which next to nothing lies within the slide."""
    outside = (job.pyramid.tissue > 0) & ~touched_blocks(job.settings.regions, job.pyramid)
    grid = job.pyramid.full_blocks
    return [
        address
        for address in addresses_where(outside)
        if min((part := grid.covered(*address)).width, part.height) >= SLIVER
    ]


def _predicted_db(job: Job, base: CodedPyramid, addresses: list[Address]) -> list[float]:
    """Return the PSNR of the prediction of each block, capped."""
    read = job.blocks(base.decoded_base().read)
    return list(job.resources.map(lambda address: read(address).psnr_db, addresses, "comparing"))


def _alternatives(job: Job, made: Bounded, loss: ErrorSummary, bytes_before: int, floors: Floors) -> str:
    """Say what keeps the rest within the bound: a larger bound, a lower floor, a smaller ratio.

    bytes_before: the tiles of the base without regions.
    """
    settings = job.settings
    found = [f"--rest-loss {math.ceil(10 * loss.worst + 1e-9) / 10:g}"]
    halvings = math.log2(max(bytes_before / made.base.total_bytes, 1.001))
    share = 2 ** (-_SAFETY * settings.rest_loss_db / (loss.worst / halvings))  # of that base that has to stay
    allowed = made.enhancement.total_bytes + made.base.total_bytes - share * bytes_before
    if (lower_db := _lower_floor(job, made, floors, share * bytes_before, allowed)) is not None:
        found.append(f"about --roi-psnr {lower_db:g}")
    base_bytes = made.enhancement.total_bytes / (1 - share)
    others = job.source.size_bytes / settings.ratio - bytes_before if settings.ratio else 0.0
    if (ratio := math.floor(10 * job.source.size_bytes / (base_bytes + others)) / 10) >= 1:
        found.append(f"about --ratio {ratio:g}")
    return ", ".join(found[:-1]) + f" or {found[-1]}" if len(found) > 1 else found[0]


def _lower_floor(job: Job, made: Bounded, floors: Floors, base_bytes: float, layer_bytes: float) -> float | None:
    """Return the highest floor for the regions, in halves of a dB, of which the layer takes about so many bytes."""
    settings = job.settings
    assert settings.roi_psnr_db is not None
    of_regions = np.where(touched_blocks(settings.regions, job.pyramid), floors, 0.0)
    estimate = Estimate(job, of_regions)
    # The logarithm of a base's bytes is nearly linear in its quality.
    quality = best_quality(estimate.base_bytes, base_bytes, job.coder.codec) or made.base.quality
    low, high = 0, 2 * math.floor(settings.roi_psnr_db - max(settings.min_psnr_db or 10.0, 10.0))
    while low < high:  # halves of a dB that it has to be lower
        middle = (low + high) // 2
        fits = estimate.layer_bytes(quality, raised_db=-middle / 2) <= layer_bytes
        low, high = (low, middle) if fits else (middle + 1, high)
    lower_db = settings.roi_psnr_db - low / 2
    return lower_db if lower_db > (settings.min_psnr_db or 10.0) else None
