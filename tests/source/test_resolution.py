"""The resolution of a slide: from tags, from OME, and where none is to be believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from histocodec.errors import (
    MissingResolution,
    SettingsError,
    UnsupportedResolution,
)
from histocodec.geometry import Image
from histocodec.source import open_source
from tests.source.inputs import (
    EXACT,
    write_tiled,
)


@pytest.mark.parametrize(
    ("unit", "per_unit"), [("CENTIMETER", 20000), ("INCH", 50800)], ids=["per centimetre", "per inch"]
)
@pytest.mark.parametrize("compression", [None, "png"], ids=["OpenSlide", "tifffile"])
def test_resolution_tags(unit: str, per_unit: int, compression: str | None, tmp_path: Path, pixels: Image) -> None:
    options = {"resolution": (per_unit, per_unit * 1.01), "resolutionunit": unit, "compression": compression}
    path = write_tiled(tmp_path / "a.tif", pixels, **options)
    with open_source(path) as source:
        assert source.mpp == pytest.approx((0.5 + 0.5 / 1.01) / 2, rel=1e-6)
    with open_source(path, mpp=0.3) as source:
        assert source.mpp == 0.3


@pytest.mark.parametrize("compression", [None, "png"], ids=["OpenSlide", "tifffile"])
def test_pixels_that_are_not_square(compression: str | None, tmp_path: Path, pixels: Image) -> None:
    options = {"resolution": (40000, 39000), "resolutionunit": "CENTIMETER", "compression": compression}
    path = write_tiled(tmp_path / "a.tif", pixels, **options)
    with pytest.raises(UnsupportedResolution, match=r"0\.25 x 0\.2564.*--mpp"):
        open_source(path)
    with open_source(path, mpp=0.25) as source:
        assert source.mpp == 0.25


@pytest.mark.parametrize("compression", [None, "png"], ids=["OpenSlide", "tifffile"])
@pytest.mark.parametrize("dpi", [72, 96, 300, 600, 10_000_000])
def test_the_resolution_of_a_screen_is_none(dpi: int, compression: str | None, tmp_path: Path, pixels: Image) -> None:
    options = {"resolution": (dpi, dpi), "resolutionunit": "INCH", "compression": compression}
    with pytest.raises(MissingResolution, match="--mpp"):
        open_source(write_tiled(tmp_path / "a.tif", pixels, **options))


@pytest.mark.parametrize(
    "options",
    [{}, {"resolution": (40000, 40000), "resolutionunit": "NONE"}, {"resolution": ((0, 1), (0, 1))}],
    ids=["absent", "without a unit", "of zero"],
)
def test_no_resolution(options: dict[str, Any], tmp_path: Path, pixels: Image) -> None:
    for compression in (None, "png"):
        path = write_tiled(tmp_path / "a.tif", pixels, compression=compression, **options)
        with pytest.raises(MissingResolution, match="--mpp"):
            open_source(path)


@pytest.mark.parametrize("name", ["libvips, PNG", "libvips, stripped"])
def test_flat_images_are_not_believed(name: str, tmp_path: Path, pixels: Image) -> None:
    with pytest.raises(MissingResolution, match="--mpp"):
        open_source(EXACT[name][1](tmp_path, pixels))


@pytest.mark.parametrize("name", [name for name in EXACT if name.endswith("OME")])
def test_ome_is_believed_before_the_tags(name: str, tmp_path: Path, pixels: Image) -> None:
    with open_source(EXACT[name][1](tmp_path, pixels)) as source:
        assert source.mpp == pytest.approx(0.25)


@pytest.mark.parametrize("mpp", [0.0, -0.25, float("nan"), float("inf")])
def test_mpp_out_of_range(mpp: float, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="mpp"):
        open_source(tmp_path / "not looked at.svs", mpp=mpp)
