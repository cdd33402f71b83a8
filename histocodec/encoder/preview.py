"""preview(): what an encode would give at several ratios, from a sample of the slide and one field of it.

Small slides are looked at as a whole. Of others, cells that stand for all become a mosaic, and the stages of an encode
run on that, with its share of the budget: what they would choose cannot drift from what they do choose.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import BudgetError, SettingsError
from ..format.entries import QualityEntry
from ..geometry import Grid, Image, Region
from ..pixels.metrics import ssim
from ..pixels.rate import RUNGS, SEARCH_RANGES, tile_quality
from ..pixels.resampler import Generator
from ..pixels.score import SSIM_SIDE, capped_psnr
from ..pixels.tile_codecs import TileCodec
from ..pixels.tile_coder import TILES, coded_tile
from ..runtime.closing import Closing
from ..runtime.files import check_space, writing_errors
from ..runtime.progress import Progress, silent
from ..runtime.resources import Resources
from ..runtime.tiled_image import TiledImage
from ..source import Source
from .base_choice import TissueSample, usual_base
from .base_coding import code_base_within
from .blocks import BlockReader
from .coded_pyramid import CodedOverview, CodedPyramid
from .coded_slide import CodedSlide
from .filling import code_within
from .job import Job
from .measure import measure_prediction
from .overhead import overhead_bytes
from .plan import Plan, make_plan
from .sampled_source import cut_of, mosaic_of
from .settings import BASE_MPP, EncodeSettings, Magnification
from .survey import look_over
from .tie import tie_as_long
from .tint import with_source_colours
from .uncoded_pyramid import UncodedPyramid

RATIOS = (4.0, 8.0, 16.0, 24.0)
"""Ratios that are shown unless others are asked for."""

FIELD = 512
"""Full pixels a side of the field that is chosen."""

LARGEST_FIELD = 1536
"""The most full pixels a side of a field."""

_SAMPLE_PIXELS = 5 << 19
"""Base pixels of the mosaic, about; a slide whose base has at most twice as many is looked at as a whole."""

_INDEX_BYTES = 24
"""Bytes that a tile takes beside its code: its place, its length and two checksums."""

_TIMED = 12
"""Tiles whose coding is timed."""

_ESTIMATE_TILES: dict[TileCodec, int] = {"jp2k": 120, "av1": 32, "jpeg": 120}
"""Tiles that rate control codes beside those of the file, or as many as take its time."""


@dataclass(frozen=True, eq=False)
class Previewed:
    """What one ratio gives."""

    ratio: float
    base: Magnification
    size_bytes: int
    """Estimated bytes of the file."""
    seconds: float
    """Estimated time of the encode on this machine."""
    quality: float
    """Quality of the base's tiles that rate control chose."""
    slide: QualityEntry | None
    """The prediction as it was measured on the sample's tissue; None if it has none."""
    field: Image
    """The field as it decodes, (height, width, 3) uint8 RGB."""
    field_bytes: int
    """Share of the tiles below the field, by area."""
    psnr_db: float
    """PSNR of the field in dB, at most PSNR_CAP_DB."""
    ssim: float
    """SSIM of the field."""
    is_full: bool
    """False at the best quality that there is, which leaves a part of the budget empty as a rule."""


@dataclass(frozen=True)
class Refused:
    """A ratio that cannot be met."""

    ratio: float
    reason: str


@dataclass(frozen=True, eq=False)
class Preview:
    """A field of a slide, and what each ratio makes of it and of the slide."""

    path: Path
    source_bytes: int
    place: Region
    """The field's place in the slide, in full pixels."""
    original: Image
    """The field in the slide."""
    sampled_share: float
    """Share of the slide's area that the estimates are made from; 1 for all of it."""
    rows: tuple[Previewed | Refused, ...]
    """One a ratio, as they were asked for."""


def preview(
    source: Source,
    folder: Path,
    generator: Generator | None = None,
    settings: EncodeSettings | None = None,
    *,
    ratios: Sequence[float] = RATIOS,
    region: Region | None = None,
    progress: Progress = silent,
) -> Preview:
    """Estimate what `encode` gives at each ratio, and show it on one field.

    folder: holds the sample's base meanwhile. generator, settings: as `encode` takes them, but for the ratio, and
    without floors. region: the field, at most LARGEST_FIELD a side; None for a telling one (`Survey.telling_field`).
    Raises what `encode` raises, but for BudgetError.
    """
    settings = settings or EncodeSettings()
    if settings.has_floor or settings.quality is not None:
        raise SettingsError("a preview is made for ratios, without floors")
    base = settings.base or usual_base(source, settings, own_generator=generator is not None)
    wanted = [dataclasses.replace(settings, base=base, ratio=ratio) for ratio in ratios]
    if region is not None:
        region.check_within(source.size)
        if not SSIM_SIDE <= min(region.width, region.height) <= max(region.width, region.height) <= LARGEST_FIELD:
            raise SettingsError(f"the region must be {SSIM_SIDE} to {LARGEST_FIELD} px a side, found {region}")
    resources = Resources(folder, settings.workers, settings.seed, progress)
    with writing_errors(folder), ExitStack() as stack:
        samples: dict[int, _Sample] = {}
        tissue = TissueSample(source, settings)
        rows: list[Previewed | Refused] = []
        for each in wanted:
            began, known_s = time.monotonic(), tissue.reading_s
            plan = make_plan(source, generator, each, tuned=False, progress=progress, sample=tissue)
            planning = time.monotonic() - began + known_s  # an encode reads it, too
            if plan.scale not in samples:
                sample = stack.enter_context(_Sample(plan, region, resources))
                samples[plan.scale], region = sample, sample.place
            sample = samples[plan.scale]
            if base != "auto":
                generator = plan.load_generator()
            try:
                rows.append(sample.at(plan, planning))
            except BudgetError as error:
                rows.append(Refused(plan.settings.ratio or 0, str(error)))
        assert region is not None
        share = min(sample.share for sample in samples.values())
        return Preview(source.path, source.size_bytes, region, source.read(region), share, tuple(rows))


class _Sample(Closing):
    """The uncoded bases of a slide's sample and of the field, at one scale; closing it frees the disk."""

    def __init__(self, plan: Plan, region: Region | None, resources: Resources) -> None:
        """Choose and read them. region: the field; None to choose one."""
        source, tile = plan.source, TILES[plan.settings.codec]
        side = tile * plan.scale
        is_whole = source.size.divided(plan.scale).area <= 2 * _SAMPLE_PIXELS
        survey = None if is_whole and region is not None else look_over(source, side, resources)
        if region is None:
            assert survey is not None
            region = survey.telling_field(FIELD)
        self.place, self._resources, self._source = region, resources, source
        if not is_whole:
            assert survey is not None
            self._source = mosaic_of(source, survey.sample(side, _SAMPLE_PIXELS // tile**2))
        self.share = self._source.size.area / source.size.area
        """Share of the slide's area."""
        # The field's tiles, and one around them: its pixels are those of the whole slide, whatever a network sees.
        x, y = ((start // side - 1) * side for start in (region.x, region.y))
        right, bottom = ((-(-end // side) + 1) * side for end in (region.right, region.bottom))
        cut = Region(x, y, right - x, bottom - y).clipped(source.size)
        assert cut is not None
        self._cut, self._original = cut, source.read(region)
        check_space(resources.folder / "base", 4 * (self._source.size.area + cut.area) // plan.scale**2)
        with ExitStack() as stack:
            began = time.monotonic()
            self._pyramid = stack.enter_context(UncodedPyramid(self._source, plan.downsampler, resources, tile=tile))
            self._reading_s = (time.monotonic() - began) / self.share
            self._around_source, quiet = cut_of(source, cut), dataclasses.replace(resources, progress=silent)
            self._around = stack.enter_context(UncodedPyramid(self._around_source, plan.downsampler, quiet, tile=tile))
            self._stack = stack.pop_all()

    def at(self, plan: Plan, planning_s: float) -> Previewed:
        """Run an encode's stages at the plan's ratio. planning_s: seconds that the plan took. Raises BudgetError."""
        budget_bytes, base_name, ratio = plan.budget_bytes, plan.settings.base, plan.settings.ratio
        assert budget_bytes is not None
        assert ratio is not None
        assert base_name in BASE_MPP  # the plan has decided
        began, seconds = time.monotonic(), planning_s + self._reading_s
        with ExitStack() as stack:
            share = int(budget_bytes * self.share)
            overview = stack.enter_context(CodedOverview(self._pyramid, plan.settings.codec, share, self._resources))
            job = Job.of(dataclasses.replace(plan, source=self._source), self._pyramid, overview, self._resources)
            tie = tie_as_long(plan.source, deidentify=plan.settings.deidentify)
            job = dataclasses.replace(job, tie=tie)
            overhead = self._overhead(job)
            base = self._coded(job, budget_bytes, overhead)
            coded = stack.enter_context(CodedSlide(job, base))
            if self.share < 1:
                # Rate control codes a larger part of a small slide: a tile's time tells more than the mosaic's.
                seconds += self._seconds_a_tile(base) * (
                    self._pyramid.grids[0].count / self.share + _ESTIMATE_TILES[base.coder.codec]
                )
                began = time.monotonic()
            else:
                base.decoded_sums(self._resources)
            coded = with_source_colours(coded)
            measured = measure_prediction(coded.job, base)
            seconds += time.monotonic() - began
            field, field_bytes = self._field_of(job, base)
            size_bytes = round(base.total_bytes / self.share) + overhead
        return Previewed(
            ratio,
            base_name,
            min(size_bytes, budget_bytes),
            round(seconds, 1),
            base.quality,
            measured[0] if measured else None,
            field,
            field_bytes,
            capped_psnr(self._original, field),
            ssim(self._original, field),
            is_full=base.quality < SEARCH_RANGES[base.coder.codec][1],
        )

    def _overhead(self, job: Job) -> int:
        """Return the bytes of the slide's file beside its tiles."""
        tiles = self._pyramid.grids[0].count
        return overhead_bytes(job) + round(_INDEX_BYTES * (tiles / self.share - tiles))

    def _coded(self, job: Job, budget_bytes: int, overhead: int) -> CodedPyramid:
        """Code the sample within its share of the budget. Raises BudgetError."""
        if self.share == 1:
            return code_base_within(job, budget_bytes)
        room = int((budget_bytes - overhead) * self.share)
        try:
            return code_within(job.pyramid, job.overview, job.coder, room, self._resources)
        except BudgetError as error:
            needed = round(error.needed_bytes / self.share) + overhead
            raise BudgetError(
                budget_bytes,
                needed,
                f"{job.source.path}: a ratio of {job.settings.ratio:g} allows {budget_bytes} bytes. The file at its "
                f"lowest quality takes about {needed}",
            ) from error

    def _seconds_a_tile(self, base: CodedPyramid) -> float:
        """Return the time in which a tile of the base is coded and decoded, all threads at work."""
        pixels, resources = self._pyramid.levels[0], self._resources
        side, tiles = pixels.grid.side, resources.sample(range(pixels.grid.count), _TIMED)

        def work(index: int) -> Image:
            return base.coder.decode(base.code(index, base.rungs[index]), height=side, width=side)

        began = time.monotonic()
        for _ in resources.map(work, tiles):
            pass
        return (time.monotonic() - began) / len(tiles)

    def _quality_of(self, base: CodedPyramid, column: int, row: int) -> float:
        """Return the quality of a tile around the field, where the slide is coded like a base."""
        side = base.base.grid.side * self._pyramid.scale
        place = column + self._cut.x // side, row + self._cut.y // side
        if self.share == 1:
            return RUNGS[base.coder.codec][base.rungs[base.base.grid.index(*place)]]
        return tile_quality(base.coder.codec, base.quality, *place)

    def _field_of(self, job: Job, base: CodedPyramid) -> tuple[Image, int]:
        """Return the field as it decodes from a base like the sample's, and its share of the tiles' bytes.

        job: its coder has the colours in which tiles are coded; the base's has those in which they are decoded.
        """
        around, place = self._around, self.place
        codes: dict[int, bytes] = {}
        pixels = around.levels[0]
        side = pixels.grid.side

        def tile(column: int, row: int) -> Image:
            index = pixels.grid.index(column, row)
            if index not in codes:
                codes[index] = coded_tile(
                    pixels.read, pixels.grid, job.coder, self._quality_of(base, column, row), index
                )
            return base.coder.decode(codes[index], height=side, width=side)

        within = Region(place.x - self._cut.x, place.y - self._cut.y, place.width, place.height)
        read = BlockReader(self._around_source, job.generator, around, TiledImage(pixels.grid, tile).read)
        field = np.empty((place.height, place.width, 3), np.uint8)
        for address in around.full_blocks.touching(within):
            covered = around.full_blocks.covered(*address)
            part = covered.overlap(within)
            cut = read(address).within[
                part.y - covered.y : part.bottom - covered.y, part.x - covered.x : part.right - covered.x
            ]
            field[part.y - within.y : part.bottom - within.y, part.x - within.x : part.right - within.x] = cut
        full_tiles = Grid(self._around.full_blocks.size, side * job.scale)
        taken = sum(
            len(codes[full_tiles.index(*address)])
            * full_tiles.covered(*address).overlap(within).area
            / full_tiles.covered(*address).area
            for address in full_tiles.touching(within)
        )
        return field, round(taken)

    def close(self) -> None:
        """Free the disk."""
        self._stack.close()
