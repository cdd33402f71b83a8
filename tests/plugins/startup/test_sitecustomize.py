"""What runs at the start of every Python below `histocodec run`, as processes see it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from histocodec.plugins.startup import program_environment
from tests.places import REPOSITORY


def run(code: str, *paths: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run code in a Python that starts as below `histocodec run`, with more folders on its path."""
    environment = program_environment({"generator": "bicubic"})
    first = environment["PYTHONPATH"].split(os.pathsep)[0]
    environment["PYTHONPATH"] = os.pathsep.join(map(str, [first, *paths, REPOSITORY]))
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_start_of_a_process_imports_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; print(sorted({m.partition('.')[0] for m in sys.modules} & {'histocodec', 'numpy', 'openslide'}))"
    )
    assert run(code).stdout == "[]\n"


def test_an_import_of_openslide_ends_with_the_dispatch(container_path: Path) -> None:
    code = (
        "import importlib.util\n"
        "assert importlib.util.find_spec('openslide')\n"  # to look whether it is there is not to import it
        "from openslide import OpenSlide\n"
        f"print(OpenSlide({str(container_path)!r}).properties['histocodec.level[0]'])"
    )
    ran = run(code)
    assert ran.stdout == "reconstructed by bicubic-x4 builtin:bicubic-x4\n", ran.stderr


def test_another_sitecustomize_runs_as_well(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.started = __file__")
    ran = run("print(started)", tmp_path)
    assert ran.stdout.strip() == str(tmp_path / "sitecustomize.py"), ran.stderr
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('its own affair')")
    assert "its own affair" in run("pass", tmp_path).stderr


def test_a_python_without_histocodec_says_so_rather_than_read_the_base(tmp_path: Path) -> None:
    (tmp_path / "openslide.py").write_text("")
    (tmp_path / "histocodec.py").write_text("raise ModuleNotFoundError('none', name='histocodec')")
    ran = run("import openslide", tmp_path, cwd=tmp_path)
    assert ran.returncode == 1
    assert "lacks histocodec: install histocodec in the environment of the program" in ran.stderr
