"""The stage that lifts every block to its floor."""

from __future__ import annotations

import dataclasses

from .block_floors import touched_blocks
from .coded_slide import CodedSlide
from .floor_budget import Bounded, code_bounded_within, enhanced
from .job import Job
from .rest_loss import measure_rest_loss


def with_enhancement(coded: CodedSlide) -> CodedSlide:
    """Return the slide with the layer that its floors need, every block measured as it is decoded.

    Without a budget the base stays. With one, base and layer fill it, and no block of tissue outside the regions of
    interest loses more than the settings allow. Raises BudgetError if that is not possible, and says what would be.
    """
    job = coded.job
    assert job.floors is not None
    if job.budget_bytes is None:
        made = Bounded(coded.base, enhanced(job, coded.base, job.floors))
    else:
        made = code_bounded_within(job, job.floors, job.budget_bytes)
    loss, notes = None, coded.notes
    try:
        made.enhancement.measure_rest()
        if job.settings.regions is not None:
            notes += _glass_note(job)
            if job.budget_bytes is not None:
                loss, note = measure_rest_loss(job, coded.base, made, job.floors, job.budget_bytes)
                notes += note
    except BaseException:
        made.close()
        raise
    return dataclasses.replace(coded, base=made.base, enhancement=made.enhancement, rest_loss=loss, notes=notes)


def _glass_note(job: Job) -> tuple[str, ...]:
    """Say so if the regions touch glass alone, which is how coordinates that are counted from elsewhere show."""
    if (touched_blocks(job.settings.regions, job.pyramid) & (job.pyramid.tissue > 0)).any():
        return ()
    return ("the regions of interest touch glass alone, no tissue: are their coordinates counted from elsewhere?",)
