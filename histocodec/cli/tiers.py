"""`strip`, `enhance`, `restore` and `verify-source`: the layers of a container, taken off, put back and given back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..format.restoration import restore, verify_source
from ..format.tiers import enhance, strip
from ..runtime.progress import stage
from .options import Log, Overwrite, Sandbox, Verbose, Workers, path_argument, say
from .running import running


def strip_command(
    file: Annotated[Path, path_argument(help="A .hc.tif file with an original, or an enhancement layer.")],
    output: Annotated[Path, path_argument(help="The same without.")],
    tier: Annotated[
        Literal["reconstructed", "bounded"] | None,
        typer.Option(
            help="What is left: reconstructed (no enhancement layer), or bounded (with it). Default: the next lower "
            "tier that the file has."
        ),
    ] = None,
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Take off the original, or the enhancement layer as well, without decoding: the small file to send."""
    with running(verbose, log, workers) as progress:
        size = strip(file, output, tier, overwrite=overwrite, progress=stage(progress, "writing"))
    say(f"{output}: {size} bytes of {file.stat().st_size}")


def enhance_command(
    small: Annotated[Path, path_argument(help="A file that was stripped.")],
    full: Annotated[Path, path_argument(help="The file with all layers.")],
    output: Annotated[Path, path_argument(help="Both together.")],
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Put the layers back, byte for byte."""
    with running(verbose, log, workers) as progress:
        size = enhance(small, full, output, overwrite=overwrite, progress=stage(progress, "writing"))
    say(f"{output}: {size} bytes")


def restore_command(
    file: Annotated[Path, path_argument(help="A .hc.tif file that was encoded with --keep-original.")],
    output: Annotated[
        Path | None,
        path_argument(
            help="The slide; of one that has several files, a folder to make. Default: its own name, beside the file."
        ),
    ] = None,
    sandbox: Sandbox = False,
    overwrite: Overwrite = False,
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Write the slide that was encoded, byte for byte."""
    with running(verbose, log, workers) as progress:
        paths = restore(file, output, overwrite=overwrite, sandbox=sandbox, progress=stage(progress, "restoring"))
    size = sum(path.stat().st_size for path in paths)
    files = f"{len(paths)} files, " if len(paths) > 1 else ""
    say(f"{paths[0]}: {files}{size} bytes, the same as were encoded")


def verify_source_command(
    file: Annotated[Path, path_argument(help="A .hc.tif file.")],
    slide: Annotated[Path, path_argument(help="The slide that it may have been made of.")],
    workers: Workers = None,
    verbose: Verbose = False,
    log: Log = None,
) -> None:
    """Say whether a slide is the one that was encoded, to the bit; exit code 1 if it is not."""
    with running(verbose, log, workers) as progress:
        source = verify_source(file, slide, progress=stage(progress, "comparing"))
    say(f"{slide}: what {file} was made of, encoded {source.encoded}")
