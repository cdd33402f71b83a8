"""`histocodec run`: the program is run as it would be, and reads containers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import REPOSITORY

RUN = [sys.executable, "-m", "histocodec", "run"]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [*RUN, *command], env=environment, capture_output=True, text=True, check=False, input="of stdin"
    )


def test_arguments_streams_and_exit_code_are_the_programs() -> None:
    code = "import sys; print(sys.argv[1:], sys.stdin.read()); sys.exit('--generator' in sys.argv and 7)"
    for before in ([], ["--"]):
        ran = run(*before, sys.executable, "-c", code, "--generator", "x", "-h", "--")
        assert (ran.returncode, ran.stderr) == (7, "")
        assert ran.stdout == "['--generator', 'x', '-h', '--'] of stdin\n"


def test_the_settings_reach_the_program(container_path: Path, tmp_path: Path) -> None:
    code = (
        "import sys, openslide\n"
        "try: print(openslide.OpenSlide(sys.argv[1]).properties['histocodec.level[0]'][:24])\n"
        "except openslide.OpenSlideError as error: print(error)"
    )
    for settings, said in (
        (["--generator", "bicubic"], "reconstructed by bicubic"),
        (["--tier", "bounded"], f"{container_path}: no enhancement layer to apply"),
        (["--tier", "original"], f"{container_path}: no pixels of the original"),
    ):
        ran = run(*settings, "--", sys.executable, "-c", code, str(container_path))
        assert ran.stdout.startswith(said), ran.stderr
    code = "import os, json; print(os.environ['HISTOCODEC_OPENSLIDE'])"
    given = json.loads(run("--models", ".", "--", sys.executable, "-c", code).stdout)
    assert given == {"generator": None, "models": str(Path.cwd()), "tier": None, "device": "cpu"}


def test_a_program_that_is_not_there() -> None:
    ran = run("no-such-program", "x")
    assert (ran.returncode, ran.stderr) == (1, "histocodec: cannot run no-such-program: No such file or directory\n")
    assert run().returncode == 2


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_a_signal_ends_the_program_itself() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert run(sys.executable, "-c", code).returncode == -signal.SIGTERM
