"""`decode`: a container becomes a slide or a picture that other programs open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..decoder import Decoder
from ..errors import SettingsError
from ..format.descriptions import OTHER_BASE
from ..format.origin import scanned_part
from ..geometry import Region
from ..runtime.progress import stage
from ..views.export import export_cache_bytes, export_slide
from ..views.formats import format_of, known_suffixes
from ..views.levels import Compression
from ..views.picture import export_picture
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
    output: Annotated[
        Path, path_argument(help="A .tif, .ome.tif, .zarr or .dcm for a slide; a .png or .jpg for a picture.")
    ],
    compression: Annotated[
        Compression | None,
        typer.Option(help="Compression of the tiles: jpeg [default], jp2k, or lossless, which a .zarr always is."),
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
        bool, typer.Option("--associated/--no-associated", help="Keep label, macro and thumbnail of a slide.")
    ] = True,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Decode to a slide that other programs read: TIFF, OME-TIFF, OME-Zarr or DICOM; or a region to a picture."""
    if tier == "base":
        level = max(level, 1)
    part = None if region == "bounds" else parsed_region(region)
    picture = output.suffix.lower() in (".png", ".jpg", ".jpeg")
    if not picture:
        try:
            format_of(output)
        except SettingsError:
            sentence = f"the output's name must end in {known_suffixes()}, or .png or .jpg, found {output}"
            raise typer.BadParameter(sentence) from None
    if picture and compression is not None:
        raise typer.BadParameter("--compression is for slides: a .png is lossless, a .jpg is JPEG")
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
            decoder.cache_bytes = export_cache_bytes(decoder, output, level=level, region=part)
            export_slide(
                decoder,
                output,
                compression=compression,
                quality=quality,
                level=level,
                region=part,
                associated=associated,
                overwrite=overwrite,
                progress=stage(progress, "decoding"),
            )
        differs = decoder.container.base_differs()
    say(f"{output}: {_size(output)} bytes{f', {OTHER_BASE}' if differs else ''}")


def _size(output: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = output.rglob("*") if output.is_dir() else [output]
    return sum(file.stat().st_size for file in files if file.is_file())
