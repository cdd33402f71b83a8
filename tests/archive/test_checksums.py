"""Lists of digests: sha256sum takes what is written here, and the other way round."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from histocodec.archive.checksums import Line, combined, differing, parsed, written
from histocodec.errors import MissingFile, SettingsError
from histocodec.runtime.digest import sha256_of

NAMES = ("plain.svs", "with spaces.svs", "back\\slash", "line\nbreak", "*star", " leading")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).write_text(name)
    return tmp_path


def test_lines_come_back(folder: Path) -> None:
    lines = [Line(sha256_of(folder / name), name) for name in NAMES]
    text = "".join(f"{written(line)}\n" for line in lines)
    assert list(parsed(text)) == lines
    assert [problem for _, problem in differing(lines, folder)] == [None] * len(NAMES)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_agrees(folder: Path) -> None:
    theirs = subprocess.run(["sha256sum", *NAMES], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert theirs == "".join(f"{written(Line(sha256_of(folder / name), name))}\n" for name in NAMES)
    (folder / "list").write_text(theirs)
    subprocess.run(["sha256sum", "--check", "list"], cwd=folder, capture_output=True, check=True)


def test_what_differs_and_what_is_gone(folder: Path) -> None:
    lines = [Line("0" * 64, "plain.svs"), Line("0" * 64, "none.svs")]
    problems = [problem for _, problem in differing(lines, folder)]
    assert problems[0] == "FAILED"
    assert problems[1] is not None
    assert problems[1].startswith("FAILED to read")


@pytest.mark.parametrize("text", ["no list", f"{'0' * 63}  a", f"{'0' * 64}a"])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(SettingsError, match="line 1"):
        list(parsed(text))


def test_a_binary_mark_and_empty_lines() -> None:
    assert list(parsed(f"\n{'A' * 64} *a.svs\r\n\n")) == [Line("a" * 64, "a.svs")]


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        sha256_of(tmp_path / "none")


def test_of_a_set(tmp_path: Path) -> None:
    assert combined([]) is None
    assert combined(["a"]) == "a"
    assert combined(["a", "b"]) != combined(["b", "a"])
