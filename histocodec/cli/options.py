"""Options that several commands share, and how results are printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..format.entries import Tier as FileTier
from ..geometry import Region
from .info import printable, render

Tier = Literal["base", "reconstructed", "bounded", "original"]
"""Extent of decoding: the base as stored, predicted, corrected by the enhancement layer, or the source's own pixels."""


def path(text: str | Path) -> Path:
    """Parse a path of the command line. Help derives the name of the type from this function's name."""
    if not str(text):
        raise typer.BadParameter("expected a path, found an empty text")
    return Path(text)


def path_argument(*, help: str) -> Any:  # noqa: A002
    """Declare an argument that is a path."""
    return typer.Argument(parser=path, help=help)


def path_or_url(text: str) -> str:
    """Parse a path or URL of the command line. Help derives the name of the type from this function's name."""
    if not text:
        raise typer.BadParameter("expected a path or URL, found an empty text")
    return text


def location_argument(*, help: str) -> Any:  # noqa: A002
    """Declare an argument that is a path or URL."""
    return typer.Argument(parser=path_or_url, help=help)


def path_option(*names: str, help: str, **more: Any) -> Any:  # noqa: A002
    """Declare an option that is a path."""
    return typer.Option(*names, parser=path, help=help, **more)


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Device = Annotated[str, typer.Option(help="Where the network runs, as torch names it: cpu, cuda, mps.")]
DecodingGenerator = Annotated[
    str | None, typer.Option(help="bicubic to do without the network, or the named generator's package.")
]
Models = Annotated[
    Path | None,
    path_option(
        metavar="DIR",
        help="A folder of packages, for a generator that neither lies in the file nor ships. HISTOCODEC_MODELS and "
        "the folder `models` beside the file are searched as well.",
    ),
]
Seed = Annotated[int, typer.Option(help="Seed for the random choice of sampled blocks.", min=0)]
Series = Annotated[int | None, typer.Option(help="Which picture, where a slide's file holds several, from 0.", min=0)]
Mpp = Annotated[float | None, typer.Option(help="Micrometres per pixel, where the slide does not state them.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more on stderr: versions, cores, each stage.")]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Use at most N cores. Default: all.")]
Log = Annotated[
    Path | None,
    path_option(metavar="FILE", help="Append progress, notes and errors to a log, with the time."),
]


def say(text: str) -> None:
    """Print a line on stdout; control characters, which names of files can hold, as escapes."""
    typer.echo(printable(text))


def parsed_region(text: str | None) -> Region | None:
    """Parse `x,y,width,height`, full pixels; None stays None. Raises BadParameter, a usage error."""
    if text is None:
        return None
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--region takes x,y,width,height in whole pixels, found {text}") from None
    return Region(x, y, width, height)


def print_facts(facts: dict[str, object], as_json: bool) -> None:
    """Print facts on stdout: as JSON, or as aligned lines."""
    if as_json:
        print_json(facts)
    else:
        typer.echo(render(facts))


def print_json(value: object) -> None:
    """Print JSON on stdout; a character that the console lacks is written as its JSON escape."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=1)
    typer.echo(text)


def decoder_tier(tier: Tier | None) -> FileTier | None:
    """Return how far a decoder goes for a tier of the command line; of a base nothing is predicted anyway."""
    return None if tier == "base" else tier
