"""`checksum`: SHA-256 of files, written and checked as `sha256sum` does it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..archive.checksums import Line, differing, parsed, written
from ..errors import file_error
from ..runtime.digest import sha256_of
from .many import SOME_FAILED
from .options import path_argument


def checksum_command(
    files: Annotated[list[Path], path_argument(help="Files; with --check lists of them, - for stdin.")],
    check: Annotated[
        bool, typer.Option("--check", "-c", help="Read lists, and compare the files that they name.")
    ] = False,
) -> None:
    """Print the SHA-256 of files, in the format of sha256sum; or check such a list. Exit code 3 if some differ."""
    if not check:
        for file in files:
            typer.echo(written(Line(sha256_of(file), str(file))))
        return
    failed = count = 0
    for file in files:
        try:
            text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8", "surrogateescape")
        except OSError as error:
            raise file_error(file, error) from error
        for line, problem in differing(parsed(text, str(file)), Path()):
            count += 1
            failed += problem is not None
            typer.echo(f"{line.name}: {problem or 'OK'}")
    if failed:
        typer.echo(f"histocodec: {failed} of {count} files are not as listed", err=True)
        raise typer.Exit(SOME_FAILED)
