"""`encode`: a slide becomes a container."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..archive.discovery import CONTAINER, find, is_one_file
from ..archive.targets import Pair, make_folders, refuse_existing, targets
from ..encoder import EncodeReport, EncodeSettings, encode
from ..encoder.base_choice import base_scale
from ..encoder.tuned_generator import Tuner
from ..format.origin import Origin, check_origin, chosen_origin
from ..format.regions import RegionsOfInterest
from ..generators.catalogue import default_package, load_generator
from ..generators.package import Package
from ..pixels.resampler import Generator
from ..pixels.tile_codecs import TileCodec
from ..source import Source, open_source
from .encoding_options import (
    Base,
    Codec,
    Deidentify,
    Downsampling,
    EffortOption,
    EmbedGenerator,
    EncodingGenerator,
    KeepOriginal,
    MinPsnr,
    Quality,
    Ratio,
    StoreAll,
    Verify,
    WhenDamaged,
)
from .info import encode_info
from .many import end_of_many, one_by_one, selection_of
from .options import (
    Device,
    Exclude,
    Include,
    Json,
    Log,
    Mpp,
    OutputDir,
    Overwrite,
    Recursive,
    Seed,
    Series,
    SkipExisting,
    Verbose,
    Workers,
    path_argument,
    path_option,
    print_facts,
    print_json,
    say,
)
from .running import LOG, running


def encode_command(
    slides: Annotated[
        list[Path],
        path_argument(
            help="Any slide that OpenSlide, tifffile or libvips reads; several, patterns, or folders of slides."
        ),
    ],
    output: Annotated[
        Path | None, path_option("-o", "--output", help="Of one slide. Default: its name, .hc.tif.")
    ] = None,
    output_dir: OutputDir = None,
    recursive: Recursive = False,
    include: Include = None,
    exclude: Exclude = None,
    skip_existing: SkipExisting = False,
    ratio: Ratio = None,
    quality: Quality = None,
    base: Base = EncodeSettings.base,
    codec: Codec = EncodeSettings.codec,
    effort: EffortOption = EncodeSettings.effort,
    downsampling: Downsampling = None,
    generator: EncodingGenerator = None,
    embed_generator: EmbedGenerator = None,
    archive: StoreAll = False,
    tune: Annotated[
        float | None,
        typer.Option(
            help="Train the generator on with this slide's own tissue for so many seconds, and embed it if it "
            "earns its bytes.",
            metavar="SECONDS",
        ),
    ] = None,
    seed: Seed = 0,
    verify: Verify = "sample",
    min_psnr: MinPsnr = None,
    roi: Annotated[
        Path | None,
        path_option(help="Regions of interest: GeoJSON in full-resolution pixels, as QuPath exports it, also as .gz."),
    ] = None,
    roi_psnr: Annotated[
        float | None,
        typer.Option(help="The floor in dB of every square of 256 px of the blocks that a region touches."),
    ] = None,
    roi_origin: Annotated[
        Origin | None,
        typer.Option(
            help="Where the regions are counted from: bounds, the corner of the scanned part (openslide.bounds-*), "
            "as in QuPath; or slide, the slide's own corner. Must be said where these differ."
        ),
    ] = None,
    rest_loss: Annotated[
        float,
        typer.Option(
            help="With --roi and a ratio: the most dB that a block of tissue outside the regions may lose against the "
            "same encode without regions. What would cost more is refused."
        ),
    ] = EncodeSettings.rest_loss_db,
    enhancement: Annotated[
        TileCodec | None,
        typer.Option(help="Codec of the enhancement layer. Default: av1 for an av1 base, else jp2k."),
    ] = None,
    keep_original: KeepOriginal = False,
    deidentify: Deidentify = False,
    series: Series = None,
    on_damage: WhenDamaged = "refuse",
    mpp: Mpp = None,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Encode a slide, or many: files, patterns and folders; one that fails does not stop the others."""
    # Said in the words of the options and before the slide is opened; everything else EncodeSettings checks.
    if ratio is not None and quality is not None:
        raise typer.BadParameter("give --ratio or --quality, not both")
    if archive and embed_generator is False:
        raise typer.BadParameter("--archive stores the generator: it cannot go with --no-embed-generator")
    if (roi is None) != (roi_psnr is None):
        raise typer.BadParameter("--roi and --roi-psnr go together")
    if roi_origin is not None and roi is None:
        raise typer.BadParameter("--roi-origin says how --roi counts: give both")
    is_one = is_one_file(slides)
    if output is not None and (output_dir is not None or not is_one):
        raise typer.BadParameter("--output names the file of one slide; --output-dir is for several")
    if roi is not None and not is_one:
        raise typer.BadParameter("--roi has the regions of one slide")
    tuner = None if tune is None else _slide_tuner(tune, seed, device)

    def encode_one(pair: Pair) -> EncodeReport:
        slide, target = pair[0].location, pair[1]
        with open_source(slide, mpp=mpp, series=series, on_damage=on_damage) as source:
            settings = EncodeSettings(
                base=base,
                codec=codec,
                effort=effort,
                downsampling=downsampling,
                ratio=EncodeSettings.ratio if ratio is quality is min_psnr is None else ratio,
                quality=quality,
                embed_generator=embed_generator,
                archive=archive,
                verify=verify,
                min_psnr_db=min_psnr,
                regions=None if roi is None else _regions(roi, source, roi_origin),
                roi_psnr_db=roi_psnr,
                rest_loss_db=rest_loss,
                enhancement_codec=enhancement,
                deidentify=deidentify,
                keep_original=keep_original,
                seed=seed,
            )
            chosen = generator_for(source, settings, generator, device)
            report = encode(source, target, chosen, settings, tuner=tuner, overwrite=overwrite, progress=progress)
        LOG.debug("%s: %d bytes of %d", target, report.size_bytes, report.source_bytes)
        for note in report.notes:
            LOG.debug("note: %s", note)
        return report

    with running(verbose, log, workers, lost="what is done stays" if not is_one else "nothing was written") as progress:
        found = find(slides, "slides", selection_of(recursive, include, exclude))
        pairs = [(each, output) for each in found] if output else targets(found, output_dir, CONTAINER)
        if skip_existing:
            pairs = [pair for pair in pairs if not pair[1].exists()]
        elif not overwrite and not is_one:
            refuse_existing(pairs)
        if output_dir is not None:
            make_folders(pairs)
        if is_one and pairs:
            report = encode_one(pairs[0])
        elif not is_one:
            facts: list[dict[str, object]] = []

            def done(_: Pair, report: EncodeReport) -> None:
                facts.append(encode_info(report))
                if not as_json:
                    say(_line(report))

            failures = one_by_one(pairs, encode_one, lambda pair: pair[0].location, done)
    if not is_one:
        if as_json:
            print_json(facts)
        end_of_many(failures, len(pairs))
    if pairs:
        print_facts(encode_info(report), as_json)


def _line(report: EncodeReport) -> str:
    """Return what is said of one slide of many."""
    measured = report.psnr_db
    quality = "" if measured is None else f", PSNR {measured.mean:.2f} dB, lowest {measured.worst:.2f} dB"
    return f"{report.path}: {report.size_bytes} bytes, {report.ratio_to_source:.4g} times smaller{quality}"


def generator_for(source: Source, settings: EncodeSettings, name: str | None, device: str) -> Generator | None:
    """Return the generator that is named, or the default one if it has to run elsewhere than on the CPU."""
    wanted: str | Package | None = name
    if name is None and device != "cpu" and settings.base != "auto":
        wanted = default_package(base_scale(source, settings.base or "10x"), settings.codec)
    return None if wanted is None else load_generator(wanted, device=device)


def _slide_tuner(seconds: float, seed: int, device: str) -> Tuner:
    """Return what trains the generator on with the slide that is encoded."""
    from ..training.tuning.slides import SlideTuner  # imports torch
    from ..training.tuning.tune import TuneSettings

    return SlideTuner(TuneSettings(seconds=seconds, seed=seed), device=device)


def _regions(path: Path, source: Source, choice: Origin | None) -> RegionsOfInterest:
    """Read the regions of interest, moved to the slide's own corner. Raises SettingsError."""
    origin = chosen_origin(source.properties, choice)
    check_origin(origin, source.properties)
    return RegionsOfInterest.read(path, source.size, origin=origin)
