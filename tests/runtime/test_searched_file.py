"""A file is searched as if all of it were in memory, also where pieces meet, and while it is cut off."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from histocodec.runtime import searched_file
from histocodec.runtime.searched_file import SearchedFile


@pytest.fixture
def data() -> bytes:
    return bytes(np.random.default_rng(3).integers(0, 4, 5000, np.uint8))


@pytest.mark.parametrize("piece", [7, 64, 1 << 20])
def test_as_if_in_memory(tmp_path: Path, data: bytes, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searched_file, "_CHUNK_BYTES", piece)
    path = tmp_path / "file"
    path.write_bytes(data)
    pattern = re.compile(rb"\x01[^\x00\x01]")
    with SearchedFile(path) as file:
        assert len(file) == len(data)
        for start in range(0, 5001, 61):
            assert file.read(start, 5) == data[start : start + 5]
            for sought in (b"\3", b"\1\2\3", b"\1\2\3\0\1\2", b"\7"):
                assert file.find(sought, start) == data.find(sought, start)
            for end in (start, start + 1, start + 40, 5000):
                found = pattern.search(data, start, end)
                assert file.search(pattern, 2, start, end) == (None if found is None else found.start())


def test_one_that_is_cut_off_meanwhile(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapped file would end the process by SIGBUS."""
    monkeypatch.setattr(searched_file, "_CHUNK_BYTES", 64)
    path = tmp_path / "file"
    path.write_bytes(data)
    with SearchedFile(path) as file:
        assert file.find(b"\3", 0) == data.find(b"\3")
        with path.open("r+b") as writer:
            writer.truncate(1000)
        assert file.find(b"\7", 0) == -1
        assert file.read(3000, 5) == b""


def test_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with SearchedFile(tmp_path / "empty") as file:
        assert file.find(b"a", 0) == -1
