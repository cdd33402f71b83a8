"""Options that several commands share, and how results are printed."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..errors import SettingsError
from ..format.entries import Tier as FileTier
from ..geometry import Region
from .info import printable, render

Tier = Literal["base", "reconstructed", "bounded", "original"]
"""Extent of decoding: the base as stored, predicted, corrected by the enhancement layer, or the source's own pixels."""
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


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
Sandbox = Annotated[
    bool,
    typer.Option(
        "--sandbox",
        help="The file is not trusted: decode its tiles in child processes that can open and send nothing, and whose "
        "crash is an error of the tile.",
    ),
]
Seed = Annotated[int, typer.Option(help="Seed for the random choice of sampled blocks.", min=0)]
Series = Annotated[int | None, typer.Option(help="Which picture, where a slide's file holds several, from 0.", min=0)]
Mpp = Annotated[float | None, typer.Option(help="Micrometres per pixel, where the slide does not state them.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more on stderr: versions, cores, each stage.")]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Use at most N cores. Default: all.")]
Recursive = Annotated[bool, typer.Option("--recursive", help="Look into the folders within folders as well.")]
Include = Annotated[
    list[str] | None,
    typer.Option(
        help="Of folders and patterns, take what fits PATTERN (of the name, or of the path in the folder), instead of "
        "what its end says; may be repeated.",
        metavar="PATTERN",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        help="Of folders and patterns, leave out files and folders that fit PATTERN; may be repeated.",
        metavar="PATTERN",
    ),
]
OutputDir = Annotated[
    Path | None, path_option(metavar="DIR", help="Write into this folder, with the folders that a tree has.")
]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Leave out what has an output already: to go on where a call ended.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Let a cluster of dask.distributed do it: the scheduler's address, as tcp://host:8786; or local, which "
        "starts one on this machine.",
    ),
]
Resource = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=NUMBER", help="With --scheduler: what a worker must have for a slide, as GPU=1."),
]
Log = Annotated[
    Path | None,
    path_option(metavar="FILE", help="Append progress, notes and errors to a log, with the time."),
]


def say(text: str) -> None:
    """Print a line on stdout; control characters, which names of files can hold, as escapes."""
    typer.echo(printable(text))


def parsed_bytes(text: str) -> int:
    """Return the bytes that a text like `6G` states. Raises SettingsError.

    Examples:
        >>> parsed_bytes("6G"), parsed_bytes("1.5 MiB"), parsed_bytes("4096")
        (6442450944, 1572864, 4096)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if found is None:
        raise SettingsError(f"expected a number of bytes, as 6G, found {text}")
    return round(float(found[1]) * _UNITS[found[2].upper()])


def parsed_resources(texts: list[str] | None) -> dict[str, float]:
    """Parse `NAME=NUMBER`. Raises BadParameter, a usage error."""
    found = {}
    for text in texts or ():
        name, _, number = text.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            raise typer.BadParameter(f"--resource takes NAME=NUMBER, found {text}") from None
    return found


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
