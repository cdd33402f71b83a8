"""Does one task: encodes a slide, estimates one, or verifies a file; runs in a process of its own."""

from __future__ import annotations

import socket
import tempfile
import time
import traceback
from contextlib import ExitStack
from pathlib import Path

from ..comparison.compare import compare
from ..decoder import Decoder
from ..encoder import EncodeReport, encode
from ..encoder.preview import Previewed, preview
from ..errors import BudgetError, ContainerError, FileError, HistocodecError, PairMismatch
from ..format.reader import Container
from ..generators.catalogue import load_generator
from ..geometry import Grid, addresses_where
from ..pixels.resampler import Generator
from ..runtime.digest import sha256_of
from ..runtime.parallel import limit_cores
from ..runtime.progress import Progress, silent, stage
from ..runtime.usage import peak_memory, reset_peak_memory
from ..source import OnDamage, files_together, open_source
from ..validation import validate
from .checksums import combined
from .choices import Choices
from .records import ESTIMATE, Estimate, Measured, Outcome, Task, timestamp
from .staging import at_hand, sent, sha256_at

_COMPARED = 64
"""Blocks that are measured again against a source."""
_LOST_DB = 1.0
"""Decibels that the mean of those may lie below what was measured when the file was made: both are samples."""


def do_task(task: Task, progress: Progress = silent) -> Outcome:
    """Do a task; whatever goes wrong is in the outcome, but for what ends the process."""
    began, at, cpu = timestamp(), time.monotonic(), time.process_time()
    reset_peak_memory()
    limit_cores(task.threads)
    measured = estimate = trace = None
    wrong: Exception | None = None
    try:
        if task.kind == "encode":
            measured = _encoded(task, progress)
        elif task.kind == "estimate":
            estimate = _estimated(task, progress)
        else:
            _verify(task, progress)
    except (HistocodecError, OSError, MemoryError) as error:
        wrong = error
    except Exception as error:
        wrong, trace = error, traceback.format_exc()
    return Outcome(
        number=task.number,
        seconds=round(time.monotonic() - at, 3),
        cpu_seconds=round(time.process_time() - cpu, 3),
        peak_bytes=peak_memory(),
        host=socket.gethostname(),
        began=began,
        ended=timestamp(),
        measured=measured,
        estimate=estimate,
        error_class=None if wrong is None else type(wrong).__name__,
        error=None if wrong is None else " ".join(str(wrong).split()) or "no reason was given",
        traceback=trace,
    )


def _encoded(task: Task, progress: Progress) -> Measured:
    choices = task.choices
    with at_hand(task.source) as path, sent(task.output, overwrite=task.overwrite) as (target, overwrite):
        with open_source(path, mpp=choices.mpp, on_damage=choices.on_damage) as source:
            report = encode(
                source, target, _generator(choices), choices.settings(), overwrite=overwrite, progress=progress
            )
        return _measured(report)


def _measured(report: EncodeReport) -> Measured:
    manifest, psnr = report.manifest, report.psnr_db
    with Container(report.path) as container:
        levels = [container.tile_bytes(level) for level in range(len(container.grids))]
        layer = container.enhancement
        enhancement = 0 if layer is None else layer.tiles.total_bytes
    known = sum(levels) + enhancement + report.original_bytes
    return Measured(
        source_sha256=combined([file.sha256 for file in manifest.source.files]) if manifest.source else None,
        output_sha256=sha256_of(report.path),
        output_bytes=report.size_bytes,
        base_bytes=levels[0],
        reduced_bytes=sum(levels[1:]),
        enhancement_bytes=enhancement,
        original_bytes=report.original_bytes,
        other_bytes=report.size_bytes - known,
        full_pixels=report.full_size.area,
        ratio=round(report.ratio_to_source, 4),
        psnr_mean_db=None if psnr is None else psnr.mean,
        psnr_5_db=None if psnr is None else psnr.percentile_5,
        psnr_lowest_db=None if psnr is None else psnr.worst,
        generator=manifest.prediction.generator.name,
        generator_digest=manifest.prediction.generator.digest,
        notes="\n".join(report.notes),
    )


def _estimated(task: Task, progress: Progress) -> Estimate:
    """Look at a sample of the slide where the settings allow that, else encode it and throw the file away."""
    choices, settings = task.choices, task.choices.settings()
    with (
        at_hand(task.source) as path,
        open_source(path, mpp=choices.mpp, on_damage=choices.on_damage) as source,
        tempfile.TemporaryDirectory(prefix=ESTIMATE, dir=task.output or None) as folder,
    ):
        if settings.ratio is None or settings.has_floor or choices.keep_original:
            began = time.monotonic()
            report = encode(source, Path(folder) / "estimate.hc.tif", _generator(choices), settings, progress=progress)
            psnr = report.psnr_db
            return Estimate(
                output_bytes=report.size_bytes,
                seconds=time.monotonic() - began,
                psnr_mean_db=None if psnr is None else psnr.mean,
                ratio=report.ratio_to_source,
            )
        row = preview(
            source, Path(folder), _generator(choices), settings, ratios=[settings.ratio], progress=progress
        ).rows[0]
        if not isinstance(row, Previewed):
            raise BudgetError(0, 0, row.reason)
        return Estimate(
            output_bytes=row.size_bytes,
            seconds=row.seconds,
            psnr_mean_db=None if row.slide is None else row.slide.psnr_db.mean,
            ratio=source.size_bytes / row.size_bytes,
        )


def _verify(task: Task, progress: Progress) -> None:
    """Raise an error for a file that is not what was written, has a problem, or is not like its source."""
    output, said = task.output, stage(progress, "verifying")
    if sha256_at(output) != task.output_sha256:
        raise FileError(output, "its bytes are not those that were written, by SHA-256")
    problems = validate(output, deep=task.deep, progress=said)
    if problems:
        raise ContainerError(output, problems)
    with ExitStack() as stack, Decoder(output) as decoder:
        tissue = addresses_where(decoder.container.tissue_map != 0)
        blocks = tissue or addresses_where(decoder.container.tissue_map == 0)
        decoder.read(Grid(decoder.levels[0], decoder.block_size).covered(*blocks[len(blocks) // 2]))
        if not task.against_source:
            return
        original = stack.enter_context(at_hand(task.source))
        digests = [sha256_of(file) for file in files_together(original)]
        if task.source_sha256 is not None and combined(digests) != task.source_sha256:
            raise PairMismatch(task.source, output, "the source has other bytes than the one that was encoded")
        on_damage: OnDamage = "fill" if decoder.manifest.slide.damaged else "refuse"
        with open_source(original, mpp=task.choices.mpp, on_damage=on_damage) as source:
            found = compare(
                source, decoder, blocks="tissue" if tissue else "all", count=_COMPARED, seed=task.choices.seed
            )
    mean_db = found.first.psnr_db.mean
    if tissue and task.psnr_mean_db is not None and mean_db < task.psnr_mean_db - _LOST_DB:
        raise PairMismatch(
            task.source,
            output,
            f"its mean PSNR is {mean_db:.2f} dB, and was {task.psnr_mean_db:.2f} dB when it was made",
        )


def _generator(choices: Choices) -> Generator | None:
    return None if choices.generator is None else load_generator(choices.generator)
