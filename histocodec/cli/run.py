"""`run`: a program whose OpenSlide reads containers, without a change of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import SettingsError
from ..format.entries import Tier
from ..plugins.startup import program_environment
from .options import DecodingGenerator, Device, Models

CONTEXT = {"allow_interspersed_args": False}
"""Settings of the command: options behind the program's name are the program's."""


def run_command(
    command: Annotated[
        list[str], typer.Argument(metavar="PROGRAM", help="A program and its arguments, as in a shell.")
    ],
    generator: DecodingGenerator = None,
    models: Models = None,
    tier: Annotated[
        Tier | None,
        typer.Option(
            help="How far to go, for every file: reconstructed, bounded, or original. Default: bounded, if the file is."
        ),
    ] = None,
    device: Device = "cpu",
) -> None:
    """Run a Python program with its OpenSlide reading .hc.tif files too, in its workers as well."""
    settings = {
        "generator": str(Path(generator).absolute()) if generator and Path(generator).is_file() else generator,
        "models": None if models is None else str(models.absolute()),
        "tier": tier,
        "device": device,
    }
    environment = program_environment(settings)
    try:
        if os.name == "posix":  # signals and the exit code are then the program's own
            sys.stdout.flush()
            os.execvpe(command[0], command, environment)
        raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)
    except OSError as error:
        raise SettingsError(f"cannot run {command[0]}: {error.strerror or error}") from error
