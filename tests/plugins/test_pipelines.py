"""Programs that read slides by OpenSlide, unmodified: of a container they make what they make of its decoded TIFF."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import REPOSITORY
from tests.plugins.conftest import RunProgram, environment

PROGRAMS = {
    "deep_zoom": "openslide",
    "workers": "openslide",
    "histolab_tiles": "histolab",
    "dlup_tiles": "dlup",
    "tiatoolbox_patches": "tiatoolbox",
    "wsidata_tiles": "wsidata",
}
"""Programs by the package that they are built on."""


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_container_is_what_it_decodes_to(
    program: str, run_program: RunProgram, container_path: Path, decoded_path: Path
) -> None:
    host = PROGRAMS[program]
    expected = run_program(program, decoded_path, host=host)
    assert len(expected) >= 3
    assert run_program(program, container_path, host=host, below=True) == expected


def test_other_slides_are_what_they_were(run_program: RunProgram, slide_path: Path) -> None:
    plain, below = (run_program("deep_zoom", slide_path, host="openslide", below=below) for below in (False, True))
    assert plain == below


def test_openslides_own_example(container_path: Path, decoded_path: Path, tmp_path: Path) -> None:
    examples = list(environment().glob("sources/openslide*/examples/deepzoom/deepzoom_tile.py"))
    if not examples:
        pytest.skip("OpenSlide's examples are not at hand: nox -s hosts fetches them and runs this test")
    ours = [sys.executable, "-m", "histocodec", "run", "--generator", "bicubic", "--"]
    for name, path, before in (("ours", container_path, ours), ("theirs", decoded_path, [])):
        command = [*before, sys.executable, str(examples[0]), "-o", str(tmp_path / name), "-f", "png", str(path)]
        environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        subprocess.run(command, check=True, capture_output=True, env=environ)
    tiles = {
        name: {path.parts[-2:]: path.read_bytes() for path in tmp_path.glob(f"{name}_files/*/*")}
        for name in ("ours", "theirs")
    }
    assert len(tiles["ours"]) > 20
    assert set(tiles["ours"]) == set(tiles["theirs"])
    finest = max(int(level) for level, _ in tiles["ours"])
    # What is coarser than the base the TIFF has no level for: OpenSlide reduces it there.
    assert all(data == tiles["theirs"][at] for at, data in tiles["ours"].items() if int(at[0]) >= finest - 2)
