"""`info`, `validate`, `quality`, `compare` and `regions`: what a container holds, and how good it is."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Annotated

import typer

from ..comparison.compare import compare
from ..comparison.exact import KeptSource
from ..decoder import Decoder
from ..errors import SettingsError
from ..format.origin import CORNER, Origin, bounds_corner
from ..format.reader import Container
from ..runtime.files import atomic_output, check_output
from ..runtime.progress import stage
from ..source import OnDamage, open_source
from ..validation import validate
from .info import container_info
from .options import (
    DecodingGenerator,
    Device,
    Json,
    Log,
    Models,
    Mpp,
    Overwrite,
    Seed,
    Series,
    Tier,
    Verbose,
    Workers,
    decoder_tier,
    location_argument,
    path_argument,
    path_option,
    print_facts,
    print_json,
    say,
)
from .running import running


def info_command(
    file: Annotated[str, location_argument(help="A .hc.tif file, or its URL.")], as_json: Json = False
) -> None:
    """Say what a file is, what it holds, and what was measured."""
    with Container(file) as container:
        print_facts(container_info(container), as_json)


def validate_command(
    file: Annotated[str, location_argument(help="A .hc.tif file, or its URL.")],
    deep: Annotated[bool, typer.Option("--deep", help="Decode every stored tile.")] = False,
    models: Models = None,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """List every problem of a file with its code; exit code 1 if there is one."""
    with running(verbose, log, workers) as progress:
        problems = validate(file, deep=deep, models=models, progress=stage(progress, "checking"))
    if as_json:
        print_json([{"code": p.code, "place": p.place, "sentence": p.sentence} for p in problems])
    else:
        for problem in problems:
            say(f"{problem.code}: {problem.place}: {problem.sentence}")
        if not problems:
            with Container(file) as container:
                name, places = container.path, container.manifest.slide.damaged or ()
            say(f"{name}: valid" if deep else f"{name}: valid (--deep decodes every tile as well)")
            if places:
                say(f"{name}: places where the slide was damaged, and background stands: {len(places)} (info)")
    raise typer.Exit(1 if problems else 0)


def quality_command(
    file: Annotated[str, location_argument(help="A .hc.tif file, or its URL.")],
    output: Annotated[Path | None, path_argument(help="The picture, .png.")] = None,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Measure every block of tissue against the original that the file keeps."),
    ] = False,
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Draw the measured quality of a file over its slide, the worst blocks marked; or measure it exactly."""
    if output is None and not exact:
        raise typer.BadParameter("say where the picture goes, or --exact, which prints what it measures")
    if output is not None and output.suffix.lower() != ".png":
        raise typer.BadParameter(f"the picture's name must end in .png, found {output}")
    if output is not None:
        check_output(output, overwrite=overwrite, source=Path(file))
    if exact:
        with running(verbose, log, workers) as progress, KeptSource(file) as source, Decoder(file) as decoder:
            measured = compare(source, decoder, progress=stage(progress, "comparing"))
        print_facts(measured.facts(), as_json)
    if output is None:
        return
    from ..comparison.heatmap import quality_picture  # imports matplotlib

    coded = io.BytesIO()
    with running(verbose, log, workers):
        with Decoder(file) as decoder:
            quality_picture(decoder).save(coded, "PNG")
        with atomic_output(output, overwrite=overwrite) as out:
            out.write(coded.getbuffer())
    say(f"{output}: {output.stat().st_size} bytes")


def compare_command(
    slide: Annotated[Path, path_argument(help="The original.")],
    file: Annotated[str, location_argument(help="The .hc.tif file that was made of it, or its URL.")],
    html: Annotated[Path | None, path_option(help="Write a report with pictures, one file, .html.")] = None,
    min_psnr: Annotated[
        float | None, typer.Option(help="Exit with 1 if a square of a block is below so many dB.")
    ] = None,
    all_blocks: Annotated[bool, typer.Option("--all", help="Compare glass as well.")] = False,
    count: Annotated[
        int | None, typer.Option(help="So many blocks, spread over the slide. Default: every one.")
    ] = None,
    tier: Annotated[
        Tier | None, typer.Option(help="reconstructed: without the enhancement layer. Default: with all there is.")
    ] = None,
    generator: DecodingGenerator = None,
    models: Models = None,
    seed: Seed = 0,
    series: Series = None,
    mpp: Mpp = None,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """Compare a slide with what its file decodes to, block by block."""
    if min_psnr is not None and not math.isfinite(min_psnr):
        raise typer.BadParameter(f"--min-psnr: expected a number of dB, found {min_psnr}")
    if tier == "base":
        raise typer.BadParameter("--tier: nothing is reconstructed of a base alone that could be compared")
    if html is not None:
        check_output(html, overwrite=overwrite, source=slide)
        check_output(html, overwrite=overwrite, source=Path(file))
    with (
        running(verbose, log, workers) as progress,
        Decoder(file, generator=generator, device=device, tier=decoder_tier(tier), models=models) as decoder,
        open_source(slide, mpp=mpp, series=series, on_damage=_as_encoded(decoder)) as source,
    ):
        comparison = compare(
            source,
            decoder,
            # A floor is promised of glass as well.
            blocks="all" if all_blocks or min_psnr is not None else "tissue",
            count=count,
            seed=seed,
            progress=stage(progress, "comparing"),
        )
        if html is not None:
            from ..comparison.page import html_report  # imports matplotlib

            page = html_report(source, decoder, comparison, floor_db=min_psnr)
            with atomic_output(html, overwrite=overwrite) as out:
                out.write(page)
    below = [] if min_psnr is None else comparison.below(min_psnr)
    facts = comparison.facts()
    if min_psnr is not None:
        facts["below_floor"] = [comparison.block_facts(block) for block in below]
    if as_json:
        facts["all_blocks"] = [comparison.block_facts(block) for block in comparison.blocks]
    print_facts(facts, as_json)
    raise typer.Exit(1 if below else 0)


def regions_command(
    file: Annotated[str, location_argument(help="A .hc.tif file that was encoded with --roi, or its URL.")],
    output: Annotated[Path, path_argument(help="The regions of interest, .geojson.")],
    roi_origin: Annotated[
        Origin | None,
        typer.Option(
            help="Where they are counted from: bounds, the corner of the original's scanned part, as in QuPath; or "
            "slide, the slide's own corner, as in what decode writes. Default: as they were given to encode."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the regions of interest of a file as GeoJSON."""
    check_output(output, overwrite=overwrite, source=Path(file))
    with Container(file) as container:
        regions, manifest = container.regions(), container.manifest
    if regions is None:
        raise SettingsError(f"{container.path} has no regions of interest")
    corner = bounds_corner(manifest.slide.properties)
    origin = regions.origin or CORNER
    if roi_origin is not None:
        origin = corner if roi_origin == "bounds" else CORNER
    with atomic_output(output, overwrite=overwrite) as out:
        out.write(regions.to_geojson(origin))
    counted = "" if corner == CORNER else f", counted from {origin[0]}, {origin[1]} of the slide"
    say(f"{output}: {len(regions.features)} regions{counted}")


def _as_encoded(decoder: Decoder) -> OnDamage:
    """Return what `encode` did where the slide could not be read, so that both sides get the same pixels."""
    return "fill" if decoder.manifest.slide.damaged else "refuse"
