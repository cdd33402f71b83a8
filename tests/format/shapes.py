"""Shapes in GeoJSON, and the regions that are read from them."""

from __future__ import annotations

import json

import pytest
from hypothesis import strategies as st

from histocodec.errors import RoiError
from histocodec.format.regions import RegionsOfInterest
from histocodec.geometry import Grid, Size

SLIDE = Size(2000, 1500)
TILE = 512
GRID = Grid(SLIDE, TILE)
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
    return regions(*shapes).blocks(GRID)


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
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
