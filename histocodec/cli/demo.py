"""`demo`: the whole codec in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..demo.run import run_demo
from .options import Log, Mpp, Overwrite, Verbose, Workers, path_argument, path_option, print_facts
from .running import running


def demo_command(
    slide: Annotated[Path | None, path_argument(help="A slide. Default: a synthetic one is made.")] = None,
    output: Annotated[Path, path_option("-o", "--output", help="The picture.")] = Path("demo.png"),
    mpp: Mpp = None,
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Encode, validate and decode a slide, and draw what came out."""
    if output.suffix.lower() != ".png":
        raise typer.BadParameter(f"the picture's name must end in .png, found {output}")
    with running(verbose, log, workers) as progress:
        facts = run_demo(slide, output, mpp=mpp, overwrite=overwrite, progress=progress)
    print_facts(facts, as_json=False)
