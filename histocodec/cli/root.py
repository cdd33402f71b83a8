"""The root of the command line: the application with its commands, and how it ends."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from ..errors import HistocodecError, TrainingPaused
from ..generators.engines.choice import TRAIN_EXTRA
from ..version import __version__
from .archive import archive_app
from .checksum import checksum_command
from .decode import decode_command
from .demo import demo_command
from .encode import encode_command
from .engines import engines_command
from .info import printable
from .inspect import compare_command, info_command, quality_command, regions_command, validate_command
from .learn import train_command, tune_command
from .models import models_app
from .mount import mount_command
from .preview import preview_command
from .run import CONTEXT, run_command
from .running import Interrupted
from .tiers import enhance_command, restore_command, strip_command, verify_source_command
from .view import view_command

COMMANDS: dict[str, Callable[..., None]] = {
    "encode": encode_command,
    "preview": preview_command,
    "decode": decode_command,
    "tune": tune_command,
    "view": view_command,
    "info": info_command,
    "validate": validate_command,
    "quality": quality_command,
    "compare": compare_command,
    "strip": strip_command,
    "enhance": enhance_command,
    "restore": restore_command,
    "verify-source": verify_source_command,
    "checksum": checksum_command,
    "regions": regions_command,
    "run": run_command,
    "mount": mount_command,
    "demo": demo_command,
    "train": train_command,
    "engines": engines_command,
}
"""Every command by name, in the order in which help lists them."""

_EXTRAS = {"torch": TRAIN_EXTRA, **dict.fromkeys(("starlette", "uvicorn"), "pip install 'histocodec[viewer]'")}
"""What brings a package that is not installed."""

app = typer.Typer(
    name="histocodec",
    help="Store a histology slide as its 10x base and a learned decoder; reconstruct it on demand.",
    no_args_is_help=True,
    # Plain text, which reads the same on a terminal of any width and in a pipe.
    rich_markup_mode=None,
    context_settings={"max_content_width": 120, "help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for name, command in COMMANDS.items():
    app.command(name, context_settings=CONTEXT if command is run_command else None)(command)
app.add_typer(archive_app, name="archive")
app.add_typer(models_app, name="models")


@app.callback(invoke_without_command=True)
def _version(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        typer.echo(f"histocodec {__version__}")
        raise typer.Exit


def _exit_code(error: Exception) -> int:
    if isinstance(error, TrainingPaused):
        return 75  # EX_TEMPFAIL of sysexits.h: what failed for now, and can be called again
    return 130 if isinstance(error, Interrupted) else 1


def main() -> None:
    """Run the command line and exit.

    0 done, 1 an error in one line on stderr, 2 a usage error, 3 some of many files failed, 75 to be called again,
    130 Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the console lacks is no reason to lose the rest.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="histocodec")
    except (HistocodecError, OSError) as error:
        typer.echo("histocodec: " + printable(" ".join(str(error).splitlines())), err=True)
        raise SystemExit(_exit_code(error)) from None
    except ModuleNotFoundError as error:
        remedy = f": {_EXTRAS[error.name]}" if error.name in _EXTRAS else ""
        typer.echo(f"histocodec: this command needs the package {error.name}, which is not installed{remedy}", err=True)
        raise SystemExit(1) from None
    except MemoryError:
        typer.echo("histocodec: out of memory", err=True)
        raise SystemExit(1) from None
