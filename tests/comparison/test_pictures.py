"""Pictures of a comparison: the worst squares, the map and the histograms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image as PILImage

from histocodec.comparison import heatmap
from histocodec.comparison.compare import Comparison
from histocodec.comparison.pictures import histograms_picture, map_picture, worst_squares
from histocodec.comparison.sheet import MARGIN, MARK, WIDTH
from histocodec.decoder import Decoder
from histocodec.geometry import Image, Region, Size
from histocodec.source import Source
from tests.comparison.inputs import psnr_db


def pixels(picture: PILImage.Image) -> Image:
    assert picture.mode == "RGB"
    assert picture.width == WIDTH
    return np.asarray(picture)


def test_the_worst_squares_are_pixels_of_the_slide(comparison: Comparison, source: Source, decoder: Decoder) -> None:
    shown = list(worst_squares(source, decoder, comparison, count=2))
    assert [square.block for square in shown] == comparison.ranked()[:2]
    for square in shown:
        region = square.region
        assert max(region.width, region.height) <= 256
        assert np.array_equal(square.original, source.read(region))
        assert np.array_equal(square.decoded, decoder.read(region))
        assert psnr_db(square.original, square.decoded) == pytest.approx(square.block.lowest_db, abs=1e-3)
        expected = np.clip(128 + 4 * (square.decoded.astype(int) - square.original), 0, 255)
        assert np.array_equal(square.difference, expected)
    assert len(list(worst_squares(source, decoder, comparison))) == 6


LEFT, TOP, ACROSS, DOWN = 32, 32, 1390, 1137
"""Where the slide lies in its map: 1100 x 900 px, times 1390 / 1100."""


def test_the_worst_tile_is_outlined_in_its_place(
    comparison: Comparison, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heatmap, "badge", lambda draw, centre, number: None)
    for block in comparison.blocks:
        alone = dataclasses.replace(comparison, blocks=(block,))
        rows, columns = np.nonzero((pixels(map_picture(decoder, alone, count=1)) == MARK).all(-1))
        region = comparison.region(block)
        factor = ACROSS / 1100
        left, right = LEFT + region.x * factor, LEFT + region.right * factor
        top, bottom = TOP + region.y * factor, TOP + region.bottom * factor
        found = (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1)
        assert found == pytest.approx((left - 4, right + 4, top - 4, bottom + 4), abs=1)
    assert not (pixels(map_picture(decoder, comparison, count=0)) == MARK).all(-1).any()
    drawn = (pixels(map_picture(decoder, comparison, count=2)) == MARK).all(-1)
    assert drawn.sum() > len(rows)


def test_the_map_is_coloured_where_tiles_were_compared(comparison: Comparison, decoder: Decoder) -> None:
    middle = next(block for block in comparison.blocks if (block.column, block.row) == (1, 0))
    shown = pixels(map_picture(decoder, dataclasses.replace(comparison, blocks=(middle,)), count=0))
    ground = shown[TOP : TOP + DOWN, LEFT : LEFT + ACROSS].astype(int)
    coloured = np.ptp(ground, axis=-1) > 0
    x, y = round(512 * ACROSS / 1100), round(512 * ACROSS / 1100)
    expected = np.zeros_like(coloured)
    expected[:y, x : 2 * x] = True
    assert np.mean(coloured != expected) < 0.005


def test_low_and_high_psnr_have_the_colours_of_the_scale(comparison: Comparison, decoder: Decoder) -> None:
    levels = {0: 20.0, 1: 30.0, 2: 40.0}
    tiles = tuple(dataclasses.replace(block, psnr_db=levels[block.column]) for block in comparison.blocks)
    shown = pixels(map_picture(decoder, dataclasses.replace(comparison, blocks=tiles), count=0)).astype(int)
    low, middle, high = (
        shown[TOP + 300 : TOP + 500, LEFT + round(x * ACROSS / 1100) :][:, :60].mean((0, 1)) for x in (200, 700, 1040)
    )
    # From dark blue over teal to pale yellow, as the bar runs from its lower end to its upper.
    assert low.sum() < middle.sum() < high.sum()
    assert low[2] > low[0]
    assert high[0] > high[2]
    bar = shown[TOP : TOP + DOWN, LEFT + ACROSS + 36 + 14]
    assert bar[-1].sum() < bar[DOWN // 2].sum() < bar[0].sum()


def test_the_colours_are_those_of_the_tissue(half_glass: Decoder, comparison: Comparison) -> None:
    """Glass of 60 dB leaves the colours of tissue of 20 to 30 dB as they are without it."""
    levels = {(0, 0): 20.0, (0, 1): 30.0}
    tiles = tuple(
        dataclasses.replace(block, psnr_db=levels.get((block.column, block.row), 60.0)) for block in comparison.blocks
    )
    both, alone = (
        dataclasses.replace(comparison, blocks=tiles),
        dataclasses.replace(comparison, blocks=tuple(block for block in tiles if block.column == 0)),
    )
    shown, expected = (pixels(map_picture(half_glass, found, count=0)) for found in (both, alone))
    tissue = np.s_[TOP : TOP + DOWN, LEFT : LEFT + round(500 * ACROSS / 1100)]
    assert np.array_equal(shown[tissue], expected[tissue])


def test_a_tall_slide_fits_into_its_map(decoder: Decoder, comparison: Comparison) -> None:
    ground = heatmap._Ground.of(Size(1000, 40000))
    assert ground.shape == Size(32, 1300)
    assert ground.place(Region(500, 39000, 500, 1000))[1:] == (MARGIN + 1268, ground.left + 32, MARGIN + 1300)
    assert MARGIN < ground.left < WIDTH // 2


def test_histograms_have_bars_and_lines(comparison: Comparison) -> None:
    shown = pixels(histograms_picture(comparison))
    assert shown.shape[0] == 1080
    panels = [shown[y : y + 540, x : x + 820] for y in (0, 540) for x in (0, 820)]
    for panel in panels:
        assert (panel == (0x9F, 0xB6, 0xC9)).all(-1).sum() > 1000
        assert (panel == (0xB0, 0x00, 0x24)).all(-1).sum() > 50
    without = dataclasses.replace(
        comparison, blocks=tuple(dataclasses.replace(block, ssim=None) for block in comparison.blocks)
    )
    panel = pixels(histograms_picture(without))[:540, 820:]
    assert not (panel == (0x9F, 0xB6, 0xC9)).all(-1).any()
