"""encode(): a slide to a container, streaming, within a byte budget, stage by stage."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..errors import BudgetError, SourceReadError
from ..format.origin import check_origin
from ..format.strict_json import MAX_ITEMS
from ..pixels.resampler import Generator
from ..pixels.tile_coder import TILES
from ..runtime.files import atomic_output, check_output, check_space, writing_errors
from ..runtime.progress import Progress, silent
from ..runtime.resources import Resources
from ..source import Source
from .base_coding import code_base
from .bounding import with_enhancement
from .coded_pyramid import CodedOverview
from .coded_slide import CodedSlide
from .contents import checksums_of, enhancement_entry, manifest_of, write_contents
from .job import Job
from .kept_original import KeptOriginal
from .measure import Measured, measure_prediction
from .notes import notes_on
from .plan import Plan, make_plan
from .report import EncodeReport
from .settings import EncodeSettings
from .tie import SourceTie
from .tint import with_source_colours
from .tuned_generator import TissueBlocks, Tuner, tissue_blocks_of, with_tuned_generator
from .uncoded_pyramid import UncodedPyramid


def encode(
    source: Source,
    path: str | Path,
    generator: Generator | None = None,
    settings: EncodeSettings | None = None,
    *,
    tuner: Tuner | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> EncodeReport:
    """Write `source` to `path` as a container, atomically.

    generator: must have the scale that `base_scale` gives for this source; None for `default_generator`. The base is
    made in one pass over the source. Blocks that are measured, corrected or learned from are read again, and base
    `auto` reads a sample first. Memory is bounded by a few tiles for each worker; the uncoded base waits on the disk of
    the output meanwhile. The same input gives the same bytes.
    tuner: trains the generator on with the slide's own tissue, such as `training.SlideTuner`; what comes out is
    embedded if it is worth its bytes, and the report's notes say what it gained.

    Raises SourceReadError, UnsupportedResolution, BudgetError, GeneratorError, SettingsError and OutputError; whatever
    was under `path` before is then still there.
    """
    path, settings = Path(path), settings or EncodeSettings()
    if settings.regions is not None:
        check_origin(settings.regions.origin, source.properties)
    check_output(path, overwrite=overwrite, source=source.path)
    plan = make_plan(source, generator, settings, tuned=tuner is not None, progress=progress)
    check_space(path, plan.scratch_bytes)
    # Closing a temporary file writes what it still buffers, so errors are caught around the stack.
    with writing_errors(path), ExitStack() as stack:
        tie = stack.enter_context(SourceTie(source, deidentify=settings.deidentify))
        job = _scan(plan, path.parent, progress, stack)
        job = dataclasses.replace(job, tie=tie.result())
        coded = stack.enter_context(code_base(job))
        if tuner is not None:
            coded = stack.enter_context(with_tuned_generator(coded, tuner))
        if job.floors is not None:
            coded = stack.enter_context(with_enhancement(coded))
            assert coded.enhancement is not None
            measured = coded.enhancement.measured
        else:
            coded = with_source_colours(coded)  # last of all: coding the tiles again would take it back
            measured = measure_prediction(coded.job, coded.base)
        original = stack.enter_context(KeptOriginal(coded.job)) if settings.keep_original else None
        return _write(path, coded, measured, plan.notes, original, tie, overwrite=overwrite)


@contextmanager
def coded_tissue(
    source: Source, generator: Generator, settings: EncodeSettings, folder: Path, progress: Progress
) -> Iterator[TissueBlocks]:
    """Code the base of a slide as `encode` does, and give its tissue; no file is written.

    folder: holds the uncoded and the coded base meanwhile. Raises what `encode` raises.
    """
    plan = make_plan(source, generator, settings, tuned=True, progress=progress)
    check_space(folder / "base", plan.scratch_bytes)
    with writing_errors(folder / "base"), ExitStack() as stack:
        job = _scan(plan, folder, progress, stack)
        yield tissue_blocks_of(stack.enter_context(code_base(job)))


def _scan(plan: Plan, folder: Path, progress: Progress, stack: ExitStack) -> Job:
    """Read the slide into an uncoded pyramid, and fit the rest to it. The stack frees the disk."""
    settings = plan.settings
    resources = Resources(folder, settings.workers, settings.seed, progress)
    pyramid = stack.enter_context(UncodedPyramid(plan.source, plan.downsampler, resources, tile=TILES[settings.codec]))
    _check_damage(plan.source)
    overview = stack.enter_context(CodedOverview(pyramid, settings.codec, plan.budget_bytes, resources))
    return Job.of(plan, pyramid, overview, resources)


def _check_damage(source: Source) -> None:
    """Raise SourceReadError if a source, read as a whole, has nothing sound, or more damage than can be listed."""
    damaged = source.damaged
    if sum(place.width * place.height for place in damaged) == source.size.area:
        raise SourceReadError(source.path, "no part of it can be read: there is nothing to encode")
    if len(damaged) > MAX_ITEMS:
        raise SourceReadError(
            source.path, f"expected at most {MAX_ITEMS} damaged places, found {len(damaged)}: a file cannot list more"
        )


def _write(
    path: Path,
    coded: CodedSlide,
    measured: Measured | None,
    notes: tuple[str, ...],
    original: KeptOriginal | None,
    tie: SourceTie,
    *,
    overwrite: bool,
) -> EncodeReport:
    """Write the file; prove that an original comes back, and that the slide is as it was, before it gets its name.

    Raises BudgetError if it comes out larger than its budget, OutputError, SourceReadError.
    """
    job, base, enhancement = coded.job, coded.base, coded.enhancement
    base_sums = base.decoded_sums(job.resources)
    checksums = checksums_of(job, base.levels, base_sums)
    layer = pieces = None
    if enhancement is not None:
        layer = enhancement_entry(job, enhancement, coded.rest_loss, has_map=measured is not None)
        pieces = enhancement.pieces
    manifest = manifest_of(job, base.quality, base.total_bytes, checksums, measured, layer, original)
    with atomic_output(path, overwrite=overwrite) as out:
        counted = write_contents(out, job, manifest, base.levels, checksums, base_sums, measured, pieces, original)
        size_bytes = out.seek(0, io.SEEK_END)
        if job.budget_bytes is not None and counted > job.budget_bytes:
            raise BudgetError(
                job.budget_bytes, counted, f"{path.name}: {counted} bytes, only {job.budget_bytes} are allowed"
            )
        if original is not None:
            out.flush()
            original.check_written(out.name, path, job.resources)
        tie.check()
    notes = (*notes, *tie.notes, *coded.notes, *notes_on(job, manifest, path), *(original.notes if original else ()))
    return EncodeReport(path, size_bytes, base.total_bytes, manifest, notes, size_bytes - counted)
