"""`decode`: a container becomes a TIFF or a picture that any program opens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..decoder import Decoder
from ..format.descriptions import OTHER_BASE
from ..format.origin import scanned_part
from ..geometry import Region
from ..runtime.progress import stage
from ..views.export import Compression, export_cache_bytes, export_picture, export_tiff
from .options import (
    DecodingGenerator,
    Device,
    Log,
    Models,
    Overwrite,
    Tier,
    Verbose,
    Workers,
    decoder_tier,
    location_argument,
    parsed_region,
    path_argument,
    say,
)
from .running import running


def decode_command(
    file: Annotated[str, location_argument(help="A .hc.tif file, or its URL.")],
    output: Annotated[Path, path_argument(help="A .tif, or a .png or .jpg picture.")],
    compression: Annotated[
        Compression | None,
        typer.Option(help="Compression of a TIFF's tiles: jpeg [default], jp2k, or lossless deflate."),
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
        typer.Option(
            help="Stop early: base (nothing predicted), reconstructed (not enhanced); or go further: original, the "
            "source's own pixels, where they are kept. Default: bounded, if the file is."
        ),
    ] = None,
    generator: DecodingGenerator = None,
    models: Models = None,
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
    if tier == "base":
        level = max(level, 1)
    part = None if region == "bounds" else parsed_region(region)
    picture = output.suffix.lower() in (".png", ".jpg", ".jpeg")
    if not picture and output.suffix.lower() not in (".tif", ".tiff"):
        raise typer.BadParameter(f"the output's name must end in .tif, .tiff, .png, .jpg or .jpeg, found {output}")
    if picture and compression is not None:
        raise typer.BadParameter("--compression is for a .tif: a .png is lossless, a .jpg is JPEG")
    with (
        running(verbose, log, workers) as progress,
        Decoder(file, generator=generator, device=device, tier=decoder_tier(tier), models=models) as decoder,
    ):
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
            decoder.cache_bytes = export_cache_bytes(decoder, level=level, region=part)
            export_tiff(
                decoder,
                output,
                compression=compression or "jpeg",
                quality=quality,
                level=level,
                region=part,
                associated=associated,
                overwrite=overwrite,
                progress=stage(progress, "decoding"),
            )
        differs = decoder.container.base_differs()
    say(f"{output}: {output.stat().st_size} bytes{f', {OTHER_BASE}' if differs else ''}")
