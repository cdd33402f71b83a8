"""Two names change places at once, or nothing is done."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest

from histocodec.runtime.exchange import exchange

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such call")


@linux
def test_folders_change_places(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "b").exists()
    assert (tmp_path / "b" / "a").exists()


@linux
def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").is_dir()


def test_a_system_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *names, **options: object())
    assert not exchange(tmp_path / "a", tmp_path / "b")
