"""The SHA-256 of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from histocodec.errors import FileError
from histocodec.runtime.digest import sha256_of


@pytest.mark.parametrize("length", [0, 1, 1 << 20, (5 << 19) + 7])
def test_it_is_that_of_the_bytes_and_tells_how_far_it_is(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(256)) * (length // 256) + bytes(length % 256))
    told: list[tuple[int, int]] = []
    assert (
        sha256_of(path, lambda done, total: told.append((done, total))) == hashlib.sha256(path.read_bytes()).hexdigest()
    )
    assert told[-1:] == ([(length, length)] if length else [])
    assert told == sorted(told)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        sha256_of(tmp_path / "a")
