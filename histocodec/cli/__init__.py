"""The command line: parse, call, print. Results go to stdout, progress and messages to stderr."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from ..errors import HistocodecError
from ..version import __version__
from . import coding, files, generators  # noqa: F401  (their commands register themselves)
from .info import printable
from .options import app
from .running import Interrupted

__all__ = ["app", "main"]


@app.callback(invoke_without_command=True)
def _version(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        typer.echo(f"histocodec {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 an error in one line on stderr, 2 a usage error, 130 Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the console lacks is no reason to lose the rest.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="histocodec")
    except (HistocodecError, OSError) as error:
        typer.echo("histocodec: " + printable(" ".join(str(error).splitlines())), err=True)
        raise SystemExit(130 if isinstance(error, Interrupted) else 1) from None
    except MemoryError:
        typer.echo("histocodec: out of memory", err=True)
        raise SystemExit(1) from None
