"""GeoJSON: what is refused, whatever the bytes, and how deep it may be nested."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histocodec.errors import RoiError
from histocodec.format import regions as roi
from histocodec.format.regions import RegionsOfInterest
from tests.format.shapes import (
    QUPATH,
    SLIDE,
    VALUES,
    Json,
    feature,
    geometry,
    reason,
    rectangle,
    regions,
    ring,
    tiles,
)


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
