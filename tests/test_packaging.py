"""What an install brings: every import is declared, what is pinned fits, and reading bases needs little of it."""

from __future__ import annotations

import ast
import fnmatch
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np

from histocodec.decoder import Decoder
from histocodec.geometry import Region
from tests.places import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
DISTRIBUTION = {"PIL": "pillow", "openslide": "openslide-python", "ome_types": "ome-types"}
"""Names of distributions where the import has another one."""

BLOCKING = """
import sys
from pathlib import Path

BLOCKED = {blocked!r}

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
"""
"""Keeps packages from being imported, as if they were not there."""

READ_A_BASE = """
import numpy as np
import histocodec

path, expected = map(Path, sys.argv[1:])
with histocodec.Decoder(path) as decoder:
    part = histocodec.Region(8, 8, 100, 60)
    assert np.array_equal(decoder.read(part, 1), np.load(expected)), "the base"
with histocodec.Decoder(path, generator="bicubic") as decoder:
    assert decoder.read(part).shape == (60, 100, 3), "full resolution by bicubic"
assert histocodec.validate(path, deep=True) == []
generator = histocodec.load_generator("jp2k-x4")
assert generator(np.zeros((80, 80, 3), np.uint8)).shape == (256, 256, 3), "full resolution by numpy"
assert not BLOCKED & set(sys.modules)
"""

WORK_WITHOUT_TORCH = """
import json
import warnings
import histocodec
from histocodec import cli
from histocodec.demo.synthetic import tissue, write_slide
from histocodec.errors import GeneratorError

warnings.simplefilter("error")

def run(*arguments):
    sys.argv = ["histocodec", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as end:
        return end.code or 0
    return 0

folder = Path(sys.argv[1])
slide, coded = folder / "slide.tif", folder / "x.hc.tif"
write_slide(slide, tissue(histocodec.Size(700, 600), seed=7))
assert run("encode", slide, "-o", coded, "--codec", "av1") == 0
assert run("validate", coded, "--deep") == 0
assert run("info", coded) == 0
assert run("decode", coded, folder / "x.tif") == 0
assert run("decode", coded, folder / "x.png", "--region", "0,0,300,300") == 0
assert run("quality", coded, folder / "quality.png") == 0
assert run("compare", slide, coded, "--html", folder / "report.html") == 0
assert run("demo", slide, "-o", folder / "demo.png") == 0
assert run("models") == 0
assert run("encode", slide, "-o", folder / "y.hc.tif", "--generator", "perceptual-x4") == 1
assert run("encode", slide, "-o", folder / "y.hc.tif", "--tune", "1") == 1
assert run("decode", coded, folder / "z.tif", "--device", "cuda") == 1
try:
    histocodec.load_generator("perceptual-x4")
except GeneratorError as error:
    assert str(error) == "perceptual-x4 needs torch, which is not installed: pip install 'histocodec[train]'"
assert "torch" not in sys.modules
"""


def names(requirements: list[str]) -> dict[str, str]:
    """Lower bounds by name."""
    found = [re.fullmatch(r"([\w-]+)[^>]*>=([\d.]+).*", line) for line in requirements]
    return {match[1]: match[2] for match in found if match}


def base_requirements() -> list[str]:
    lines = (REPOSITORY / "requirements-base.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_requirements_for_a_base_are_among_all() -> None:
    assert set(base_requirements()) < set(PROJECT["dependencies"])


def test_reading_a_base_needs_only_these(tmp_path: Path, container_path: Path) -> None:
    with Decoder(container_path) as decoder:
        np.save(tmp_path / "base.npy", decoder.read(Region(8, 8, 100, 60), 1))
    others = set(names(PROJECT["dependencies"])) - set(names(base_requirements()))
    modules = {name: module for module, name in DISTRIBUTION.items()}
    blocked = {"torch", *(modules.get(name, name) for name in others)}
    assert {"openvino", "matplotlib", "shapely", "pyvips", "openslide", "tifffile", "PIL"} <= blocked
    run = run_without(blocked, READ_A_BASE, container_path, tmp_path / "base.npy")
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("engine openvino is left out") == 0  # numpy suffices for one tile


def test_the_main_job_needs_no_torch(tmp_path: Path) -> None:
    run = run_without({"torch"}, WORK_WITHOUT_TORCH, tmp_path)
    assert run.returncode == 0, run.stderr
    said = [line for line in run.stderr.splitlines() if "torch" in line]
    assert len(said) == 3, run.stderr
    for line in said:
        assert line.endswith("pip install 'histocodec[train]'")


def run_without(blocked: set[str], code: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that cannot import some packages."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKING.format(blocked=blocked) + code, *arguments],
        cwd=arguments[0].parent,
        env={"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


HOSTS = {"dask", "large_image", "tiatoolbox", "wsidata"}
"""Programs that have plug-ins, with what these use of them: whoever runs one has them."""


def test_every_import_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    own = ("train", "remote", "mount", "export", "viewer", "cluster")
    declared = set(names([*PROJECT["dependencies"], *(line for extra in own for line in extras[extra])]))
    for path in (REPOSITORY / "histocodec").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported = [node.module]
            else:
                continue
            roots = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
            roots -= HOSTS if path.is_relative_to(REPOSITORY / "histocodec/plugins") else set()
            assert {DISTRIBUTION.get(name, name) for name in roots} <= declared, path


def test_what_is_pinned_is_allowed() -> None:
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE))
    extras = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    for name, least in names([*PROJECT["dependencies"], *extras]).items():
        if name in pins:
            assert [int(n) for n in pins[name].split(".")] >= [int(n) for n in least.split(".")], name
    assert set(names(PROJECT["dependencies"])) <= set(pins)


def test_an_sdist_holds_no_half_of_the_tests_and_what_the_readme_takes() -> None:
    """Setuptools takes tests/test_*.py along unless told otherwise, without the folders that they need."""
    lines = (REPOSITORY / "MANIFEST.in").read_text().splitlines()
    assert "prune tests" in lines
    taken = {name for line in lines if line.startswith("include ") for name in line.split()[1:]}
    assert set(re.findall(r"-c (\S+)", (REPOSITORY / "README.md").read_text())) <= taken
    assert {name for name in taken if not (REPOSITORY / name).is_file()} == set()


def test_the_image_gets_what_an_install_needs() -> None:
    kept = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in ["pyproject.toml", "constraints.txt", PROJECT["readme"], *PROJECT["license-files"]]:
        assert any(fnmatch.fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in kept), name
