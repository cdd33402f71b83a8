"""What the commands share: the application, options of several of them, printing."""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..decoder import Decoder
from ..errors import SettingsError
from ..geometry import Region
from .info import printable, render

app = typer.Typer(
    name="histocodec",
    help="Store a histology slide as its 10x base and a learned decoder; reconstruct it on demand.",
    no_args_is_help=True,
    # Plain text, which reads the same on a terminal of any width and in a pipe.
    rich_markup_mode=None,
    context_settings={"max_content_width": 120, "help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


class Codec(enum.StrEnum):
    jp2k = "jp2k"
    avif = "avif"
    jpeg = "jpeg"


class Base(enum.StrEnum):
    x10 = "10x"
    x20 = "20x"


class BaseOrAuto(enum.StrEnum):
    x10 = "10x"
    x20 = "20x"
    auto = "auto"


class Verify(enum.StrEnum):
    sample = "sample"
    all = "all"
    none = "none"


class Tier(enum.StrEnum):
    base = "base"
    reconstructed = "reconstructed"
    bounded = "bounded"


class OnDamage(enum.StrEnum):
    refuse = "refuse"
    fill = "fill"


class Compression(enum.StrEnum):
    jpeg = "jpeg"
    deflate = "deflate"
    jp2k = "jp2k"


class RoiOrigin(enum.StrEnum):
    bounds = "bounds"
    slide = "slide"


def path(text: str | Path) -> Path:
    """A path as it is given on the command line; its name is how help shows the type."""
    if not str(text):
        raise typer.BadParameter("expected a path, found an empty text")
    return Path(text)


def path_argument(*, help: str) -> Any:  # noqa: A002
    return typer.Argument(parser=path, help=help)


def path_option(*names: str, help: str, **more: Any) -> Any:  # noqa: A002
    return typer.Option(*names, parser=path, help=help, **more)


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Device = Annotated[str, typer.Option(help="Where the network runs, as torch names it: cpu, cuda, mps.")]
Seed = Annotated[int, typer.Option(help="Draws the blocks that are looked at.", min=0)]
Series = Annotated[int | None, typer.Option(help="Which picture, where a slide's file holds several, from 0.", min=0)]
Mpp = Annotated[float | None, typer.Option(help="Micrometres per pixel, where the slide does not state them.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more on stderr: versions, cores, each stage.")]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Use at most N cores. Default: all.")]
Log = Annotated[
    Path | None,
    path_option(metavar="FILE", help="Append progress, notes and errors to a log, with the time."),
]


def say(text: str) -> None:
    """A line on stdout, whatever the names in it hold."""
    typer.echo(printable(text))


def parsed_region(text: str | None) -> Region | None:
    if text is None:
        return None
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--region takes x,y,width,height in whole pixels, found {text}") from None
    return Region(x, y, width, height)


def print_facts(facts: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        typer.echo(render(facts))


def print_json(value: object) -> None:
    """Where the console lacks a character, JSON has an escape for it."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=1)
    typer.echo(text)


def check_tier(decoder: Decoder, tier: Tier | None) -> None:
    """Raises SettingsError if the enhancement layer is asked for and cannot be applied."""
    if tier is Tier.bounded and not decoder.is_enhanced:
        reason = (
            "bicubic cannot be corrected by it"
            if decoder.is_bicubic
            else "the file has none, it is not of tier bounded"
        )
        raise SettingsError(f"{decoder.path}: no enhancement layer to apply: {reason}")
