"""Regions of interest: what is read, what comes back out, and which tiles are touched."""

from __future__ import annotations

import gzip
import json
import math
import time
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from histocodec.errors import RoiError
from histocodec.format import regions as roi
from histocodec.format.regions import RegionsOfInterest
from histocodec.geometry import Region, Size, TileGrid

SLIDE = Size(2000, 1500)
TILE = 512
GRID = TileGrid(SLIDE, TILE)

Json = dict[str, object]
Position = tuple[float, float]


def geometry(kind: str, coordinates: object) -> Json:
    return {"type": kind, "coordinates": coordinates}


def feature(shape: object, **properties: object) -> Json:
    return {"type": "Feature", "geometry": shape, "properties": properties}


def ring(*corners: Position) -> list[Position]:
    return [*corners, corners[0]]


def rectangle(left: float, top: float, right: float, bottom: float) -> Json:
    return geometry("Polygon", [ring((left, top), (right, top), (right, bottom), (left, bottom))])


def regions(*shapes: object, slide: Size = SLIDE) -> RegionsOfInterest:
    collection = {"type": "FeatureCollection", "features": [feature(shape) for shape in shapes]}
    return RegionsOfInterest.from_geojson(json.dumps(collection).encode(), slide)


def tiles(*shapes: object) -> set[tuple[int, int]]:
    return regions(*shapes).tiles(GRID)


def reason(data: bytes | object) -> str:
    """Why it is refused. data: the bytes of a file, or a JSON value."""
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    with pytest.raises(RoiError) as refused:
        RegionsOfInterest.from_geojson(text, SLIDE)
    assert refused.value.path is None
    return str(refused.value)


QUPATH: Json = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "e6b1f0a2-6b55-4f0c-9f0e-2d3a9e1b7c11",
            "geometry": rectangle(600.25, 30.1, 700.75, 99.99),
            "properties": {
                "objectType": "annotation",
                "name": "Herd 3 – Übergang",
                "classification": {"name": "Tumor", "color": [200, 0, 0]},
                "isLocked": True,
                "measurements": {"Area µm^2": 1234.5678901234567, "Num Detections": 12, "tiny": -0.0, "far": 1e300},
            },
        },
        {
            "type": "Feature",
            "id": "PathAnnotationObject",
            "geometry": {
                **geometry("Polygon", [ring((10, 20), (14, 16), (18, 20), (14, 24))]),
                "isEllipse": True,
                "plane": {"c": -1, "z": 0, "t": 0},
            },
            "nucleusGeometry": geometry("Point", [14, 20]),
            "properties": {"object_type": "annotation", "measurements": [{"name": "Area", "value": 3}]},
        },
    ],
}


# ---- what is read, and what comes back out


def test_what_qupath_exports_comes_back_as_it_was() -> None:
    found = RegionsOfInterest.from_geojson(json.dumps(QUPATH, indent=2).encode(), SLIDE)
    written = found.to_geojson()
    assert json.dumps(json.loads(written)) == json.dumps(QUPATH)
    assert written == json.dumps(QUPATH, ensure_ascii=False, separators=(",", ":")).encode()
    assert found.tiles(GRID) == {(1, 0), (0, 0)}
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


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
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
SMALL_GRID = TileGrid(SMALL, 10)


def small_tiles(*rings: list[Position]) -> set[tuple[int, int]]:
    """Tiles of 10 px that a polygon touches."""
    return regions(geometry("Polygon", rings), slide=SMALL).tiles(SMALL_GRID)


def test_an_outline_that_crosses_itself_is_all_that_it_encloses() -> None:
    bow_tie = small_tiles(ring((5, 5), (65, 65), (65, 5), (5, 65)))
    assert {(0, 0), (0, 3), (6, 3), (6, 6), (3, 3)} <= bow_tie
    assert not {(3, 0), (3, 6), (2, 0), (4, 6)} & bow_tie
    twice = small_tiles(ring((0, 0), (60, 0), (60, 60), (0, 60), (0, 0), (50, 0), (50, 50), (0, 50)))
    assert twice == {(column, row) for column in range(6) for row in range(6)}


def test_outlines_that_cross_themselves_come_back_as_drawn() -> None:
    bow_tie = geometry("Polygon", [[[5, 5], [65, 65], [65, 5], [5, 65], [5, 5]]])
    found = regions(bow_tie)
    found.tiles(GRID)
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
    assert found.tiles(SMALL_GRID) == {(column, row) for column in range(6) for row in range(6)}


def test_beyond_the_slide_there_are_no_tiles() -> None:
    """The last column and row of tiles reach beyond the slide; a region there does not touch them."""
    shapes = [rectangle(67, 0, 70, 65), rectangle(-9, 0, 0, 9), geometry("Point", [5, 65]), geometry("Point", [66, 64])]
    found = regions(*shapes, slide=SMALL)
    assert found.tiles(SMALL_GRID) == {(6, 6)}
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
    grid = TileGrid(Size(width, height), tile)
    found = regions(geometry("Point", [0, 0]), *shapes, slide=grid.size)
    addresses = [grid.address(index) for index in range(grid.count)]
    assert found.tiles(grid) == {address for address in addresses if found.touches(grid.covered(*address))}


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
    assert found.tiles(SMALL_GRID) == {(0, 0)} | ({(int(x // 10), int(y // 10))} if within else set())
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
    touched = found.tiles(TileGrid(slide, TILE))
    assert time.process_time() - began < 10
    assert {(2000 // TILE, 2000 // TILE), (3500 // TILE, 2000 // TILE)} <= touched
    assert (0, 0) not in touched


# ---- what is refused


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "not JSON"),
        (b"<annotations/>", "not JSON: Expecting value: line 1 column 1"),
        (b"PK\x03\x04\xff\xfe", "not JSON"),
        (b'{"type":"Point","coordinates":[1,2]', "not JSON"),
        (b'{"type":"Point","coordinates":[1,2]} {}', "not JSON"),
        (b'{"type":"Point","coordinates":[' + b"1" * 5000 + b",2]}", "not JSON"),
        (b'{"type":"Point","type":"Point","coordinates":[1,2]}', 'every key once in an object, found "type"'),
        (b'{"type":"Feature","properties":{"a":NaN},"geometry":{"type":"Point","coordinates":[1,2]}}', "found NaN"),
        (b'{"type":"Point","coordinates":[1,-Infinity]}', "found -Infinity"),
        (b'{"type":"Point","coordinates":[1,1e999]}', "coordinates of at most 2147483648 pixels, found Infinity"),
        (b'{"type":"Feature","properties":{"a":1e999},"geometry":{"type":"Point","coordinates":[1,2]}}', "too large"),
        (rb'{"type":"Feature","id":"\ud800","geometry":{"type":"Point","coordinates":[1,2]}}', "half of a surrogate"),
        (rb'{"type":"\ud800"}', r'found an object of type "\ud800"'),
        (b"[" * 1_000_000, "nested more than 64 deep"),
        (b'{"a":' * 1_000_000, "nested more than 64 deep"),
        (b"[" * 500 + b"]" * 500, "expected an object of type Feature, found an array"),
    ],
)
def test_what_is_not_json_is_refused(data: bytes, expected: str) -> None:
    assert expected in reason(data)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, "expected GeoJSON: a FeatureCollection, a Feature, an array of Features, or a geometry; found null"),
        (5, "found 5"),
        ("a" * 100, 'found "' + "a" * 39 + "..."),
        ({}, "found an object without a type"),
        ({"type": ["Point"]}, "found an object without a type"),
        ({"type": "Topology"}, 'found an object of type "Topology"'),
        ([], "expected features, found an empty array"),
        ({"type": "FeatureCollection", "features": []}, "expected features, found an empty array"),
        ({"type": "FeatureCollection"}, "expected an array as features, found null or nothing"),
        ([5], "feature 1 of 1: expected an object of type Feature, found 5"),
        ([feature(rectangle(0, 0, 1, 1)), rectangle(0, 0, 1, 1)], "feature 2 of 2: expected an object of type Feature"),
        ({**feature(rectangle(0, 0, 1, 1)), "properties": [1]}, "expected an object as properties, found an array"),
        (feature(None), "expected a geometry, found null"),
        ({"type": "Feature", "properties": {}}, "expected a geometry, found null or nothing"),
        (feature(geometry("Circle", [1, 2])), 'GeometryCollection), found an object of type "Circle"'),
        ({"type": "Point"}, "expected an array as a position, found null or nothing"),
        ({"type": "GeometryCollection"}, "expected an array as geometries, found null or nothing"),
        ({"type": "GeometryCollection", "geometries": []}, "expected geometries, found an empty array"),
        ({"type": "GeometryCollection", "geometries": [[1]]}, "expected a geometry, found an array"),
        *((geometry(kind, []), "found an empty array") for kind in roi._GEOMETRIES[:-1]),
        (geometry("MultiPolygon", [[]]), "expected the rings of a polygon, found an empty array"),
        (geometry("Polygon", [[]]), "expected the positions of a ring, found an empty array"),
        (geometry("Polygon", [ring((0, 0), (1, 1))]), "at least 4 positions in a polygon's ring, found 3"),
        (geometry("Polygon", [[[0, 0], [1, 1]]]), "at least 4 positions in a polygon's ring, found 2"),
        (geometry("Polygon", [[[0, 0], [1, 0], [1, "1"]]]), 'expected numbers x and y in a position, found "1"'),
        ([feature(None), feature(geometry("Polygon", []))], "feature 1 of 2: expected a geometry, found null"),
        (geometry("LineString", [[0, 0]]), "at least 2 positions in a line, found 1"),
        (geometry("Point", [1]), "expected numbers x and y in a position, found null or nothing"),
        (geometry("Point", ["1", 2]), 'expected numbers x and y in a position, found "1"'),
        (geometry("Point", [True, 2]), "expected numbers x and y in a position, found true"),
        (geometry("Point", [[1, 2]]), "expected numbers x and y in a position, found an array"),
        (geometry("Point", {"x": 1}), "expected an array as a position, found an object without a type"),
        (geometry("Point", [3e9, 2]), "coordinates of at most 2147483648 pixels, found 3000000000.0"),
        (geometry("Point", [1, -(10**400)]), "coordinates of at most 2147483648 pixels, found -1000"),
    ],
)  # fmt: skip
def test_what_is_not_geojson_is_refused(document: object, expected: str) -> None:
    assert expected in reason(document)


# What is mended

SQUARE = [[10, 10], [400, 10], [400, 400], [10, 400], [10, 10]]


@pytest.mark.parametrize(
    "empty",
    [
        None,
        geometry("Polygon", []),
        geometry("Polygon", [[]]),
        geometry("MultiPolygon", [[], [[]]]),
        geometry("LineString", []),
        geometry("Point", []),
        {"type": "GeometryCollection", "geometries": []},
        {"type": "GeometryCollection", "geometries": [None, geometry("MultiPoint", [])]},
    ],
)
def test_features_without_a_geometry_are_left_out(empty: object) -> None:
    good = feature(geometry("Polygon", [SQUARE]), name="kept")
    found = RegionsOfInterest.from_geojson(json.dumps([feature(empty), good, feature(empty)]).encode(), SLIDE)
    assert json.loads(found.to_geojson())["features"] == [good]
    assert found.notes == ("2 regions of interest without a geometry left out",)
    assert found.without_properties().notes == found.notes


@pytest.mark.parametrize("last", [SQUARE[3], [10.0000001, 10]])
def test_open_rings_are_closed(last: list[float]) -> None:
    ring, hole = [*SQUARE[:3], last], [[50, 50, 7], [60, 50, 7], [60, 60, 7]]
    shapes = [
        geometry("Polygon", [ring, hole]),
        geometry("MultiPolygon", [[SQUARE], [ring, hole], []]),
        {"type": "GeometryCollection", "geometries": [geometry("Polygon", [ring, hole]), None]},
    ]
    closed_ring, closed_hole = [*ring, SQUARE[0]], [*hole, hole[0]]
    expected = [
        geometry("Polygon", [closed_ring, closed_hole]),
        geometry("MultiPolygon", [[SQUARE], [closed_ring, closed_hole]]),
        {"type": "GeometryCollection", "geometries": [geometry("Polygon", [closed_ring, closed_hole])]},
    ]
    given = [{**feature(shape, name="x"), "id": "7"} for shape in shapes]
    found = RegionsOfInterest.from_geojson(json.dumps(given).encode(), SLIDE)
    assert json.loads(found.to_geojson())["features"] == [{**feature(shape, name="x"), "id": "7"} for shape in expected]
    assert found.notes == ("6 outlines of regions of interest did not end where they began: closed",)
    again = RegionsOfInterest.from_geojson(found.to_geojson(), SLIDE)
    assert again == found
    assert again.notes == ()


def test_what_needs_no_mending_is_left_as_it_is() -> None:
    given = [feature(geometry("Polygon", [[*SQUARE[:4], [10, 10, 5]]])), feature(geometry("MultiPolygon", [[SQUARE]]))]
    found = RegionsOfInterest.from_geojson(json.dumps(given).encode(), SLIDE)
    assert json.loads(found.to_geojson())["features"] == given
    assert found.notes == ()


def test_regions_as_gzip(tmp_path: Path) -> None:
    plain = json.dumps(feature(geometry("Polygon", [SQUARE]))).encode()
    packed = gzip.compress(plain[:50]) + gzip.compress(plain[50:])
    for name in ("qupath.geojson.gz", "renamed.geojson"):
        (tmp_path / name).write_bytes(packed)
        assert RegionsOfInterest.read(tmp_path / name, SLIDE) == RegionsOfInterest.from_geojson(plain, SLIDE)
    assert "damaged gzip" in reason(packed[:-9])
    assert "damaged gzip" in reason(packed[:30] + b"12345678" + packed[38:])
    assert f"at most {roi.MAX_BYTES} bytes, found more" in reason(gzip.compress(bytes(roi.MAX_BYTES + 1)))


def refused_or_comes_back(data: bytes) -> None:
    """Whatever the bytes: a RoiError, or regions that survive being written."""
    try:
        found = RegionsOfInterest.from_geojson(data, SLIDE)
    except RoiError:
        return
    assert RegionsOfInterest.from_geojson(found.to_geojson(), SLIDE) == found


@settings(deadline=None)
@given(VALUES)
def test_whatever_the_json_nothing_but_a_roi_error_is_raised(value: object) -> None:
    for document in (
        value,
        [value],
        feature(value),
        {"type": "FeatureCollection", "features": value},
        {"type": "GeometryCollection", "geometries": value},
        *(geometry(kind, coordinates) for kind in roi._GEOMETRIES for coordinates in (value, [[value]], [[[value]]])),
    ):
        refused_or_comes_back(json.dumps(document).encode())


@settings(deadline=None)
@given(st.binary(max_size=50), st.integers(0, 400), st.integers(0, 20))
def test_whatever_the_bytes_nothing_but_a_roi_error_is_raised(noise: bytes, at: int, length: int) -> None:
    whole = json.dumps(QUPATH["features"], ensure_ascii=False).encode()
    for data in (noise, whole[:at] + noise + whole[at + length :]):
        refused_or_comes_back(data)


def nested(depth: int) -> Json:
    shape = geometry("Point", [1, 2])
    for _ in range(depth):
        shape = {"type": "GeometryCollection", "geometries": [shape]}
    return shape


def test_collections_within_each_other() -> None:
    assert tiles(nested(roi.MAX_COLLECTION_DEPTH)) == {(0, 0)}
    assert "GeometryCollections are nested more than 8 deep" in reason(nested(roi.MAX_COLLECTION_DEPTH + 1))


@pytest.mark.parametrize(("nesting", "refused"), [(62, False), (63, True)])
def test_properties_may_be_nested(nesting: int, refused: bool) -> None:
    """The Feature and its properties are two levels of the 64; what is written around it is none."""
    value: object = 1
    for _ in range(nesting):
        value = [value]
    given = feature(geometry("Point", [1, 2]), value=value)
    if refused:
        assert "nested more than 64 deep" in reason(given)
    else:
        found = RegionsOfInterest.from_geojson(json.dumps(given).encode(), SLIDE)
        assert RegionsOfInterest.from_geojson(found.to_geojson(), SLIDE) == found


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    point, line = geometry("Point", [1, 2]), geometry("LineString", [[1, 2], [3, 4]])
    with monkeypatch.context() as patch:
        patch.setattr(roi, "MAX_FEATURES", 2)
        assert len(regions(point, point).features) == 2
        assert "3 features, at most 2 are allowed" in reason([feature(point)] * 3)
    with monkeypatch.context() as patch:
        patch.setattr(roi, "MAX_POSITIONS", 3)
        assert len(regions(point, line).features) == 2
        assert "feature 2 of 3: over 3 positions up to here" in reason([feature(line), feature(line), feature(point)])
    with monkeypatch.context() as patch:
        data = regions(point).to_geojson()
        patch.setattr(roi, "MAX_BYTES", len(data))
        assert RegionsOfInterest.from_geojson(data, SLIDE).to_geojson() == data
        assert f"at most {len(data)} bytes" in reason(data + b" ")
        # Shorter than it will be written: 1e15 becomes 1000000000000000.0
        assert "when written without spaces" in reason(b'{"type":"Point","coordinates":[1,2,1e15],"a":[1e15]}')


def test_all_outside() -> None:
    why = reason([feature(rectangle(2000, 10.5, 2400, 20)), feature(geometry("Point", [5, -3]))])
    assert "the regions reach from x = 5 to 2400 and from y = -3 to 20, the slide is 2000 x 1500 px" in why
    assert "micrometres, or pixels of another level?" in why


@pytest.mark.parametrize(("content", "expected"), [(None, "cannot be read: No such file"), (b"{", "not JSON")])
def test_errors_name_the_file(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "annotations.geojson"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RoiError, match=expected) as refused:
        RegionsOfInterest.read(path, SLIDE)
    assert refused.value.path == path
    assert str(refused.value) == f"{path}: {refused.value.reason}"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RoiError, match="cannot be read"):
        RegionsOfInterest.read(tmp_path, SLIDE)


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "annotations.geojson"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RoiError, match=f"at most {roi.MAX_BYTES} bytes"):
        RegionsOfInterest.read(path, SLIDE)


def test_reading_does_not_untangle() -> None:
    """200,000 segments have billions of crossings: a hostile file must not make a reader find them."""
    tangle = [(i * 7919 % 1000, i * 104729 % 1009) for i in range(200_000)]
    data = json.dumps(geometry("Polygon", [ring(*tangle)])).encode()
    began = time.process_time()
    found = RegionsOfInterest.from_geojson(data, SLIDE)
    assert RegionsOfInterest.from_geojson(found.to_geojson(), SLIDE) == found
    assert time.process_time() - began < 30
