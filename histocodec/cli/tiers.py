"""`strip` and `enhance`: the enhancement layer taken off a container, and put back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..format.tiers import enhance, strip
from ..runtime.progress import stage
from .options import Log, Overwrite, Tier, Verbose, Workers, path_argument, say
from .running import running


def strip_command(
    file: Annotated[Path, path_argument(help="A .hc.tif file with an enhancement layer.")],
    output: Annotated[Path, path_argument(help="The same without.")],
    tier: Annotated[Tier, typer.Option(help="What is left: reconstructed.")] = "reconstructed",
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Take the enhancement layer off, without decoding: the small file to send."""
    if tier != "reconstructed":
        raise typer.BadParameter("--tier: reconstructed is what can be left; decode --tier base writes the base")
    with running(verbose, log, workers) as progress:
        size = strip(file, output, overwrite=overwrite, progress=stage(progress, "writing"))
    say(f"{output}: {size} bytes of {file.stat().st_size}")


def enhance_command(
    small: Annotated[Path, path_argument(help="A file that was stripped.")],
    full: Annotated[Path, path_argument(help="The file with the enhancement layer.")],
    output: Annotated[Path, path_argument(help="Both together.")],
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Put the enhancement layer back, byte for byte."""
    with running(verbose, log, workers) as progress:
        size = enhance(small, full, output, overwrite=overwrite, progress=stage(progress, "writing"))
    say(f"{output}: {size} bytes")
