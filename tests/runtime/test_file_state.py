"""What a file is at a moment: writing to it shows, and so does another file under its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from histocodec.runtime.file_state import FileState


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"as it was")
    os.utime(path, ns=(0, 10**18))
    return path


def test_reading_changes_nothing(file: Path) -> None:
    before = FileState.of(file)
    file.read_bytes()
    assert FileState.of(file) == before


def test_writing_shows(file: Path) -> None:
    before = FileState.of(file)
    file.write_bytes(b"otherwise")
    assert FileState.of(file).is_written_over(before)


def test_what_sets_the_time_back_shows_too(file: Path) -> None:
    before = FileState.of(file)
    file.write_bytes(b"otherwise")
    os.utime(file, ns=(0, 10**18))
    now = FileState.of(file)
    assert not now.is_written_over(before)
    if os.name == "posix":
        assert now != before


def test_another_file_of_the_same_name(file: Path) -> None:
    before, other = FileState.of(file), file.with_name("other")
    other.write_bytes(b"otherwise")
    os.utime(other, ns=(0, 10**18))
    other.replace(file)
    assert FileState.of(file) != before
