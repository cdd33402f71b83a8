"""Fixtures for programs of others: an environment that has them, and what to compare with."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import histocodec
from tests.places import REPOSITORY
from tests.plugins.environment import interpreter

collect_ignore = ["programs"]  # programs as others write them, for hosts that are somewhere else

PROGRAMS = Path(__file__).parent / "programs"
RunProgram = Callable[..., list[str]]
"""Runs a program of `programs/` where a host is, on files; through `histocodec run` if asked to. Gives its lines."""


def environment() -> Path:
    return Path(os.environ.get("HISTOCODEC_HOSTS", REPOSITORY / ".nox/hosts"))


def python_with(host: str) -> str:
    """The interpreter that has a host; where there is none, the test is skipped."""
    if importlib.util.find_spec(host):
        return sys.executable
    python = interpreter(environment())
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({host!r}) is None)"
    if not python.exists() or subprocess.run([python, "-c", code], check=False).returncode:
        pytest.skip(f"{host} is not installed: nox -s hosts installs it and runs this test")
    return str(python)


@pytest.fixture(scope="session")
def entry_points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the entry points of this checkout, as an installer writes them."""
    folder = tmp_path_factory.mktemp("installed")
    written = folder / f"histocodec-{histocodec.__version__}.dist-info"
    written.mkdir()
    (written / "METADATA").write_text(f"Metadata-Version: 2.1\nName: histocodec\nVersion: {histocodec.__version__}\n")
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [line for group, points in groups.items() for line in (f"[{group}]", *map(" = ".join, points.items()))]
    (written / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def run_program(entry_points: Path, tmp_path: Path) -> RunProgram:
    def run(program: str, *files: Path, host: str, below: bool = False) -> list[str]:
        python = python_with(host)
        path = PROGRAMS / f"{program}.py"
        command = [python, str(path), *map(str, files)]
        if below:
            command = [sys.executable, "-m", "histocodec", "run", "--generator", "bicubic", "--", *command]
        paths = os.pathsep.join(map(str, [entry_points, REPOSITORY]))
        run = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout.splitlines()

    return run


@pytest.fixture(scope="session")
def decoded_path(tmp_path_factory: pytest.TempPathFactory, container_path: Path) -> Path:
    """What `container_path` decodes to, lossless: what programs must make the same of."""
    path = tmp_path_factory.mktemp("decoded") / "slide.tif"
    with histocodec.Decoder(container_path) as decoder:
        histocodec.export_slide(decoder, path, compression="lossless")
    return path
