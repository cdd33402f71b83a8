"""What the pictures and numbers of the fields rest on: the scale bar, the places, the measures of detail and warmth."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.field_pictures import Panel, difference, sheet
from benchmarks.fields import FIELD, INVENTED, KEPT, LOST, Slide, count_nuclei, detail, warmth
from histocodec.geometry import Region, Size


def test_a_scale_bar_is_as_long_as_it_says() -> None:
    black = np.zeros((200, 240, 3), np.uint8)
    drawn = np.asarray(sheet([[Panel(black, "a title", "a note"), Panel(black)]], zoom=2, um_per_px=0.5, bar_um=50))
    assert drawn.shape == (8 + 22 + 20 + 400 + 8, 8 + 2 * (480 + 8), 3)
    white = (drawn[50:450, 8:488] == 255).all(-1).sum(1)
    assert white.max() == 50 / 0.5 * 2 - 2  # without its outline
    assert not (drawn[50:450, 496:976]).any()  # in the first panel of a row alone


def test_a_pixel_is_shown_as_it_is() -> None:
    panel = np.random.default_rng(1).integers(0, 256, (12, 20, 3), np.uint8)
    drawn = np.asarray(sheet([[Panel(np.zeros_like(panel)), Panel(panel)]], zoom=3, um_per_px=1, bar_um=1))
    np.testing.assert_array_equal(drawn[8 : 8 + 36 : 3, 76 : 76 + 60 : 3], panel)


def test_a_difference_is_grey_where_nothing_differs() -> None:
    image = np.full((2, 2, 3), 200, np.uint8)
    assert (difference(image, image, 2) == 128).all()
    assert (difference(image, image - 10, 2) == 108).all()
    assert (difference(image, image - 100, 2) == 0).all()


def test_a_tile_lies_where_it_was_laid() -> None:
    slide = Slide("folder", ("a", "b", "c", "d", "e"), Size(40, 30), 3, Path("slide.tif"))
    assert slide.region("a") == Region(0, 0, 40, 30)
    assert slide.region("e") == Region(40, 30, 40, 30)


def test_spots_lie_on_the_grid_of_a_10x_base() -> None:
    assert not any(n % 4 for spot in (FIELD, *KEPT, *LOST, *INVENTED) for n in (spot.x, spot.y))


def test_detail_is_what_a_10x_base_cannot_hold() -> None:
    rng = np.random.default_rng(2)
    base = rng.integers(60, 200, (16, 16, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    fine = rng.integers(-20, 21, (64, 64, 1))
    image = (base + fine).astype(np.uint8)
    own = detail({"t": image}, {"t": image})
    assert own == pytest.approx({"detail_share": 1, "detail_correlation": 1})
    half = detail({"t": image}, {"t": (base + fine // 2).astype(np.uint8)})
    assert half["detail_share"] == pytest.approx(0.5, abs=0.02)
    assert half["detail_correlation"] > 0.99
    other = detail({"t": image}, {"t": (base + rng.permutation(fine.ravel()).reshape(fine.shape)).astype(np.uint8)})
    assert other["detail_share"] == pytest.approx(1, abs=0.1)
    assert abs(other["detail_correlation"]) < 0.1


def test_warmth_is_of_the_yellowest_cells() -> None:
    pink = np.full((320, 320, 3), (220, 160, 200), np.uint8)
    orange = pink.copy()
    orange[:32, :32] = (230, 160, 80)
    measured = warmth({"t": orange}, {"t": pink})
    assert measured["warm_b_original"] > 40
    assert measured["warm_b"] < 0


def test_a_speck_is_no_nucleus() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[2:8, 2:8] = True
    mask[20:24, 20:24] = True
    mask[30:36, 2:8] = True
    assert count_nuclei(mask) == 2
