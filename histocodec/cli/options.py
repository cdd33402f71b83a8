"""What the commands share: the application, options of several of them, a progress bar, printing."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar

from ..decode import Decoder
from ..errors import HistocodecError, SettingsError
from ..geometry import Region
from ..report import render

app = typer.Typer(
    name="histocodec",
    help="Store a histology slide as its 10x base and a learned decoder; reconstruct it on demand.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Interrupted(HistocodecError):
    """Ctrl-C, where typer would say nothing."""


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


class Compression(enum.StrEnum):
    jpeg = "jpeg"
    deflate = "deflate"
    jp2k = "jp2k"


class RoiOrigin(enum.StrEnum):
    bounds = "bounds"
    slide = "slide"


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Device = Annotated[str, typer.Option(help="Where the network runs, as torch names it: cpu, cuda, mps.")]
Seed = Annotated[int, typer.Option(help="Draws the blocks that are looked at.", min=0)]
Mpp = Annotated[float | None, typer.Option(help="Micrometres per pixel, where the slide does not state them.")]


def parsed_region(text: str | None) -> Region | None:
    if text is None:
        return None
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"--region takes x,y,width,height in whole pixels, found {text}") from None
    return Region(x, y, width, height)


def print_facts(facts: dict[str, object], as_json: bool) -> None:
    typer.echo(json.dumps(facts, indent=1, ensure_ascii=False) if as_json else render(facts))


@contextmanager
def progress_bar(lost: str = "nothing was written") -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr for each stage; silent where stderr is not a terminal."""
    columns = TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with ProgressBar(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        tasks: dict[str, object] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)  # type: ignore[arg-type]

        try:
            yield progress
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; {lost}") from None


def check_tier(decoder: Decoder, tier: Tier | None) -> None:
    """Raises SettingsError if the enhancement layer is asked for and cannot be applied."""
    if tier is Tier.bounded and not decoder.is_enhanced:
        reason = (
            "bicubic cannot be corrected by it"
            if decoder.is_bicubic
            else "the file has none, it is not of tier bounded"
        )
        raise SettingsError(f"{decoder.path}: no enhancement layer to apply: {reason}")
