"""`info`, `validate`, `quality`, `compare` and `regions`: what a container holds, and how good it is."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..archive.discovery import find, is_one_file
from ..archive.targets import distinct
from ..comparison.compare import compare
from ..comparison.exact import KeptSource
from ..decoder import Decoder
from ..errors import Problem, SettingsError
from ..format.origin import CORNER, Origin, bounds_corner
from ..format.reader import Container
from ..runtime.byte_source import is_url
from ..runtime.files import atomic_output, check_output
from ..runtime.progress import StageProgress, silent, stage
from ..source import OnDamage, open_source
from ..validation import validate
from .info import container_info
from .many import Failures, end_of_many, on_cluster, one_by_one, selection_of
from .options import (
    DecodingGenerator,
    Device,
    Exclude,
    Include,
    Json,
    Log,
    Models,
    Mpp,
    Overwrite,
    Recursive,
    Resource,
    Sandbox,
    Scheduler,
    Seed,
    Series,
    Tier,
    Verbose,
    Workers,
    decoder_tier,
    location_argument,
    parsed_resources,
    path_argument,
    path_option,
    print_facts,
    print_json,
    say,
)
from .running import running


def info_command(
    files: Annotated[
        list[str], location_argument(help=".hc.tif files, or their URLs; patterns, or folders of such files.")
    ],
    recursive: Recursive = False,
    include: Include = None,
    exclude: Exclude = None,
    as_json: Json = False,
) -> None:
    """Say what a file is, what it holds, and what was measured; of many, one after the other."""
    if is_one_file(files):
        print_facts(_info(files[0]), as_json)
        return
    found = _containers(files, recursive, include, exclude)
    facts: list[dict[str, object]] = []

    def done(_: str | Path, told: dict[str, object]) -> None:
        if not as_json:
            if facts:
                say("")
            print_facts(told, as_json)
        facts.append(told)

    failures = one_by_one(found, _info, lambda file: file, done)
    if as_json:
        print_json(facts)
    end_of_many(failures, len(found))


def validate_command(
    files: Annotated[
        list[str], location_argument(help=".hc.tif files, or their URLs; patterns, or folders of such files.")
    ],
    recursive: Recursive = False,
    include: Include = None,
    exclude: Exclude = None,
    deep: Annotated[bool, typer.Option("--deep", help="Decode every stored tile.")] = False,
    models: Models = None,
    sandbox: Sandbox = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    resource: Resource = None,
    verbose: Verbose = False,
    log: Log = None,
    as_json: Json = False,
) -> None:
    """List every problem of a file with its code; exit code 1 if there is one. Of many files, 3 if one is not valid."""
    is_one = is_one_file(files)
    if is_one and scheduler is not None:
        raise typer.BadParameter("--scheduler is for several files")
    with running(verbose, log, workers) as progress:
        found = files if is_one else _containers(files, recursive, include, exclude)
        facts: list[dict[str, object]] = []
        invalid: Failures = []

        def check(file: str | Path, told: StageProgress = silent) -> list[Problem]:
            return validate(file, deep=deep, models=models, sandbox=sandbox, progress=told)

        def done(file: str | Path, problems: list[Problem]) -> None:
            listed = [{"code": p.code, "place": p.place, "sentence": p.sentence} for p in problems]
            facts.append({"file": str(file), "problems": listed})
            if problems:
                invalid.append((file, f"not valid, problems: {len(problems)}"))
            if not as_json:
                _say_problems(file, problems, deep=deep, named=not is_one)

        if is_one:
            done(files[0], check(files[0], stage(progress, "checking")))
        elif scheduler is None:
            invalid += one_by_one(found, lambda file: check(file, stage(progress, "checking")), lambda file: file, done)
        else:
            everywhere = [file if is_url(file) else Path(file).absolute() for file in found]
            invalid += on_cluster(scheduler, parsed_resources(resource), everywhere, check, lambda file: file, done)
    if as_json:
        print_json(facts[0]["problems"] if is_one else facts)
    if not is_one:
        end_of_many(invalid, len(found))
    raise typer.Exit(1 if invalid else 0)


def _info(file: str | Path) -> dict[str, object]:
    with Container(file) as container:
        return container_info(container)


def _containers(
    files: Sequence[str], recursive: bool, include: Sequence[str] | None, exclude: Sequence[str] | None
) -> list[str | Path]:
    """Return the files that are meant. Raises MissingFile for a folder or pattern that has none."""
    found = find(files, "containers", selection_of(recursive, include, exclude))
    return [each.location for each in distinct(found)]


def _say_problems(file: str | Path, problems: Sequence[Problem], *, deep: bool, named: bool) -> None:
    """Print the problems of a file, or that there are none. named: with its name before each."""
    for problem in problems:
        say(f"{f'{file}: ' if named else ''}{problem.code}: {problem.place}: {problem.sentence}")
    if not problems:
        with Container(file) as container:
            name, places = container.path, container.manifest.slide.damaged or ()
        say(f"{name}: valid" if deep else f"{name}: valid (--deep decodes every tile as well)")
        if places:
            say(f"{name}: places where the slide was damaged, and background stands: {len(places)} (info)")


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
