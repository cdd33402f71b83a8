"""The mosaic slide of the benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest

from benchmarks.mosaic import CELL, Mosaic, build_mosaic, tissue_tiles
from histocodec.geometry import Region
from histocodec.pixels.downsample import downsample
from histocodec.pixels.metrics import psnr
from tests.places import FindData


@pytest.mark.parametrize("size", [2048, 8192, 16384, 100_000])
def test_about_half_is_tissue_in_islands(size: int) -> None:
    tissue = tissue_tiles(size, seed=1)
    side = -(-size // CELL)
    assert tissue.shape == (side, side)
    np.testing.assert_array_equal(tissue, tissue_tiles(size, seed=1))
    shown = np.minimum(size - CELL * np.arange(side), CELL)
    share = (np.outer(shown, shown) * tissue).sum() / size**2
    assert share == pytest.approx(0.5, abs=CELL**2 / size**2)
    if side > 8:
        alike = np.mean(tissue[:, 1:] == tissue[:, :-1]) / 2 + np.mean(tissue[1:] == tissue[:-1]) / 2
        assert alike > 0.7, "islands, not a checkerboard"


def test_mosaic_opens_in_openslide(find_data: FindData, tmp_path: Path) -> None:
    path = tmp_path / "mosaic.tif"
    fractions: list[float] = []
    build_mosaic(path, 2048, seed=1, data=find_data(""), progress=fractions.append)
    assert fractions == sorted(fractions)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mosaic.tif"], "nothing temporary is left"
    with openslide.OpenSlide(path) as slide:
        assert slide.level_dimensions == ((2048, 2048), (512, 512))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        full = np.asarray(slide.read_region((0, 0), 0, (2048, 2048)).convert("RGB"))
        reduced = np.asarray(slide.read_region((0, 0), 1, (512, 512)).convert("RGB"))
    glass = full.min(axis=2) > 225
    assert 0.4 < glass.mean() < 0.75  # tissue holds some glass of its own
    assert psnr(downsample(full, 4), reduced) > 28


def test_levels_and_edges_of_an_odd_size(find_data: FindData, tmp_path: Path) -> None:
    path = tmp_path / "odd.tif"
    build_mosaic(path, 2301, seed=2, data=find_data(""))
    mosaic = Mosaic.of(2301, seed=2, data=find_data(""))
    with openslide.OpenSlide(path) as slide:
        assert slide.level_dimensions == ((2301, 2301), (576, 576), (144, 144))
        region = Region(1700, 1801, 601, 500)
        pixels = np.asarray(slide.read_region((region.x, region.y), 0, (601, 500)).convert("RGB"))
    assert psnr(pixels, mosaic.read(region)) > 28


def test_any_region_reads_alike(find_data: FindData) -> None:
    mosaic = Mosaic.of(3000, seed=3, data=find_data(""))
    whole = mosaic.read(Region(500, 700, 1700, 1400))
    part = mosaic.read(Region(950, 1650, 300, 400))
    np.testing.assert_array_equal(whole[950:1350, 450:750], part)


def test_no_tiles_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no tiles"):
        build_mosaic(tmp_path / "mosaic.tif", 2048, data=tmp_path)
    assert not list(tmp_path.iterdir())
