"""encode(): a slide to a container, streaming, within a byte budget."""

from __future__ import annotations

import dataclasses
import io
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import BudgetError, GeneratorError, SettingsError, SourceReadError, UnsupportedResolution
from ..format.descriptions import RECONSTRUCTION
from ..format.entries import OVERVIEW_CODEC, Summary
from ..format.manifest import Manifest
from ..format.origin import check_origin
from ..format.strict_json import MAX_ITEMS
from ..generators.bicubic import BicubicGenerator
from ..generators.catalogue import default_generator, default_package, downsampler_for, known_names, load_generator
from ..generators.package import Package
from ..generators.predict import predict
from ..geometry import Size, TileGrid
from ..pixels.downsample import BLOCK
from ..pixels.resampler import Generator
from ..pixels.score import SSIM_SIDE
from ..pixels.tile_coder import TILES, TileCoder
from ..runtime.files import atomic_output, check_output, check_space, writing_errors
from ..runtime.parallel import ordered_map
from ..runtime.progress import Progress
from ..runtime.sampling import spread_sample
from ..source import Source
from .base_choice import Candidate, choose_base
from .coded_pyramid import OVERVIEW_QUALITY, CodedOverview, CodedPyramid
from .draft import Draft, Measured, code_draft_within
from .enhance import Floors, block_floors
from .floor_budget import code_bounded, enhancement_entry
from .measure import measure_blocks
from .plan import base_scale
from .settings import BASE_MPP, Base, EncodeSettings
from .split import choose_split
from .tuned_decoder import Tuner, adopt_tuned
from .uncoded_pyramid import UncodedPyramid

__all__ = ["EncodeReport", "EncodeSettings", "base_scale", "encode"]


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
    def psnr_db(self) -> Summary | None:
        """Of the tissue as the file decodes to it, the enhancement layer included; None if nothing was measured.

        Its `worst` is the lowest that was measured: of all tissue if `manifest.quality.complete`.
        """
        layer, quality = self.manifest.layers.enhancement, self.manifest.quality
        if layer is not None and layer.tissue_psnr_db is not None:
            return layer.tissue_psnr_db
        return None if quality is None else quality.psnr_db

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


def encode(
    source: Source,
    path: str | Path,
    generator: Generator | None = None,
    settings: EncodeSettings | None = None,
    *,
    tuner: Tuner | None = None,
    overwrite: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> EncodeReport:
    """Write `source` to `path` as a container, atomically.

    generator: must have the scale that `base_scale` gives for this source; None for `default_generator`. The source is
    read once (but for what a downsampler sees around a tile, and sampled again to verify). Memory is bounded by a few
    tiles for each worker; the uncoded base waits on the output's disk meanwhile. The same input gives the same bytes.
    tuner: trains the generator on with the slide's own tissue, such as `training.SlideTuner`; what comes out is
    embedded if it is worth its bytes, and the report's notes say what it gained.

    Raises SourceReadError, UnsupportedResolution, BudgetError, GeneratorError, SettingsError and OutputError; whatever
    was under `path` before is then still there.
    """
    path, settings = Path(path), settings or EncodeSettings()
    if settings.base == "auto" and generator is not None:
        raise SettingsError(f"base auto compares the default generators: {generator.name} decides on one by itself")
    check_output(path, overwrite=overwrite, source=source.path)
    if settings.regions is not None:
        check_origin(settings.regions.origin, source.properties)
    budget = None if settings.ratio is None else int(source.size_bytes / settings.ratio)
    notes = []
    if settings.base == "auto":
        settings, note = _with_better_base(source, settings, progress)
        notes.append(note)
    assert settings.base != "auto"
    scale = base_scale(source, settings.base)
    if generator is not None and generator.scale != scale:
        raise GeneratorError(
            f"generator {generator.name} enlarges {generator.scale} times, the base of {source.path.name} needs {scale}"
        )
    if settings.embed_generator and generator is not None and generator.package is None:
        raise SettingsError(f"{generator.name} has no package that could be embedded")
    if tuner is not None and settings.embed_generator is False:
        raise SettingsError("a tuned decoder exists nowhere but in its file: it has to be embedded")
    raw_bytes = source.size.divided(scale).area * 3
    check_space(path, raw_bytes + raw_bytes // 4)
    folder, workers = path.parent, settings.workers
    to_decode = default_package(scale, settings.codec) if generator is None else generator
    downsampler = downsampler_for(to_decode, scale, settings.downsampling)
    # The default one is loaded while the source is read: importing torch takes seconds.
    loading = _loading(to_decode) if isinstance(to_decode, Package) else None
    # Closing a temporary file writes what it still buffers, so errors are caught around the stack.
    with writing_errors(path), ExitStack() as stack:
        pyramid = stack.enter_context(
            UncodedPyramid(
                source,
                scale=scale,
                tile=TILES[settings.codec],
                block=BLOCK,
                folder=folder,
                workers=workers,
                progress=progress,
                downsampler=downsampler,
            )
        )
        _check_damage(source)
        if generator is None:
            assert loading is not None
            generator = loading.result()
        coder = TileCoder.fitted(settings.codec, pyramid.pixels_all_over())
        overview = CodedOverview(pyramid, settings.codec, budget, folder=folder, workers=workers, progress=progress)
        stack.enter_context(overview)
        file = Draft(source, settings, generator, pyramid, scale, coder, overview).fitted(budget)
        floors = block_floors(file) if settings.has_floor else None
        file, coded = _coded(file, budget, floors, folder, progress)
        stack.enter_context(coded)
        if tuner is not None:
            file, coded, note = adopt_tuned(file, coded, tuner, budget, folder, progress)
            stack.enter_context(coded)
            notes.append(note)
        if floors is None:  # last of all: coding the tiles again would take it back
            file = _with_its_tint(file, coded, progress)
        bounded = None
        if floors is not None:
            bounded = stack.enter_context(code_bounded(file, coded, floors, budget, folder, progress))
            coded = bounded.coded
            notes += bounded.notes
        measured = _measure(file, coded, progress) if bounded is None else bounded.enhancement.measured
        checksums = file.checksums(coded.levels)
        pieces = bounded.enhancement.pieces if bounded else None
        layer = enhancement_entry(file, bounded, has_map=measured is not None) if bounded else None
        manifest = file.manifest(coded.quality, coded.total_bytes, checksums, measured, layer)
        with atomic_output(path, overwrite=overwrite) as out:
            file.write(out, manifest, coded.levels, checksums, measured, pieces)
            size_bytes = out.seek(0, io.SEEK_END)
            if budget is not None and size_bytes > budget:
                raise BudgetError(budget, size_bytes, f"{path.name}: {size_bytes} bytes, only {budget} are allowed")
    notes += [] if settings.regions is None else settings.regions.notes
    if settings.regions is not None and (outside := settings.regions.outside):
        notes.append(f"{outside} of {len(settings.regions.features)} regions of interest lie outside the slide")
    notes += [*source.notes, *([file.associated_note] if file.associated_note else [])]
    if source.damaged:
        count = len(source.damaged)
        notes.append(f"places of the slide that could not be read, and hold the background: {count}; info lists them")
    if any(step.method == RECONSTRUCTION for step in manifest.slide.lossy_history):
        notes.append(
            "the source is itself a reconstruction: what was measured is the distance to that, not to the slide"
        )
    wanted = OVERVIEW_QUALITY[OVERVIEW_CODEC[settings.codec]][0]
    if overview.quality != wanted:
        notes.append(f"reduced levels coded at quality {overview.quality:g} in place of {wanted:g}, to fit the budget")
    if manifest.base.downsampling and settings.codec != "avif":
        notes.append(
            f"the base, which other readers open, was made by {manifest.base.downsampling.name}: "
            "they show its pixels sharpened (downsampling box: the plain average)"
        )
    if file.generator.digest.startswith("builtin:"):
        notes.append(
            f"no learned generator: the full resolution is enlarged by {file.generator.name}, an interpolation"
        )
    if settings.deidentify and file.icc_profile is None and source.icc_profile:
        notes.append("the ICC profile left out: it could not be freed of what identifies the scanner")
    if settings.deidentify and source.path.stem.casefold().removesuffix(".ome") in path.name.casefold():
        notes.append(f"the slide's own name is still in the name of the file, {path.name}")
    if settings.deidentify and file.package and file.generator.name.removesuffix("-tuned") not in known_names():
        notes.append(f"the file holds the generator {file.generator.name}: see that its name and card identify nobody")
    if settings.verify != "none" and measured is None:
        notes.append("nothing was measured: there is no block of tissue")
    return EncodeReport(path, size_bytes, coded.total_bytes, manifest, tuple(notes))


def _with_better_base(source: Source, settings: EncodeSettings, progress: Progress) -> tuple[EncodeSettings, str]:
    """The settings with the base that a sample of the tissue speaks for, and a sentence on why."""
    candidates: dict[Base, Candidate] = {}
    for base in BASE_MPP:
        try:
            scale = base_scale(source, base)
        except UnsupportedResolution as error:
            refused = error
            continue
        generator = default_generator(scale, settings.codec)
        candidates[base] = Candidate(generator, downsampler_for(generator, scale, settings.downsampling))
    if not candidates:
        raise refused
    assert settings.ratio is not None
    budget = int(source.size_bytes / settings.ratio)
    choice = choose_base(
        source,
        candidates,
        settings.codec,
        budget,
        seed=settings.seed,
        workers=settings.workers,
        progress=progress,
    )
    if len(choice.psnr_db) > 1:
        compared = " and ".join(f"{base} {psnr_db:.2f} dB" for base, psnr_db in choice.psnr_db.items())
        why = f"{compared} on {choice.patches} patches of tissue, at equal bytes"
    else:
        alone = len(candidates) == 1 or bool(choice.psnr_db)
        why = "no other base is possible" if alone else "no tissue to compare them on"
    return dataclasses.replace(settings, base=choice.base), f"base {choice.base}: {why}"


def _check_damage(source: Source) -> None:
    """Raise SourceReadError if a source, read as a whole, has nothing sound, or more damage than can be listed."""
    damaged = source.damaged
    if sum(place.width * place.height for place in damaged) == source.size.area:
        raise SourceReadError(source.path, "no part of it can be read: there is nothing to encode")
    if len(damaged) > MAX_ITEMS:
        raise SourceReadError(
            source.path, f"expected at most {MAX_ITEMS} damaged places, found {len(damaged)}: a file cannot list more"
        )


def _loading(package: Package) -> Future[Generator]:
    loader = ThreadPoolExecutor(1, thread_name_prefix="histocodec-loader")
    loading = loader.submit(load_generator, package)
    loader.shutdown(wait=False)
    return loading


def _coded(
    file: Draft, budget: int | None, floors: Floors | None, folder: Path, progress: Progress
) -> tuple[Draft, CodedPyramid]:
    """The base, coded: within the budget, as if there were no floor, at the quality that was asked for, or at the one
    that a floor makes best."""
    settings = file.settings
    if budget is not None:
        return file, code_draft_within(file, budget, folder, progress)
    quality = settings.quality
    if quality is None:
        assert floors is not None
        quality = choose_split(file, floors, progress)
    coded = CodedPyramid(
        file.pyramid,
        file.overview,
        file.coder,
        quality,
        folder=folder,
        workers=settings.workers,
        progress=progress,
    )
    return file.with_package_for(coded.total_bytes), coded


_TINT_BLOCKS, _MOST_TINT = 16, 2.0
"""Blocks of tissue, and of glass, that tell the shift of their colours, and the most steps that are taken back."""


def _with_its_tint(file: Draft, coded: CodedPyramid, progress: Progress) -> Draft:
    """The file with the mean colours of the source: its colour transform makes good for the third of a step or so by
    which codec and generator shift them. Of codecs without one, as it was.

    Tissue went through the network and glass did not: where their shifts differ, the middle of the two is taken back.
    """
    colour, grid = file.coder.colour, TileGrid(file.source.size, file.pyramid.blocks.tile * file.scale)
    if colour is None:
        return file
    read, plain = coded.decoded_base().read, BicubicGenerator(file.scale)

    def shift(address: tuple[int, int]) -> NDArray[np.float64]:
        original = file.source.read(grid.covered(*address))
        tissue = file.pyramid.tissue[address[1], address[0]]
        made = predict(file.generator if tissue else plain, read, file.pyramid.blocks, *address)
        within = made[: original.shape[0], : original.shape[1]]
        steps: NDArray[np.float64] = (original.astype(np.float64) - within).mean((0, 1))
        return steps

    shifts = []
    for kind in (1, 0):
        places = [(int(column), int(row)) for row, column in np.argwhere(file.pyramid.tissue == kind)]
        chosen, found = spread_sample(places, _TINT_BLOCKS, file.settings.seed), []
        for steps in ordered_map(shift, chosen, workers=file.settings.workers):
            found.append(steps)
            progress("colours", len(found), len(chosen))
        shifts += [np.mean(found, axis=0)] if found else []
    steps = np.clip(np.mean(shifts, axis=0), -_MOST_TINT, _MOST_TINT)
    coded.coder = dataclasses.replace(coded.coder, colour=colour.shifted(steps))
    return dataclasses.replace(file, coder=coded.coder)


def _measure(file: Draft, coded: CodedPyramid, progress: Progress) -> Measured | None:
    """Reconstruct tissue blocks and compare them with the source; None if nothing is asked for or there."""
    settings = file.settings
    if settings.verify == "none":
        return None
    candidates = file.pyramid.tissue_blocks(SSIM_SIDE)
    count = len(candidates) if settings.verify == "all" else settings.verify_blocks
    spread = spread_sample(candidates, count, settings.seed)
    if not spread:
        return None
    # In random order, so that the first ones stand for all of them.
    addresses = [spread[k] for k in np.random.default_rng(settings.seed).permutation(len(spread))]
    return measure_blocks(
        file.source.read,
        file.source.size,
        coded.decoded_base().read,
        file.generator,
        file.pyramid.blocks,
        addresses,
        method=settings.verify,
        population=len(candidates),
        within_db=settings.verify_within_db if settings.verify == "sample" else 0.0,
        workers=settings.workers,
        progress=lambda done, total: progress("measuring", done, total),
    )
