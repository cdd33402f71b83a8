"""`encode`, `decode` and `tune`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ..decoder import Decoder
from ..encoder.pipeline import EncodeSettings, encode
from ..encoder.plan import base_scale
from ..encoder.tuned_decoder import Tuner
from ..format.origin import check_origin, chosen_origin, scanned_part
from ..format.regions import RegionsOfInterest
from ..generators.catalogue import default_generator, default_package, load_generator
from ..generators.package import Package
from ..geometry import Region
from ..runtime.files import atomic_output, check_output
from ..runtime.progress import stage
from ..source import Source, open_source
from ..views.export import export_picture, export_tiff
from .info import encode_info, tuned_info
from .options import (
    Base,
    BaseOrAuto,
    Codec,
    Compression,
    Device,
    Json,
    Log,
    Mpp,
    OnDamage,
    Overwrite,
    RoiOrigin,
    Seed,
    Series,
    Tier,
    Verbose,
    Verify,
    Workers,
    app,
    check_tier,
    parsed_region,
    path_argument,
    path_option,
    print_facts,
    say,
)
from .running import LOG, running


@app.command("encode")
def encode_command(
    slide: Annotated[Path, path_argument(help="Any slide that OpenSlide, tifffile or libvips reads.")],
    output: Annotated[Path | None, path_option("-o", "--output", help="Default: SLIDE's name, .hc.tif.")] = None,
    ratio: Annotated[
        float | None, typer.Option(help="Output bytes: at most the slide's divided by this. [default: 16]")
    ] = None,
    quality: Annotated[float | None, typer.Option(help="Instead of a ratio: quality on the codec's scale.")] = None,
    base: Annotated[
        BaseOrAuto, typer.Option(help="Magnification of the stored base; auto tries both on some tissue.")
    ] = BaseOrAuto.x10,
    codec: Annotated[
        Codec, typer.Option(help="Of the base: jp2k opens in OpenSlide and QuPath, avif is smallest, jpeg oldest.")
    ] = Codec.jp2k,
    downsampling: Annotated[
        str | None,
        typer.Option(
            help="How the base is made: box (the average), a shipped downsampler, or a package's path. "
            "Default: as the generator was trained."
        ),
    ] = None,
    generator: Annotated[
        str | None, typer.Option(help="A shipped generator, bicubic-x2, bicubic-x4, or a model package's path.")
    ] = None,
    embed_generator: Annotated[
        bool | None,
        typer.Option(
            "--embed-generator/--no-embed-generator",
            help="Store the generator in the file. Default: if it takes less than 1 % of it.",
        ),
    ] = None,
    tune: Annotated[
        float | None,
        typer.Option(
            help="Train the generator on with this slide's own tissue for so many seconds, and embed it if it "
            "earns its bytes.",
            metavar="SECONDS",
        ),
    ] = None,
    seed: Seed = 0,
    verify: Annotated[Verify, typer.Option(help="Measure the reconstruction against the slide.")] = Verify.sample,
    min_psnr: Annotated[
        float | None,
        typer.Option(
            help="A floor in dB for every square of 256 px: what falls short is corrected by an enhancement layer. "
            "Without --ratio or --quality the file takes the fewest bytes that this needs."
        ),
    ] = None,
    roi: Annotated[
        Path | None,
        path_option(help="Regions of interest: GeoJSON in full-resolution pixels, as QuPath exports it, also as .gz."),
    ] = None,
    roi_psnr: Annotated[
        float | None,
        typer.Option(help="The floor in dB of every square of 256 px of the blocks that a region touches."),
    ] = None,
    roi_origin: Annotated[
        RoiOrigin | None,
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
        Codec | None, typer.Option(help="Of the enhancement layer. Default: avif for an avif base, else jp2k.")
    ] = None,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Drop label, macro and every property that can carry identity.")
    ] = False,
    series: Series = None,
    on_damage: Annotated[
        OnDamage, typer.Option(help="Where the slide cannot be decoded: give up, or fill in the background and say so.")
    ] = OnDamage.refuse,
    mpp: Mpp = None,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Encode a slide."""
    if ratio is not None and quality is not None:
        raise typer.BadParameter("give --ratio or --quality, not both")
    if (roi is None) != (roi_psnr is None):
        raise typer.BadParameter("--roi and --roi-psnr go together")
    if roi_origin is not None and roi is None:
        raise typer.BadParameter("--roi-origin says how --roi counts: give both")
    free = min_psnr is None
    tuner = None if tune is None else _slide_tuner(tune, seed, device)
    with (
        running(verbose, log, workers) as progress,
        open_source(slide, mpp=mpp, series=series, on_damage=on_damage.value) as source,
    ):
        target = output or _default_output(slide)
        settings = EncodeSettings(
            base=base.value,
            codec=codec.value,
            downsampling=downsampling,
            ratio=16.0 if ratio is None and quality is None and free else ratio,
            quality=quality,
            embed_generator=embed_generator,
            verify=verify.value,
            min_psnr_db=min_psnr,
            regions=None if roi is None else _regions(roi, source, roi_origin),
            roi_psnr_db=roi_psnr,
            rest_loss_db=rest_loss,
            enhancement_codec=enhancement.value if enhancement else None,
            deidentify=deidentify,
            seed=seed,
        )
        wanted: str | Package | None = generator
        if generator is None and device != "cpu" and settings.base != "auto":
            wanted = default_package(base_scale(source, settings.base), settings.codec)
        chosen = None if wanted is None else load_generator(wanted, device=device)
        report = encode(source, target, chosen, settings, tuner=tuner, overwrite=overwrite, progress=progress)
        LOG.debug("%s: %d bytes of %d", target, report.size_bytes, report.source_bytes)
        for note in report.notes:
            LOG.debug("note: %s", note)
    print_facts(encode_info(report), as_json)


@app.command("decode")
def decode_command(
    file: Annotated[Path, path_argument(help="A .hc.tif file.")],
    output: Annotated[Path, path_argument(help="A .tif, or a .png or .jpg picture.")],
    compression: Annotated[
        Compression | None, typer.Option(help="Of a TIFF's tiles: jpeg [default], jp2k, or lossless deflate.")
    ] = None,
    quality: Annotated[
        float | None, typer.Option(help="jpeg: 1 to 100 [default: 85, 90 for a .jpg]; jp2k: PSNR in dB [default: 40].")
    ] = None,
    level: Annotated[int, typer.Option(help="The finest level to write: 0 is the full resolution.")] = 0,
    region: Annotated[
        str | None,
        typer.Option(
            help="x,y,width,height in full-resolution pixels; or bounds, the scanned part of a slide that states one: "
            "annotations that QuPath made on the original then fit."
        ),
    ] = None,
    tier: Annotated[
        Tier | None,
        typer.Option(help="Stop early: base (nothing predicted), reconstructed (not enhanced). Default: all there is."),
    ] = None,
    generator: Annotated[
        str | None, typer.Option(help="bicubic to do without the network, or the named generator's package.")
    ] = None,
    associated: Annotated[
        bool, typer.Option("--associated/--no-associated", help="Keep label, macro and thumbnail in a .tif.")
    ] = True,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Decode to a pyramidal TIFF, or a region to a picture."""
    if tier is Tier.base:
        level = max(level, 1)
    part = None if region == "bounds" else parsed_region(region)
    picture = output.suffix.lower() in (".png", ".jpg", ".jpeg")
    if not picture and output.suffix.lower() not in (".tif", ".tiff"):
        raise typer.BadParameter(f"the output's name must end in .tif, .tiff, .png, .jpg or .jpeg, found {output}")
    if picture and compression is not None:
        raise typer.BadParameter("--compression is for a .tif: a .png is lossless, a .jpg is JPEG")
    enhanced = tier in (None, Tier.bounded)
    with (
        running(verbose, log, workers) as progress,
        Decoder(file, generator=generator, device=device, enhancement=enhanced) as decoder,
    ):
        check_tier(decoder, tier)
        if region == "bounds":
            scanned = scanned_part(decoder.manifest.slide.properties)
            part = None if scanned is None else Region(*scanned).clipped(decoder.levels[0])
        if picture:
            export_picture(
                decoder,
                output,
                quality=None if quality is None else round(quality),
                level=level,
                region=part,
                overwrite=overwrite,
            )
        else:
            export_tiff(
                decoder,
                output,
                compression=compression.value if compression else "jpeg",
                quality=quality,
                level=level,
                region=part,
                associated=associated,
                overwrite=overwrite,
                progress=stage(progress, "decoding"),
            )
    say(f"{output}: {output.stat().st_size} bytes")


@app.command("tune")
def tune_command(
    slides: Annotated[list[Path], path_argument(help="Slides of one scanner.")],
    output: Annotated[Path, path_option("-o", "--output", help="The model package, .safetensors.")],
    seconds: Annotated[float, typer.Option(help="Time for the training itself; the slides are encoded before.")] = 600,
    steps: Annotated[
        int | None, typer.Option(help="Exactly so many steps, to repeat a run whose package states them.")
    ] = None,
    seed: Seed = 0,
    name: Annotated[str | None, typer.Option(help="Of the generator. Default: the start's name, -tuned.")] = None,
    ratio: Annotated[float, typer.Option(help="Of the files that it is meant for, as in encode.")] = 16.0,
    base: Annotated[Base, typer.Option(help="Magnification of the stored base.")] = Base.x10,
    codec: Annotated[Codec, typer.Option(help="Of the base.")] = Codec.jp2k,
    downsampling: Annotated[str | None, typer.Option(help="How the bases are made, as in encode.")] = None,
    generator: Annotated[
        str | None, typer.Option(help="What to start from: a shipped generator or a model package's path.")
    ] = None,
    mpp: Mpp = None,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Tune a generator to a scanner, once; what comes out is for `encode --generator`."""
    from ..training.tuning.slides import tune_to_slides  # imports torch, which most commands do without
    from ..training.tuning.tune import TuneSettings

    settings = TuneSettings(seconds=seconds, steps=steps, seed=seed)
    encoding = EncodeSettings(
        base=base.value, codec=codec.value, downsampling=downsampling, ratio=ratio, verify="none", seed=seed
    )
    check_output(output, overwrite=overwrite)
    with ExitStack() as stack:
        progress = stack.enter_context(running(verbose, log, workers))
        sources = [stack.enter_context(open_source(slide, mpp=mpp)) for slide in slides]
        chosen = (
            default_generator(base_scale(sources[0], base.value), codec.value)
            if generator is None
            else load_generator(generator, device=device)
        )
        tuned = tune_to_slides(sources, chosen, settings, encoding, name=name, device=device, progress=progress)
    with atomic_output(output, overwrite=overwrite) as file:
        file.write(tuned.package.data)
    print_facts(tuned_info(tuned.package, output), as_json)


def _slide_tuner(seconds: float, seed: int, device: str) -> Tuner:
    from ..training.tuning.slides import SlideTuner  # imports torch
    from ..training.tuning.tune import TuneSettings

    return SlideTuner(TuneSettings(seconds=seconds, seed=seed), device=device)


def _regions(path: Path, source: Source, choice: RoiOrigin | None) -> RegionsOfInterest:
    origin = chosen_origin(source.properties, choice.value if choice else None)
    check_origin(origin, source.properties)
    return RegionsOfInterest.read(path, source.size, origin=origin)


def _default_output(slide: Path) -> Path:
    return slide.with_name(slide.name.removesuffix(slide.suffix) + ".hc.tif")
