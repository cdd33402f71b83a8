"""What is done with files that are there: `info`, `validate`, `strip`, `enhance`, `regions`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..container import Container
from ..errors import SettingsError
from ..output import atomic_output, check_output
from ..report import container_facts
from ..tiers import enhance, strip
from ..validate import validate
from .options import (
    Json,
    Overwrite,
    Tier,
    app,
    print_facts,
    progress_bar,
)


@app.command("info")
def info_command(file: Annotated[Path, typer.Argument(help="A .hc.tif file.")], as_json: Json = False) -> None:
    """Say what a file is, what it holds, and what was measured."""
    with Container(file) as container:
        print_facts(container_facts(container), as_json)


@app.command("validate")
def validate_command(
    file: Annotated[Path, typer.Argument(help="A .hc.tif file.")],
    deep: Annotated[bool, typer.Option("--deep", help="Decode every stored tile.")] = False,
    as_json: Json = False,
) -> None:
    """List every problem of a file with its code; exit code 1 if there is one."""
    with progress_bar() as progress:
        problems = validate(file, deep=deep, progress=lambda done, total: progress("checking", done, total))
    if as_json:
        typer.echo(json.dumps([{"code": p.code, "place": p.place, "sentence": p.sentence} for p in problems], indent=1))
    else:
        for problem in problems:
            typer.echo(f"{problem.code}: {problem.place}: {problem.sentence}")
        if not problems:
            typer.echo(f"{file}: valid" if deep else f"{file}: valid (--deep decodes every tile as well)")
    raise typer.Exit(1 if problems else 0)


@app.command("strip")
def strip_command(
    file: Annotated[Path, typer.Argument(help="A .hc.tif file with an enhancement layer.")],
    output: Annotated[Path, typer.Argument(help="The same without.")],
    tier: Annotated[Tier, typer.Option(help="What is left: reconstructed.")] = Tier.reconstructed,
    overwrite: Overwrite = False,
) -> None:
    """Take the enhancement layer off, without decoding: the small file to send."""
    if tier is not Tier.reconstructed:
        raise typer.BadParameter("--tier: reconstructed is what can be left; decode --tier base writes the base")
    with progress_bar() as progress:
        size = strip(file, output, overwrite=overwrite, progress=lambda d, n: progress("writing", d, n))
    typer.echo(f"{output}: {size} bytes of {file.stat().st_size}")


@app.command("enhance")
def enhance_command(
    small: Annotated[Path, typer.Argument(help="A file that was stripped.")],
    full: Annotated[Path, typer.Argument(help="The file with the enhancement layer.")],
    output: Annotated[Path, typer.Argument(help="Both together.")],
    overwrite: Overwrite = False,
) -> None:
    """Put the enhancement layer back, byte for byte."""
    with progress_bar() as progress:
        size = enhance(small, full, output, overwrite=overwrite, progress=lambda d, n: progress("writing", d, n))
    typer.echo(f"{output}: {size} bytes")


@app.command("regions")
def regions_command(
    file: Annotated[Path, typer.Argument(help="A .hc.tif file that was encoded with --roi.")],
    output: Annotated[Path, typer.Argument(help="The regions of interest, .geojson.")],
    overwrite: Overwrite = False,
) -> None:
    """Write the regions of interest of a file as GeoJSON."""
    check_output(output, overwrite=overwrite, source=file)
    with Container(file) as container:
        regions = container.regions()
    if regions is None:
        raise SettingsError(f"{file} has no regions of interest")
    with atomic_output(output, overwrite=overwrite) as out:
        out.write(regions.to_geojson())
    typer.echo(f"{output}: {len(regions.features)} regions")
