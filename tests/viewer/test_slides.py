"""Only the named files, under names that addresses can hold; a damaged one does not hide the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from histocodec.errors import MissingFile
from histocodec.geometry import Region
from histocodec.viewer.shown import Shown
from histocodec.viewer.slides import Slides
from tests.runtime.servers import start_nginx


def test_files_have_names_of_their_own(container_path: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(container_path, tmp_path / folder / "case 1.hc.tif")
    with Slides.opened([str(tmp_path / f"{f}/case 1.hc.tif") for f in "ab"] + [str(container_path)], Shown) as slides:
        assert list(slides.files) == ["case-1", "case-1-2", "slide"]
        assert [file.title for file in slides.files.values()] == ["case 1.hc.tif", "case 1.hc.tif", "slide.hc.tif"]
        opened = [file.shown for file in slides.files.values() if file.shown is not None]
        assert len(opened) == 3
    assert all(shown.container.is_closed for shown in opened)


def test_one_that_is_damaged_gets_the_reason(container_path: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.hc.tif").write_bytes(container_path.read_bytes()[:2000])
    with Slides.opened([str(tmp_path / "cut.hc.tif"), str(container_path)], Shown) as slides:
        cut, whole = slides.files.values()
        assert cut.shown is None
        assert "cut.hc.tif" in cut.error
        assert whole.shown is not None


def test_one_that_is_nowhere_was_mistyped(container_path: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="No such file"):
        Slides.opened([str(container_path), str(tmp_path / "nothing.hc.tif")], Shown)


def test_a_server_that_cannot_be_reached_gets_the_reason() -> None:
    with Slides.opened(["http://127.0.0.1:9/a.hc.tif?key=secret"], Shown) as slides:
        (file,) = slides.files.values()
        assert file.name == "a"
        assert file.error
        assert "secret" not in file.error + file.title


def test_a_file_on_a_server_is_shown_as_one_on_a_disk(container_path: Path, tmp_path: Path) -> None:
    for server in start_nginx(tmp_path):
        shutil.copy(container_path, server.files / "far.hc.tif")
        with Slides.opened([server.url("far.hc.tif")], Shown) as slides, Shown(container_path) as near:
            far, region = slides.files["far"].shown, Region(256, 256, 256, 256)
            assert far is not None
            finest = far.zoom.finest
            assert np.array_equal(
                far.pixels("reconstructed", finest, region), near.pixels("reconstructed", finest, region)
            )
