"""`decode`: a container becomes a slide or a picture that other programs open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..archive.discovery import find
from ..archive.targets import make_folders, refuse_existing, targets
from ..decoder import Decoder
from ..errors import SettingsError
from ..format.descriptions import OTHER_BASE
from ..format.origin import scanned_part
from ..geometry import Region
from ..runtime.progress import StageProgress, silent, stage
from ..views.export import export_cache_bytes, export_slide
from ..views.formats import format_of, known_suffixes
from ..views.levels import Compression
from ..views.picture import export_picture
from .many import end_of_many, on_cluster, one_by_one, selection_of
from .options import (
    DecodingGenerator,
    Device,
    Exclude,
    Include,
    Log,
    Models,
    OutputDir,
    Overwrite,
    Recursive,
    Resource,
    Sandbox,
    Scheduler,
    SkipExisting,
    Tier,
    Verbose,
    Workers,
    decoder_tier,
    location_argument,
    parsed_region,
    parsed_resources,
    path,
    say,
)
from .running import running

_PICTURES = (".png", ".jpg", ".jpeg")


def decode_command(
    files: Annotated[
        list[str],
        location_argument(
            help="A .hc.tif file, or its URL, and behind it the output: a .tif, .ome.tif, .zarr or .dcm for a slide; a "
            ".png or .jpg for a picture. With --output-dir as many files as there are, patterns and folders."
        ),
    ],
    output_dir: OutputDir = None,
    suffix: Annotated[
        str, typer.Option(help="With --output-dir: the end of each name, which tells the format.", metavar="END")
    ] = ".tif",
    recursive: Recursive = False,
    include: Include = None,
    exclude: Exclude = None,
    skip_existing: SkipExisting = False,
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
    sandbox: Sandbox = False,
    overwrite: Overwrite = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    resource: Resource = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Decode to a slide that other programs read: TIFF, OME-TIFF, OME-Zarr or DICOM; or a region to a picture."""
    if tier == "base":
        level = max(level, 1)
    part = None if region == "bounds" else parsed_region(region)
    named = _named_output(files) if output_dir is None else None
    if named is not None and scheduler is not None:
        raise typer.BadParameter("--scheduler is for several files: say --output-dir")
    picture = named is not None and named.suffix.lower() in _PICTURES
    if not picture:
        _check_format(named or Path(f"slide{suffix}"))
    if picture and compression is not None:
        raise typer.BadParameter("--compression is for slides: a .png is lossless, a .jpg is JPEG")

    def decode_one(file: str | Path, output: Path, told: StageProgress) -> str:
        """Decode one file; return what is said of it."""
        area = part
        with Decoder(
            file, generator=generator, device=device, tier=decoder_tier(tier), models=models, sandbox=sandbox
        ) as decoder:
            if region == "bounds":
                scanned = scanned_part(decoder.manifest.slide.properties)
                area = None if scanned is None else Region(*scanned).clipped(decoder.levels[0])
            if picture:
                export_picture(
                    decoder,
                    output,
                    quality=None if quality is None else round(quality),
                    level=level,
                    region=area,
                    overwrite=overwrite,
                )
            else:
                decoder.cache_bytes = export_cache_bytes(decoder, output, level=level, region=area)
                export_slide(
                    decoder,
                    output,
                    compression=compression,
                    quality=quality,
                    level=level,
                    region=area,
                    associated=associated,
                    overwrite=overwrite,
                    progress=told,
                )
            differs = decoder.container.base_differs()
        return f"{output}: {_size(output)} bytes{f', {OTHER_BASE}' if differs else ''}"

    with running(verbose, log, workers) as progress:
        if named is not None:
            said = decode_one(files[0], named, stage(progress, "decoding"))
        else:
            found = find(files, "containers", selection_of(recursive, include, exclude))
            pairs = targets(found, output_dir, suffix)
            if skip_existing:
                pairs = [pair for pair in pairs if not pair[1].exists()]
            elif not overwrite:
                refuse_existing(pairs)
            make_folders(pairs)
            if scheduler is None:
                failures = one_by_one(
                    pairs,
                    lambda pair: decode_one(pair[0].location, pair[1], stage(progress, "decoding")),
                    lambda pair: pair[0].location,
                    lambda _, told: say(told),
                )
            else:
                failures = on_cluster(
                    scheduler,
                    parsed_resources(resource),
                    pairs,
                    lambda pair: decode_one(pair[0].elsewhere, pair[1].absolute(), silent),
                    lambda pair: pair[0].location,
                    lambda _, told: say(told),
                )
    if named is None:
        end_of_many(failures, len(pairs))
    say(said)


def _named_output(files: Sequence[str]) -> Path:
    """Return the output, which stands behind the file. Raises BadParameter for anything else, a usage error."""
    if len(files) != 2:
        raise typer.BadParameter(f"expected a file and its output, found {len(files)}; --output-dir is for several")
    return path(files[1])


def _check_format(output: Path) -> None:
    """Raise BadParameter for a name that tells no format."""
    try:
        format_of(output)
    except SettingsError:
        sentence = f"the output's name must end in {known_suffixes()}, or .png or .jpg, found {output}"
        raise typer.BadParameter(sentence) from None


def _size(output: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = output.rglob("*") if output.is_dir() else [output]
    return sum(file.stat().st_size for file in files if file.is_file())
