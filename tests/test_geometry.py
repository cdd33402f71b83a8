"""Integer geometry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histocodec.errors import RegionError
from histocodec.geometry import Grid, Region, Size

SIDES = st.integers(1, 70)


@given(SIDES, SIDES, st.integers(1, 20))
def test_a_grid_covers_every_pixel_once(width: int, height: int, tile: int) -> None:
    grid = Grid(Size(width, height), tile)
    area = 0
    for index in range(grid.count):
        covered = grid.covered(*grid.address(index))
        assert grid.index(*grid.address(index)) == index
        assert covered.within(grid.size)
        area += covered.width * covered.height
    assert area == width * height


@given(SIDES, SIDES, st.integers(1, 20), st.integers(-10, 80), st.integers(-10, 80), SIDES, SIDES)
def test_touching_is_exactly_the_tiles_that_share_a_pixel(
    width: int, height: int, tile: int, x: int, y: int, w: int, h: int
) -> None:
    grid, region = Grid(Size(width, height), tile), Region(x, y, w, h)
    expected = []
    for row in range(grid.shape.height):
        for column in range(grid.shape.width):
            c = grid.covered(column, row)
            if c.x < region.right and region.x < c.right and c.y < region.bottom and region.y < c.bottom:
                expected.append((column, row))
    assert list(grid.touching(region)) == expected


def test_clipping_and_scaling() -> None:
    assert Region(-3, 5, 10, 10).clipped(Size(100, 8)) == Region(0, 5, 7, 3)
    assert Region(100, 0, 5, 5).clipped(Size(100, 8)) is None
    assert Region(1, 2, 3, 4).scaled(4) == Region(4, 8, 12, 16)
    assert Region(1, 2, 3, 4).grown(2) == Region(-1, 0, 7, 8)
    assert Size(9, 8).divided(4) == Size(3, 2)


def test_what_two_regions_share() -> None:
    assert Region(2, 3, 10, 4).overlap(Region(-5, 5, 9, 9)) == Region(2, 5, 2, 2)
    assert Region(2, 5, 2, 2).area == 4
    with pytest.raises(RegionError):
        Region(0, 0, 5, 5).overlap(Region(5, 0, 5, 5))
    Region(2, 3, 10, 4).check_within(Size(12, 7))
    with pytest.raises(RegionError, match="12 x 6 px"):
        Region(2, 3, 10, 4).check_within(Size(12, 6))


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (-2, 5)])
def test_a_region_without_area_is_refused(width: int, height: int) -> None:
    with pytest.raises(RegionError):
        Region(0, 0, width, height)


def test_a_tile_beyond_the_grid_is_refused() -> None:
    with pytest.raises(RegionError):
        Grid(Size(10, 10), 5).covered(2, 0)
