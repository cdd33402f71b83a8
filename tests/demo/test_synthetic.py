"""The synthetic slide: the same from the same seed, coloured like H&E, and readable as a scanner's file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from numpy.typing import NDArray

from histocodec.demo.synthetic import GLASS_RGB, tissue, write_slide
from histocodec.errors import SettingsError
from histocodec.geometry import Image, Size
from histocodec.pixels.metrics import psnr

SIZE = Size(1024, 768)


@pytest.fixture(scope="module")
def image() -> Image:
    return tissue(SIZE, seed=1)


def glass_mask(image: Image) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = image.min(axis=2) > 228
    return mask


def entropy_bits(grey: NDArray[np.uint8]) -> float:
    shares = np.bincount(grey.ravel(), minlength=256) / grey.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


def test_seed_decides(image: Image) -> None:
    assert image.shape == (768, 1024, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(tissue(SIZE, seed=1), image)
    assert not np.array_equal(tissue(SIZE, seed=2), image)


@pytest.mark.parametrize("size", [Size(64, 64), Size(65, 301), Size(400, 129)])
def test_any_size(size: Size) -> None:
    assert tissue(size, seed=3).shape == (size.height, size.width, 3)


def test_too_small() -> None:
    with pytest.raises(SettingsError, match="64 px"):
        tissue(Size(63, 500), seed=1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_half_is_glass(seed: int) -> None:
    image = tissue(SIZE, seed)
    glass = glass_mask(image)
    assert 0.4 < glass.mean() < 0.65
    np.testing.assert_allclose(image[glass].mean(axis=0), GLASS_RGB, atol=2)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_colours_of_haematoxylin_and_eosin(seed: int) -> None:
    image = tissue(SIZE, seed)
    red, green, blue = np.moveaxis(image[~glass_mask(image)].astype(np.float64), 1, 0)
    assert red.mean() > green.mean() + 20
    assert blue.mean() > green.mean() + 20
    nuclei, stroma = green < 70, green > 120
    assert nuclei.mean() > 0.05
    assert blue[nuclei].mean() > red[nuclei].mean() + 10, "nuclei are blue to purple"
    assert red[stroma].mean() > blue[stroma].mean(), "stroma is pink"


def test_tissue_has_texture(image: Image) -> None:
    """Blocks of tissue hold more than 6 bits per pixel of grey, as real ones do."""
    glass = glass_mask(image)
    grey = (image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    blocks = list(_blocks(128))
    full = [block for block in blocks if glass[block].mean() < 0.2]
    assert len(full) >= 6
    assert min(entropy_bits(grey[block]) for block in full) > 6


def test_slide_opens_in_openslide(image: Image, tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    write_slide(path, image)
    with openslide.OpenSlide(path) as slide:
        assert slide.level_dimensions == ((1024, 768), (512, 384), (256, 192))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.25)
        pixels = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    assert psnr(pixels, image) > 32


def test_slide_keeps_odd_edges_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "odd.tif"
    picture = tissue(Size(301, 203), seed=4)
    write_slide(path, picture, mpp=0.5, jpeg_quality=95, tile=128)
    with openslide.OpenSlide(path) as slide:
        assert slide.level_dimensions == ((301, 203), (151, 102), (76, 51))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)
    with tifffile.TiffFile(path) as tiff:
        assert [page.aspage().subfiletype for page in tiff.pages] == [0, 1, 1]
        pixels = tiff.asarray()
    assert pixels.shape == picture.shape
    assert psnr(pixels, picture) > 35


def _blocks(side: int) -> Iterator[tuple[slice, slice]]:
    for y in range(0, SIZE.height - side + 1, side):
        for x in range(0, SIZE.width - side + 1, side):
            yield slice(y, y + side), slice(x, x + side)
