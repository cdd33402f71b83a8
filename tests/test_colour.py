"""The colour transform of bases that only a decoder looks at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histocodec.base import BaseCoder, downsample
from histocodec.codecs import Image
from histocodec.colour import ColourTransform, fit_colours
from histocodec.container import Container
from histocodec.decode import Decoder
from histocodec.encode import EncodeSettings, encode
from histocodec.generator import BicubicGenerator
from histocodec.geometry import Region, Size
from histocodec.metrics import psnr
from histocodec.source import open_source
from histocodec.synthetic import tissue


@pytest.fixture(scope="module")
def base() -> Image:
    return downsample(tissue(Size(1024, 1024), seed=5), 4)


def test_identity_in_whole_numbers(base: Image) -> None:
    one = 1 << 16
    identity = ColourTransform((one, 0, 0, 128 * one, 0, one, 0, 128 * one, 0, 0, one, 128 * one))
    assert np.array_equal(identity.undo(base), base)
    assert np.array_equal(identity.apply(base), base)


def test_it_is_what_the_formula_says() -> None:
    numbers = (70000, -1234, 567, 99 << 16, 3, 65536, -65536, 12345678, -400000, 8, 15, 16 << 16)
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 256, (9, 7, 3)).astype(np.uint8)
    undone = ColourTransform(numbers).undo(stored)
    for y, x in np.ndindex(9, 7):
        for i in range(3):
            total = sum(numbers[4 * i + j] * (int(stored[y, x, j]) - 128) for j in range(3)) + numbers[4 * i + 3]
            assert undone[y, x, i] == min(255, max(0, (total + (1 << 15)) >> 16))


def test_there_and_back_loses_less_than_a_step_or_two(base: Image) -> None:
    transform = fit_colours(base.reshape(-1, 3))
    assert transform is not None
    back = transform.undo(transform.apply(base))
    assert np.abs(back.astype(int) - base).max() <= 3
    assert psnr(base, back) > 46


def test_luma_carries_the_axis_of_most_variance(base: Image) -> None:
    transform = fit_colours(base.reshape(-1, 3))
    assert transform is not None
    weights = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    planes = transform.apply(base).reshape(-1, 3) @ weights.T
    correlation = np.corrcoef(planes.T)
    assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 0.05
    assert planes.var(0)[0] > planes.var(0)[1] > planes.var(0)[2] - 1


def test_ink_that_8_bits_cannot_hold_is_not_clipped(base: Image) -> None:
    """Colours far from the stain's: the transform must reach them, or step aside."""
    inked = base.copy()
    inked[:40, :40] = (0, 255, 0)
    inked[40:80, :40] = (0, 0, 255)
    inked[80:120, :40] = (0, 0, 0)
    transform = fit_colours(inked.reshape(-1, 3))
    if transform is not None:
        assert np.abs(transform.undo(transform.apply(inked)).astype(int) - inked).max() <= 4


@pytest.mark.parametrize("pixels", [np.full((50, 3), 240, np.uint8), np.zeros((1, 3), np.uint8)])
def test_flat_colours_have_no_axes(pixels: Image) -> None:
    assert fit_colours(pixels) is None


def test_fewer_bytes_at_equal_fidelity(base: Image) -> None:
    """On synthetic tissue it must at least do no harm; benchmarks/NOTES.md has real tissue."""
    plain, fitted = BaseCoder("avif"), BaseCoder.fitted("avif", base)
    assert fitted.colour is not None

    def curve(coder: BaseCoder) -> tuple[list[float], list[float]]:
        sizes, values = [], []
        for quality in (20, 40, 60, 80):
            data = coder.encode(base, quality)
            sizes.append(float(np.log(len(data))))
            values.append(psnr(base, coder.decode(data, height=256, width=256)))
        return sizes, values

    grid = np.linspace(curve(plain)[0][0] + 0.5, curve(plain)[0][-1] - 0.5, 9)
    gain = np.interp(grid, *curve(fitted)) - np.interp(grid, *curve(plain))
    assert gain.mean() > 0


@pytest.mark.parametrize("codec", ["jp2k", "jpeg"])
def test_what_others_open_has_natural_colours(base: Image, codec: str) -> None:
    assert BaseCoder.fitted(codec, base).colour is None  # type: ignore[arg-type]


def test_an_avif_file_states_its_transform_and_decodes_with_it(
    slide_path: Path, slide_image: Image, tmp_path: Path
) -> None:
    with open_source(slide_path) as source:
        settings = EncodeSettings(codec="avif", ratio=None, quality=95)
        encode(source, tmp_path / "x.hc.tif", BicubicGenerator(4), settings)
    with Container(tmp_path / "x.hc.tif") as container:
        manifest = container.manifest
    assert manifest.base.colour is not None
    assert manifest.requires == ("colour",)
    with Decoder(tmp_path / "x.hc.tif") as decoder:
        size = decoder.levels[1]
        found = decoder.read(Region(0, 0, size.width, size.height), 1)
    assert psnr(downsample(slide_image, 4), found) > 35
