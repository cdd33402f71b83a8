"""The colour transform of bases that only a decoder looks at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histocodec.decoder import Decoder
from histocodec.demo.synthetic import tissue
from histocodec.encoder import EncodeSettings, encode
from histocodec.format.reader import Container
from histocodec.generators.bicubic import BicubicGenerator
from histocodec.geometry import Image, Region, Size
from histocodec.pixels.colour import UNCHANGED, ColourTransform, fit_colours
from histocodec.pixels.downsample import downsample
from histocodec.pixels.metrics import psnr
from histocodec.pixels.tile_coder import TileCoder
from histocodec.source import open_source


@pytest.fixture(scope="module")
def base() -> Image:
    return downsample(tissue(Size(1024, 1024), seed=5), 4)


@pytest.mark.parametrize("factor", [1, 1 << 8])
def test_it_is_what_the_formula_says(factor: int) -> None:
    """factor: with the larger one, sums do not fit into 32 bits."""
    numbers = tuple(
        factor * v for v in (17500, -1234, 567, 99 << 16, 3, 16384, -16384, 12345678, -100000, 8, 15, 16 << 16)
    )
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 1024, (9, 7, 3)).astype(np.uint16)
    undone = ColourTransform(numbers).undo(stored)
    for y, x in np.ndindex(9, 7):
        for i in range(3):
            total = sum(numbers[4 * i + j] * (int(stored[y, x, j]) - 512) for j in range(3)) + numbers[4 * i + 3]
            assert undone[y, x, i] == min(255, max(0, (total + (1 << 15)) >> 16))


@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0, 1, 20, 80, 200]))
@settings(max_examples=40, deadline=None)
def test_every_colour_comes_back_whatever_the_slide_is_like(seed: int, spread: int) -> None:
    """Of ink, of glass, of white: what a transform cannot hold would be wrong in every file."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 256, 3)
    pixels = np.clip(ground + spread * rng.standard_normal((500, 1)) * rng.standard_normal(3), 0, 255).astype(np.uint8)
    transform = fit_colours(pixels)
    corners = np.stack(np.meshgrid(*[[0, 1, 127, 128, 254, 255]] * 3), -1).reshape(-1, 1, 3).astype(np.uint8)
    image = np.concatenate([corners, rng.integers(0, 256, (3000, 1, 3), np.uint8)])
    stored = transform.apply(image)
    assert stored.dtype == np.uint16
    assert stored.max() <= 1023
    assert np.array_equal(transform.undo(stored), image)


def test_an_image_of_several_strips_is_transformed_as_a_whole() -> None:
    image = np.random.default_rng(4).integers(0, 256, (310, 300, 3), np.uint8)
    image[100:200] = 255
    transform = fit_colours(image)
    stored = transform.apply(image)
    assert np.array_equal(transform.undo(stored), image)
    assert np.array_equal(stored[250:], transform.apply(image[250:]))
    assert (stored[100:200] == transform.apply(image[100:101, :1])).all()


def test_the_first_plane_carries_the_axis_of_most_variance(base: Image) -> None:
    planes = fit_colours(base.reshape(-1, 3)).apply(base).reshape(-1, 3)[:, [1, 2, 0]]
    correlation = np.asarray(np.corrcoef(planes.T))
    assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 0.05
    assert planes.var(0)[0] > planes.var(0)[1] > planes.var(0)[2] - 1


@pytest.mark.parametrize("pixels", [np.full((50, 3), 240, np.uint8), np.zeros((1, 3), np.uint8)])
def test_flat_colours_have_no_axes(pixels: Image) -> None:
    assert fit_colours(pixels) == UNCHANGED


@pytest.mark.parametrize("level", [255, 254, 128, 0])
@pytest.mark.parametrize("quality", [20, 35, 60])
def test_a_flat_colour_beside_tissue_stays_what_it_is(base: Image, level: int, quality: int) -> None:
    """White most of all: a viewer's background beside it shows a single step."""
    tile = np.full((256, 256, 3), level, np.uint8)
    tile[:96] = base[:96]
    coder = TileCoder.fitted("av1", base)
    decoded = coder.decode(coder.encode(tile, quality), height=256, width=256)
    assert np.abs(decoded[160:].astype(int) - level).max() <= (0 if level == 255 else 1)


def test_fewer_bytes_at_equal_fidelity(base: Image) -> None:
    """On synthetic tissue it must at least do no harm; benchmarks/NOTES.md has real tissue."""
    plain, fitted = TileCoder("av1"), TileCoder.fitted("av1", base)
    assert fitted.colour is not None

    def curve(coder: TileCoder) -> tuple[list[float], list[float]]:
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
    assert TileCoder.fitted(codec, base).colour is None  # type: ignore[arg-type]


def test_an_av1_file_states_its_transform_and_decodes_with_it(
    slide_path: Path, slide_image: Image, tmp_path: Path
) -> None:
    with open_source(slide_path) as source:
        high = EncodeSettings(codec="av1", ratio=None, quality=95)
        encode(source, tmp_path / "x.hc.tif", BicubicGenerator(4), high)
    with Container(tmp_path / "x.hc.tif") as container:
        manifest = container.manifest
    assert manifest.base.colour is not None
    assert manifest.base.subifd == 0
    with Decoder(tmp_path / "x.hc.tif") as decoder:
        size = decoder.levels[1]
        found = decoder.read(Region(0, 0, size.width, size.height), 1)
    assert psnr(downsample(slide_image, 4), found) > 35


def test_a_shift_is_a_fraction_of_a_step_too() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(40, 200, (200, 200, 3)).astype(np.uint8)
    transform = fit_colours(image)
    stored = (transform.apply(image) + rng.integers(-4, 5, image.shape)).astype(np.uint16)  # as a codec's error does
    moved = transform.shifted(np.array([0.3, -0.75, 2.0])).undo(stored).astype(float) - transform.undo(stored)
    assert np.abs(moved.mean((0, 1)) - [0.3, -0.75, 2.0]).max() < 0.03
