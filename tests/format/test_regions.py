"""Regions of interest: what is read, what comes back out, and which tiles are touched."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from histocodec.format.regions import RegionsOfInterest
from histocodec.geometry import Grid, Region, Size
from tests.format.shapes import (
    GRID,
    QUPATH,
    SLIDE,
    TILE,
    VALUES,
    Json,
    Position,
    feature,
    geometry,
    reason,
    rectangle,
    regions,
    ring,
    tiles,
)

# ---- what is read, and what comes back out


def test_what_qupath_exports_comes_back_as_it_was() -> None:
    found = RegionsOfInterest.from_geojson(json.dumps(QUPATH, indent=2).encode(), SLIDE)
    written = found.to_geojson()
    assert json.dumps(json.loads(written)) == json.dumps(QUPATH)
    assert written == json.dumps(QUPATH, ensure_ascii=False, separators=(",", ":")).encode()
    assert found.blocks(GRID) == {(1, 0), (0, 0)}
    assert found.outside == 0


def test_older_exports_and_other_tools() -> None:
    """A bare array, one Feature, a bare geometry, a byte order mark: the same regions."""
    shape = rectangle(0, 0, 5, 5)
    plain = regions(shape)
    for other in ([feature(shape)], feature(shape), shape, {"crs": None, **json.loads(plain.to_geojson())}):
        found = RegionsOfInterest.from_geojson(json.dumps(other).encode(), SLIDE)
        assert found == plain
        assert found.to_geojson() == plain.to_geojson()
    assert RegionsOfInterest.from_geojson(b"\xef\xbb\xbf" + plain.to_geojson(), SLIDE) == plain


def test_regions_are_equal_if_what_comes_out_is() -> None:
    one = regions(rectangle(0, 0, 5, 5))
    assert one == regions(rectangle(0, 0, 5, 5))
    assert hash(one) == hash(regions(rectangle(0, 0, 5, 5)))
    assert one != regions(rectangle(0, 0, 5, 6))
    assert one != regions(rectangle(0, 0, 5, 5), slide=Size(2000, 1501))


@pytest.mark.parametrize(
    "properties", [{}, {"properties": None}, {"properties": {"a": [None, True, {"b": "ü\u2028"}]}}]
)
def test_properties_come_back_as_they_were(properties: Json) -> None:
    given = {"type": "Feature", "id": 7, "geometry": rectangle(0, 0, 5, 5), **properties}
    found = RegionsOfInterest.from_geojson(json.dumps(given).encode(), SLIDE)
    assert json.loads(found.to_geojson()) == json.loads(json.dumps({"type": "FeatureCollection", "features": [given]}))


COORDINATES = st.floats(-100, 3000) | st.integers(-100, 3000)


@settings(deadline=None)
@given(COORDINATES, COORDINATES, VALUES)
def test_what_comes_out_goes_in_again(x: float, y: float, value: object) -> None:
    given = [feature(geometry("Point", [x, y]), value=value), feature(rectangle(0, 0, 5, 5))]
    once = RegionsOfInterest.from_geojson(json.dumps(given).encode(), SLIDE)
    again = RegionsOfInterest.from_geojson(once.to_geojson(), SLIDE)
    assert again == once
    assert again.to_geojson() == once.to_geojson()
    assert json.loads(once.to_geojson())["features"][0]["geometry"]["coordinates"] == [x, y]


def test_a_third_coordinate_is_kept_and_ignored() -> None:
    shape = geometry("LineString", [[600, 5, 9000], [700, 5, -1]])
    assert tiles(shape) == {(1, 0)}
    assert json.loads(regions(shape).to_geojson())["features"][0]["geometry"] == shape


def test_reading_a_file(tmp_path: Path) -> None:
    path = tmp_path / "annotations.geojson"
    path.write_bytes(regions(rectangle(0, 0, 5, 5)).to_geojson())
    assert RegionsOfInterest.read(path, SLIDE) == regions(rectangle(0, 0, 5, 5))


# ---- touching


@pytest.mark.parametrize(
    ("shape", "touched"),
    [
        (rectangle(0, 0, 512, 512), {(0, 0)}),
        (rectangle(512, 512, 1024, 1024), {(1, 1)}),
        (rectangle(0, 0, math.nextafter(512, 600), 512), {(0, 0), (1, 0)}),
        (rectangle(math.nextafter(512, 0), 0, 600, 512), {(0, 0), (1, 0)}),
        (rectangle(500, 500, 513, 513), {(0, 0), (1, 0), (0, 1), (1, 1)}),
        # Three tiles around a corner; the fourth is only met at that corner.
        (geometry("Polygon", [ring((502, 522), (522, 502), (502, 502))]), {(0, 0), (1, 0), (0, 1)}),
        (geometry("Point", [511.999, 0]), {(0, 0)}),
        (geometry("Point", [512, 0]), {(1, 0)}),
        (geometry("Point", [512, 512]), {(1, 1)}),
        (geometry("Point", [math.nextafter(512, 0), 512]), {(0, 1)}),
        (geometry("MultiPoint", [[0, 0], [1999, 1499]]), {(0, 0), (3, 2)}),
        (geometry("LineString", [[512, 10], [512, 20]]), {(1, 0)}),
        (geometry("LineString", [[10, 512], [20, 512]]), {(0, 1)}),
        (geometry("LineString", [[500, 5], [512, 5]]), {(0, 0), (1, 0)}),
        (geometry("LineString", [[500, 500], [520, 520]]), {(0, 0), (1, 1)}),
        (geometry("LineString", [[7, 7], [7, 7]]), {(0, 0)}),
        (geometry("MultiLineString", [[[0, 0], [1, 1]], [[1100, 5], [1101, 5]]]), {(0, 0), (2, 0)}),
        (geometry("MultiPolygon", [rectangle(x, 0, x + 9, 9)["coordinates"] for x in (0, 1100)]), {(0, 0), (2, 0)}),
        (
            {"type": "GeometryCollection", "geometries": [rectangle(0, 0, 9, 9), geometry("Point", [600, 600])]},
            {(0, 0), (1, 1)},
        ),
    ],
)
def test_borders(shape: Json, touched: set[tuple[int, int]]) -> None:
    assert tiles(shape) == touched


def test_holes_are_no_part_of_an_area() -> None:
    outer = ring((0, 0), (1536, 0), (1536, 1500), (0, 1500))
    exactly, less = (
        geometry("Polygon", [outer, ring((low, low), (low, high), (high, high), (high, low))])
        for low, high in ((512, 1024), (512.5, 1024))
    )
    everything = {(column, row) for column in range(3) for row in range(3)}
    assert tiles(exactly) == everything - {(1, 1)}
    assert tiles(less) == everything


SMALL = Size(67, 65)
SMALL_GRID = Grid(SMALL, 10)


def small_tiles(*rings: list[Position]) -> set[tuple[int, int]]:
    """Tiles of 10 px that a polygon touches."""
    return regions(geometry("Polygon", rings), slide=SMALL).blocks(SMALL_GRID)


def test_an_outline_that_crosses_itself_is_all_that_it_encloses() -> None:
    bow_tie = small_tiles(ring((5, 5), (65, 65), (65, 5), (5, 65)))
    assert {(0, 0), (0, 3), (6, 3), (6, 6), (3, 3)} <= bow_tie
    assert not {(3, 0), (3, 6), (2, 0), (4, 6)} & bow_tie
    twice = small_tiles(ring((0, 0), (60, 0), (60, 60), (0, 60), (0, 0), (50, 0), (50, 50), (0, 50)))
    assert twice == {(column, row) for column in range(6) for row in range(6)}


def test_outlines_that_cross_themselves_come_back_as_drawn() -> None:
    bow_tie = geometry("Polygon", [[[5, 5], [65, 65], [65, 5], [5, 65], [5, 5]]])
    found = regions(bow_tie)
    found.blocks(GRID)
    assert json.loads(found.to_geojson())["features"][0]["geometry"] == bow_tie


def test_areas_of_nothing() -> None:
    assert small_tiles(ring((10, 0), (10, 5), (10, 9))) == {(1, 0)}  # flat: a line
    assert small_tiles(ring((10, 10), (10, 10), (10, 10))) == {(1, 1)}  # a point
    square = ring((0, 0), (30, 0), (30, 30), (0, 30))
    assert small_tiles(square, square) == set()
    assert regions(geometry("Polygon", [square, square])).outside == 1


def test_overlapping_parts_are_both_areas() -> None:
    parts = [rectangle(0, 0, 60, 60)["coordinates"], rectangle(10, 10, 50, 50)["coordinates"]]
    found = regions(geometry("MultiPolygon", parts), slide=SMALL)
    assert found.blocks(SMALL_GRID) == {(column, row) for column in range(6) for row in range(6)}


def test_beyond_the_slide_there_are_no_tiles() -> None:
    """The last column and row of tiles reach beyond the slide; a region there does not touch them."""
    shapes = [rectangle(67, 0, 70, 65), rectangle(-9, 0, 0, 9), geometry("Point", [5, 65]), geometry("Point", [66, 64])]
    found = regions(*shapes, slide=SMALL)
    assert found.blocks(SMALL_GRID) == {(6, 6)}
    assert found.outside == 3
    assert found.touches(Region(67, 0, 3, 10))
    assert len(json.loads(found.to_geojson())["features"]) == 4


NUMBERS = st.integers(-8, 80) | st.integers(-16, 160).map(lambda n: n / 2) | st.floats(-8, 80)
POSITIONS = st.tuples(NUMBERS, NUMBERS)
SHAPES = st.one_of(
    st.builds(geometry, st.just("Point"), POSITIONS),
    st.builds(geometry, st.just("LineString"), st.lists(POSITIONS, min_size=2, max_size=5)),
    st.builds(
        geometry,
        st.just("Polygon"),
        st.lists(st.lists(POSITIONS, min_size=3, max_size=7).map(lambda p: ring(*p)), min_size=1, max_size=2),
    ),
    st.builds(rectangle, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
)


@settings(deadline=None)
@given(st.lists(SHAPES, min_size=1, max_size=4), st.integers(1, 70), st.integers(1, 70), st.integers(5, 40))
def test_the_tiles_are_those_that_are_touched(shapes: list[Json], width: int, height: int, tile: int) -> None:
    grid = Grid(Size(width, height), tile)
    found = regions(geometry("Point", [0, 0]), *shapes, slide=grid.size)
    addresses = [grid.address(index) for index in range(grid.count)]
    assert found.blocks(grid) == {address for address in addresses if found.touches(grid.covered(*address))}


CORNERS, SIDES = st.integers(-20, 80), st.integers(1, 60)


@settings(deadline=None)
@given(CORNERS, CORNERS, SIDES, SIDES, CORNERS, CORNERS, SIDES)
def test_rectangles_touch_if_they_share_pixels(
    left: int, top: int, width: int, height: int, x: int, y: int, side: int
) -> None:
    right, bottom = left + width, top + height
    shares = left < x + side and x < right and top < y + side and y < bottom
    found = regions(rectangle(left, top, right, bottom), geometry("Point", [1999, 1499]))
    assert found.touches(Region(x, y, side, side)) == shares


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 21), st.integers(0, 21)), min_size=3, max_size=3))
def test_no_tile_with_a_part_of_an_area_is_missed(corners: list[tuple[int, int]]) -> None:
    """The centre of a triangle lies within it. Corners on whole multiples of 3 px: the centre is exact."""
    (ax, ay), (bx, by), (cx, cy) = corners
    assume((bx - ax) * (cy - ay) != (cx - ax) * (by - ay))
    touched = small_tiles(ring(*((3 * x, 3 * y) for x, y in corners)))
    assert ((ax + bx + cx) // 10, (ay + by + cy) // 10) in touched


@settings(deadline=None)
@given(POSITIONS)
def test_a_point_lies_in_one_tile(position: Position) -> None:
    x, y = position
    within = 0 <= x < SMALL.width and 0 <= y < SMALL.height
    found = regions(geometry("Point", [x, y]), geometry("Point", [0, 0]), slide=SMALL)
    assert found.blocks(SMALL_GRID) == {(0, 0)} | ({(int(x // 10), int(y // 10))} if within else set())
    assert found.outside == (0 if within else 1)


def test_tiles_of_a_large_slide_do_not_take_a_loop_over_everything() -> None:
    """A thousand outlines of 200 corners on 200 x 200 tiles: tiles times outlines would be 40 million tests."""
    slide = Size(200 * TILE, 200 * TILE)
    angles = [2 * math.pi * step / 200 for step in range(200)]
    circles = [
        geometry("Polygon", [ring(*((x + 1500 * math.cos(a), y + 1500 * math.sin(a)) for a in angles))])
        for x in range(2000, 100_000, 3000)
        for y in range(2000, 93_000, 3000)
    ]
    found = regions(*circles, slide=slide)
    assert len(circles) > 1000
    began = time.process_time()
    touched = found.blocks(Grid(slide, TILE))
    assert time.process_time() - began < 10
    assert {(2000 // TILE, 2000 // TILE), (3500 // TILE, 2000 // TILE)} <= touched
    assert (0, 0) not in touched


def test_all_outside() -> None:
    why = reason([feature(rectangle(2000, 10.5, 2400, 20)), feature(geometry("Point", [5, -3]))])
    assert "the regions reach from x = 5 to 2400 and from y = -3 to 20, the slide is 2000 x 1500 px" in why
    assert "micrometres, or pixels of another level?" in why
