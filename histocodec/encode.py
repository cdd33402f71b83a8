"""encode(): a slide to a container, streaming, within a byte budget."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from .assemble import AssociatedImage, checksum_table, write_container
from .associated import code_associated
from .codecs import QUALITY_SCALES, TILE_CODECS, TileCodec
from .coding import CodedPyramid, code_within
from .errors import BudgetError, GeneratorError, SettingsError, UnsupportedResolution
from .generator import Generator
from .generators import default_generator
from .geometry import Size
from .labels import stated_reconstruction
from .manifest import (
    SOFTWARE,
    BaseFacts,
    GeneratorFacts,
    Layer,
    Layers,
    LossyStep,
    Manifest,
    PredictionFacts,
    QualityFacts,
    SlideFacts,
    Summary,
    level_sizes,
)
from .output import atomic_output, check_output, check_space, writing_errors
from .parallel import core_count
from .privacy import deidentified_profile, deidentified_properties
from .pyramid import Progress, Pyramid
from .quality import measure_blocks
from .sampling import spread_sample
from .source import Source

BASE_MPP = {"10x": 1.0, "20x": 0.5}
TILE = 256
BLOCK = 128
EMBED_SHARE = 0.01
"""A generator whose package takes less than this share of the output is embedded, unless told otherwise."""

_DICOM_METHOD: dict[TileCodec, str] = {"jp2k": "ISO_15444_1", "avif": "ISO_23000_22", "jpeg": "ISO_10918_1"}
_BASE_CACHE_BYTES = 64 << 20
_OVERHEAD_SLACK = 512
"""Numbers in the manifest may take a few more digits than the placeholders."""


@dataclass(frozen=True)
class EncodeSettings:
    """How to encode; checked on construction (SettingsError)."""

    base: Literal["10x", "20x"] = "10x"
    """Nominal magnification of the base: 1.0 or 0.5 um/px."""
    codec: TileCodec = "jp2k"
    ratio: float | None = 16.0
    """The output takes at most the source's bytes divided by this. None: `quality` decides."""
    quality: float | None = None
    """Base quality on the codec's scale; needs `ratio` None."""
    embed_generator: bool | None = None
    """None: embed when the package takes less than EMBED_SHARE of the output."""
    verify: Literal["sample", "all", "none"] = "sample"
    """Which tissue blocks to decode and measure against the source: `verify_blocks` of them, all, or none."""
    verify_blocks: int = 24
    deidentify: bool = False
    seed: int = 0
    """Draws the tiles that rate control and verification look at."""
    workers: int = field(default_factory=core_count)

    def __post_init__(self) -> None:
        if self.base not in BASE_MPP:
            raise SettingsError(f"base must be one of {', '.join(BASE_MPP)}, found {self.base}")
        if self.codec not in TILE_CODECS:
            raise SettingsError(f"codec must be one of {', '.join(TILE_CODECS)}, found {self.codec}")
        if (self.ratio is None) == (self.quality is None):
            raise SettingsError("give either a ratio or a quality")
        if self.ratio is not None and not 1 <= self.ratio <= 1000:
            raise SettingsError(f"the ratio must be 1 to 1000, found {self.ratio:g}")
        if self.quality is not None:
            QUALITY_SCALES[self.codec].check(self.quality)
        if self.verify not in ("sample", "all", "none"):
            raise SettingsError(f"verify must be sample, all or none, found {self.verify}")
        if self.workers < 1 or self.verify_blocks < 1:
            raise SettingsError("workers and verify_blocks must be at least 1")


@dataclass(frozen=True)
class EncodeReport:
    """What an encode reached."""

    path: Path
    size_bytes: int
    tile_bytes: int
    """Bytes of the coded tiles of all levels."""
    manifest: Manifest
    notes: tuple[str, ...]
    """What a user should know about this file."""

    @property
    def source_bytes(self) -> int:
        return self.manifest.slide.source_bytes

    @property
    def full_size(self) -> Size:
        return Size(*self.manifest.slide.size)

    @property
    def ratio_to_source(self) -> float:
        return self.source_bytes / self.size_bytes

    @property
    def ratio_to_raw(self) -> float:
        """Against 24-bit RGB at full resolution."""
        return 3 * self.full_size.area / self.size_bytes

    @property
    def bits_per_full_pixel(self) -> float:
        """Everything in the file counts."""
        return 8 * self.size_bytes / self.full_size.area


def base_scale(source: Source, base: str = "10x") -> int:
    """Full pixels per base pixel: the power of two that brings the slide nearest to the base's resolution.

    Raises UnsupportedResolution unless that is 2 or 4.
    """
    exponent = math.log2(BASE_MPP[base] / source.mpp)
    if round(exponent) not in (1, 2):
        low, high = BASE_MPP[base] / 2**2.5, BASE_MPP[base] / 2**0.5
        raise UnsupportedResolution(
            source.path,
            f"{source.mpp:g} um/px is out of range: a {base} base is made from slides of {low:.3g} to {high:.3g} um/px",
        )
    return int(2 ** round(exponent))


def encode(
    source: Source,
    path: str | Path,
    generator: Generator | None = None,
    settings: EncodeSettings | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> EncodeReport:
    """Write `source` to `path` as a container, atomically.

    generator: must have the scale that `base_scale` gives for this source; None for `default_generator`. The source is
    read once (and sampled again to verify). Memory is bounded by a few tiles for each worker; the uncoded base waits on
    the output's disk meanwhile. The same input gives the same bytes.

    Raises SourceReadError, UnsupportedResolution, BudgetError, GeneratorError, SettingsError and OutputError; whatever
    was under `path` before is then still there.
    """
    path, settings = Path(path), settings or EncodeSettings()
    scale = base_scale(source, settings.base)
    if generator is not None and generator.scale != scale:
        raise GeneratorError(
            f"generator {generator.name} enlarges {generator.scale} times, the base of {source.path.name} needs {scale}"
        )
    if settings.embed_generator and generator is not None and generator.package is None:
        raise SettingsError(f"{generator.name} has no package that could be embedded")
    check_output(path, overwrite=overwrite, source=source.path)
    raw_bytes = source.size.divided(scale).area * 3
    check_space(path, raw_bytes + raw_bytes // 4)
    budget = None if settings.ratio is None else int(source.size_bytes / settings.ratio)
    folder, workers = path.parent, settings.workers
    # The default one is loaded while the source is read: importing torch takes seconds.
    loading = None if generator is not None else _loading_default(scale)
    # Closing a temporary file writes what it still buffers, so errors are caught around the stack.
    with writing_errors(path), ExitStack() as stack:
        pyramid = stack.enter_context(
            Pyramid(source, scale=scale, tile=TILE, block=BLOCK, folder=folder, workers=workers, progress=progress)
        )
        if generator is None:
            assert loading is not None
            generator = loading.result()
        file = _File(source, settings, generator, pyramid, scale).fitted(budget)
        if budget is None:
            assert settings.quality is not None
            coded = CodedPyramid(
                pyramid, settings.codec, settings.quality, folder=folder, workers=workers, progress=progress
            )
            file = file.with_package_for(coded.total_bytes)
        else:
            coded = _code_within(file, budget, folder, progress)
        stack.enter_context(coded)
        measured = _measure(file, coded, progress)
        checksums = file.checksums(coded.levels)
        manifest = file.manifest(coded.quality, coded.total_bytes, checksums, measured)
        with atomic_output(path, overwrite=overwrite) as out:
            file.write(out, manifest, coded.levels, checksums)
            size_bytes = out.seek(0, io.SEEK_END)
            if budget is not None and size_bytes > budget:
                raise BudgetError(budget, size_bytes, f"{path.name}: {size_bytes} bytes, only {budget} are allowed")
    notes = [file.associated_note] if file.associated_note else []
    if any(step.method == "reconstruction" for step in manifest.slide.lossy_history):
        notes.append(
            "the source is itself a reconstruction: what was measured is the distance to that, not to the slide"
        )
    if generator.digest.startswith("builtin:"):
        notes.append(f"no learned generator: the full resolution is enlarged by {generator.name}, an interpolation")
    if settings.deidentify and file.icc_profile is None and source.icc_profile:
        notes.append("the ICC profile left out: it could not be freed of what identifies the scanner")
    if settings.deidentify and source.path.stem in path.name:
        notes.append(f"the slide's own name is still in the name of the file, {path.name}")
    if settings.verify != "none" and measured is None:
        notes.append("nothing was measured: no block of tissue lies within the slide entirely")
    return EncodeReport(path, size_bytes, coded.total_bytes, manifest, tuple(notes))


def _loading_default(scale: int) -> Future[Generator]:
    loader = ThreadPoolExecutor(1, thread_name_prefix="histocodec-loader")
    loading = loader.submit(default_generator, scale)
    loader.shutdown(wait=False)
    return loading


@dataclass(frozen=True)
class _File:
    """Everything of the output that does not depend on how the tiles were coded."""

    source: Source
    settings: EncodeSettings
    generator: Generator
    pyramid: Pyramid
    scale: int
    associated: Sequence[AssociatedImage] = ()
    associated_note: str | None = None
    package: bytes | None = None
    """The generator's package, if it is embedded."""

    def fitted(self, budget: int | None) -> _File:
        """The same, with the associated images and the package that belong into an output of this size."""
        associated, note = code_associated(
            self.source.associated,
            deidentify=self.settings.deidentify,
            fallback_thumbnail=self.pyramid.coarsest(),
            budget_bytes=budget,
        )
        file = dataclasses.replace(self, associated=associated, associated_note=note)
        return file if budget is None else file.with_package_for(budget)

    def with_package_for(self, output_bytes: int) -> _File:
        """The same, with the package if it belongs into an output of about this size."""
        package, embed = self.generator.package, self.settings.embed_generator
        if embed is None:
            embed = package is not None and len(package) < EMBED_SHARE * output_bytes
        return dataclasses.replace(self, package=package if embed else None)

    @property
    def icc_profile(self) -> bytes | None:
        profile = self.source.icc_profile
        return deidentified_profile(profile) if profile and self.settings.deidentify else profile

    def checksums(self, level_tiles: Sequence[Iterable[bytes]]) -> bytes:
        return checksum_table(level_tiles, self.associated, self.pyramid.tissue, self.icc_profile)

    def manifest(self, quality: float, tile_bytes: int, checksums: bytes, measured: QualityFacts | None) -> Manifest:
        source, settings, generator = self.source, self.settings, self.generator
        raw_bytes = 3 * source.size.area
        ours = LossyStep(
            _DICOM_METHOD[settings.codec],
            round(raw_bytes / tile_bytes, 2),
            f"averaged {self.scale} x {self.scale} to one and coded as {settings.codec}",
        )
        base_size, blocks = source.size.divided(self.scale), self.pyramid.blocks.shape
        properties = deidentified_properties(source.properties) if settings.deidentify else source.properties
        return Manifest(
            software=SOFTWARE,
            tier="reconstructed",
            slide=SlideFacts(
                size=(source.size.width, source.size.height),
                mpp=source.mpp,
                objective_power=source.objective_power,
                vendor=source.vendor,
                background=source.background,
                source_bytes=source.size_bytes,
                deidentified=settings.deidentify,
                properties=properties,
                lossy_history=(*_earlier_steps(source), ours),
            ),
            base=BaseFacts(self.scale, settings.codec, quality, TILE, level_sizes(base_size, TILE)),
            prediction=PredictionFacts(
                GeneratorFacts(
                    generator.name, generator.digest, generator.scale, generator.halo, self.package is not None
                ),
                BLOCK,
            ),
            layers=Layers(tissue_map=Layer(0, (blocks.width, blocks.height))),
            associated=tuple(image.name for image in self.associated),
            checksums_sha256=hashlib.sha256(checksums).hexdigest(),
            quality=measured,
        )

    def write(
        self, out: IO[bytes], manifest: Manifest, level_tiles: Sequence[Iterable[bytes]], checksums: bytes
    ) -> None:
        write_container(
            out,
            manifest,
            level_tiles=level_tiles,
            checksums=checksums,
            tissue_map=self.pyramid.tissue,
            icc_profile=self.icc_profile,
            package=self.package,
            associated=self.associated,
        )

    def overhead_bytes(self) -> int:
        """Bytes of everything but the tiles: what a file with tiles of one byte takes, and a little slack."""
        counts = [grid.count for grid in self.pyramid.grids]
        tiles = [[b"\0"] * count for count in counts]
        checksums = self.checksums(tiles)
        psnr_db, ssim = Summary(99.9999, 99.9999, 99.9999), Summary(-0.9999, -0.9999, -0.9999)
        measured = QualityFacts("sample", 9999, 9999, psnr_db, ssim, 99.9999)
        out = io.BytesIO()
        manifest = self.manifest(99.99, self.source.size.area // 10 + 1, checksums, measured)
        self.write(out, manifest, tiles, checksums)
        return len(out.getvalue()) - sum(counts) + _OVERHEAD_SLACK


def _earlier_steps(source: Source) -> list[LossyStep]:
    """What the source's pixels went through. Only their last size is known, so only the last step has a ratio."""
    described = (source.properties.get(key, "") for key in ("tiff.ImageDescription", "ImageDescription"))
    origins = [origin for origin in map(stated_reconstruction, described) if origin]
    steps = [LossyStep("reconstruction", None, origin) for origin in origins[:1]]
    for number, method in enumerate(source.lossy_methods, 1):
        ratio = round(3 * source.size.area / source.size_bytes, 2) if number == len(source.lossy_methods) else None
        steps.append(LossyStep(method, ratio, "as the source was stored"))
    return steps


def _code_within(file: _File, budget: int, folder: Path, progress: Progress) -> CodedPyramid:
    """The best coding that fits; a BudgetError speaks of the whole file."""
    overhead, settings = file.overhead_bytes(), file.settings
    try:
        return code_within(
            file.pyramid,
            settings.codec,
            budget - overhead,
            seed=settings.seed,
            folder=folder,
            workers=settings.workers,
            progress=progress,
        )
    except BudgetError as error:
        ratio = _possible_ratio(file, error.needed_bytes)
        raise BudgetError(
            budget,
            error.needed_bytes + overhead,
            f"{file.source.path}: a ratio of {settings.ratio:g} allows {budget} bytes. The base at its lowest quality "
            f"takes {error.needed_bytes} and everything else {overhead}: "
            + (f"--ratio {ratio:g} can be met" if ratio else "no ratio can be met, but --quality sets none"),
        ) from error


def _possible_ratio(file: _File, tile_bytes: int) -> float | None:
    """The highest ratio, in tenths, whose budget holds tiles of `tile_bytes` and all that such a budget admits."""
    needed = tile_bytes + file.overhead_bytes()
    while True:
        ratio = math.floor(10 * file.source.size_bytes / needed) / 10
        if ratio < 1:
            return None
        budget = int(file.source.size_bytes / ratio)
        # A larger budget admits better associated images, and perhaps the generator: it needs more itself.
        needed = tile_bytes + file.fitted(budget).overhead_bytes()
        if needed <= budget:
            return ratio


def _measure(file: _File, coded: CodedPyramid, progress: Progress) -> QualityFacts | None:
    """Reconstruct a sample of tissue blocks and compare them with the source; None if nothing is asked for or there."""
    if file.settings.verify == "none":
        return None
    candidates = file.pyramid.whole_tissue_blocks()
    count = len(candidates) if file.settings.verify == "all" else file.settings.verify_blocks
    addresses = spread_sample(candidates, count, file.settings.seed)
    if not addresses:
        return None
    return measure_blocks(
        file.source.read,
        coded.base_plane(_BASE_CACHE_BYTES).read,
        file.generator,
        file.pyramid.blocks,
        addresses,
        method=file.settings.verify,
        workers=file.settings.workers,
        progress=lambda done, total: progress("measuring", done, total),
    )
