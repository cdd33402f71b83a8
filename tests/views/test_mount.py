"""Files in a folder of the operating system: other programs read them as any others."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import pyvips
import tifffile

import histocodec
from histocodec import Region, open_virtual_tiff
from histocodec.errors import SettingsError
from histocodec.views import mount as mounting
from tests.places import REPOSITORY

Mount = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "mounted"
    path.mkdir()
    return path


@pytest.fixture
def mount(folder: Path) -> Iterator[Mount]:
    """Runs `histocodec mount FILE... folder` until the test is over; skipped where the system has no FUSE."""
    try:
        mounting._fuse()
    except SettingsError as error:
        pytest.skip(f"no FUSE: {error}")
    running: list[subprocess.Popen[str]] = []

    def run(*files: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "histocodec", "mount", "--generator", "bicubic", *map(str, files), str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        for _ in files:
            if not process.stdout.readline():
                _, said = process.communicate()
                if "cannot be mounted on" in said:
                    pytest.skip(f"no FUSE: {said.strip()}")
                raise AssertionError(said)
        return process

    yield run
    for process in running:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def test_other_programs_read_the_decoders_pixels(mount: Mount, folder: Path, container_path: Path) -> None:
    vector = REPOSITORY / "formats/container/v1/vectors/valid/jp2k-x2-300x200.hc.tif"
    process = mount(container_path, vector)
    path = folder / "slide.tif"
    assert sorted(path.name for path in folder.iterdir()) == ["jp2k-x2-300x200.tif", "slide.tif"]
    status = path.stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o444, container_path.stat().st_mtime_ns)
    with open_virtual_tiff(container_path, generator="bicubic") as file:
        decoder = file.decoder
        expected = decoder.read(Region(203, 105, 800, 700))
        with openslide.OpenSlide(path) as slide:
            assert slide.level_dimensions[0] == (1100, 900)
            assert np.array_equal(np.asarray(slide.read_region((203, 105), 0, (800, 700)))[..., :3], expected)
        assert np.array_equal(pyvips.Image.new_from_file(str(path)).crop(203, 105, 800, 700).numpy(), expected)
        tiff: Any
        with tifffile.TiffFile(path) as tiff:
            assert "reconstructed by bicubic-x4" in tiff.pages[0].description
            for level, page in enumerate(tiff.pages):
                assert np.array_equal(page.asarray(), decoder.read(Region(0, 0, *decoder.levels[level]), level))
        assert path.read_bytes() == file.read()
    assert tifffile.imread(folder / "jp2k-x2-300x200.tif").shape == (200, 300, 3)
    with pytest.raises(OSError, match="Read-only"):
        path.open("r+b")
    with pytest.raises(FileNotFoundError):
        (folder / "none.tif").open("rb")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert list(folder.iterdir()) == []


def test_a_damaged_tile_is_an_input_output_error(
    mount: Mount, folder: Path, container_path: Path, tmp_path: Path
) -> None:
    with histocodec.Container(container_path) as container:
        tile = container.tile(1, 0)
    data = bytearray(container_path.read_bytes())
    data[data.find(tile) + len(tile) // 2] ^= 0xFF
    (tmp_path / "damaged.hc.tif").write_bytes(data)
    process = mount(tmp_path / "damaged.hc.tif")
    with (folder / "damaged.tif").open("rb") as file:
        assert file.read(100)[:2] == b"II"
        file.seek(-100, os.SEEK_END)
        with pytest.raises(OSError, match="Input/output"):
            file.read()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert "damaged.hc.tif" in said


# Where it cannot be done


def test_a_folder_that_cannot_take_them(container_path: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    shutil.copy(container_path, tmp_path / "full/a.hc.tif")
    with open_virtual_tiff(container_path) as file:
        for name, found in (
            ("full", "a folder with content"),
            ("none", "nothing"),
            ("full/a.hc.tif", "a file"),
        ):
            with pytest.raises(SettingsError, match=f"an empty folder to mount on, found {found}"):
                mounting.mount([file], tmp_path / name)


def test_two_files_of_one_name(container_path: Path) -> None:
    with (
        open_virtual_tiff(container_path) as one,
        open_virtual_tiff(container_path) as other,
        pytest.raises(SettingsError, match=r"would both be slide\.tif: mount them on two folders"),
    ):
        dict(mounting._named([one, other]))


def test_a_system_without_fuse_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(mounting, "DEVICE", tmp_path / "fuse")
    with pytest.raises(SettingsError, match=r"no files can be mounted here: .*fuse is not there"):
        mounting._fuse()
    (tmp_path / "fuse").touch()
    monkeypatch.setitem(sys.modules, "mfusepy", None)
    with pytest.raises(SettingsError, match=r"pip install 'histocodec\[mount\]'"):
        mounting._fuse()
    monkeypatch.delitem(sys.modules, "mfusepy")
    (tmp_path / "mfusepy.py").write_text("raise OSError('Unable to find libfuse')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match="this system has no libfuse: apt install fuse3"):
        mounting._fuse()
