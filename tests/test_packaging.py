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
DISTRIBUTION = {"PIL": "pillow", "openslide": "openslide-python"}
"""Names of distributions where the import has another one."""

READ_A_BASE = """
import sys
from pathlib import Path

BLOCKED = {blocked!r}

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())

import numpy as np
import histocodec

path, expected = map(Path, sys.argv[1:])
with histocodec.Decoder(path) as decoder:
    part = histocodec.Region(8, 8, 100, 60)
    assert np.array_equal(decoder.read(part, 1), np.load(expected)), "the base"
with histocodec.Decoder(path, generator="bicubic") as decoder:
    assert decoder.read(part).shape == (60, 100, 3), "full resolution by bicubic"
assert histocodec.validate(path, deep=True) == []
assert not BLOCKED & set(sys.modules)
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
    blocked = {modules.get(name, name) for name in others}
    assert {"torch", "matplotlib", "shapely", "pyvips", "openslide", "tifffile", "PIL"} <= blocked
    code = READ_A_BASE.format(blocked=blocked)
    run = subprocess.run(
        [sys.executable, "-c", code, container_path, tmp_path / "base.npy"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_every_import_is_declared() -> None:
    declared = set(names(PROJECT["dependencies"]))
    for path in (REPOSITORY / "histocodec").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported = [node.module]
            else:
                continue
            roots = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
            assert {DISTRIBUTION.get(name, name) for name in roots} <= declared, path


def test_what_is_pinned_is_allowed() -> None:
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE))
    extras = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    for name, least in names([*PROJECT["dependencies"], *extras]).items():
        if name in pins:
            assert [int(n) for n in pins[name].split(".")] >= [int(n) for n in least.split(".")], name
    assert set(names(PROJECT["dependencies"])) <= set(pins)


def test_the_image_gets_what_an_install_needs() -> None:
    kept = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name in ["pyproject.toml", "constraints.txt", PROJECT["readme"], *PROJECT["license-files"]]:
        assert any(fnmatch.fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in kept), name
