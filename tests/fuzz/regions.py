"""GeoJSON, changed as text and as values."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from typing import Any

from histocodec.errors import RoiError
from histocodec.format.regions import RegionsOfInterest
from histocodec.geometry import Grid, Region, Size
from tests.format.conformance.make_vectors.recipes import REGIONS_OF_INTEREST
from tests.fuzz.harness import Wrong, said
from tests.fuzz.mutation import Random, changed_bytes, changed_json

SIZE = Size(1077, 760)

_SQUARE = [[10, 10], [400.5, 10], [400.5, 300], [10, 300], [10, 10]]
_HOLE = [[50, 50], [60, 50], [60, 60], [50, 60], [50, 50]]
SHAPES: tuple[dict[str, Any], ...] = (
    {"type": "Point", "coordinates": [5, 6]},
    {"type": "MultiPoint", "coordinates": [[5, 6], [700.25, 8, 1]]},
    {"type": "LineString", "coordinates": [[0, 0], [1076, 759]]},
    {"type": "MultiLineString", "coordinates": [[[0, 0], [9, 9]], [[1, 2], [3, 4], [5, 6]]]},
    {"type": "Polygon", "coordinates": [_SQUARE, _HOLE]},
    {"type": "Polygon", "coordinates": [[[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]]]},
    {"type": "MultiPolygon", "coordinates": [[_SQUARE], [_HOLE]]},
)


def documents() -> list[bytes]:
    """Return GeoJSON of every kind."""
    features = [{"type": "Feature", "id": k, "geometry": shape, "properties": {}} for k, shape in enumerate(SHAPES)]
    collection = {"type": "GeometryCollection", "geometries": list(SHAPES[:3])}
    nucleus = {**features[4], "nucleusGeometry": features[5]["geometry"], "bbox": [10, 10, 400.5, 300]}
    values = [*SHAPES, collection, features, {"type": "FeatureCollection", "features": [*features, nucleus]}]
    return [*(json.dumps(value).encode() for value in values), REGIONS_OF_INTEREST, gzip.compress(REGIONS_OF_INTEREST)]


def changed_regions(rng: Random, data: bytes) -> bytes:
    """Return other GeoJSON."""
    if data[:2] == b"\x1f\x8b":
        if rng.random() < 0.3:
            return changed_bytes(rng, data)
        try:
            return gzip.compress(changed_regions(rng, gzip.decompress(data)), 1)
        except (OSError, EOFError, ValueError, zlib.error):
            return changed_bytes(rng, data)
    if rng.random() < 0.15:
        return changed_bytes(rng, data)
    try:
        value = changed_json(rng, json.loads(data))
        text = json.dumps(value)
    except (ValueError, RecursionError):
        return changed_bytes(rng, data)
    return text.encode("utf-8", "surrogatepass")


class GeoJson:
    """Regions of interest, read, written, moved, and laid over blocks."""

    name = "geojson"

    def seeds(self) -> list[bytes]:
        """Return GeoJSON of every kind."""
        return documents()

    def changed(self, rng: random.Random, data: bytes, pool: tuple[bytes, ...]) -> bytes:
        """Change one."""
        return changed_regions(rng, data)

    def run(self, data: bytes) -> str:
        """Read it in two ways; whatever was read must come back from what is written."""
        outcomes = []
        for origin in (None, (37, -12)):
            try:
                found = RegionsOfInterest.from_geojson(data, SIZE, origin=origin)
            except RoiError as error:
                outcomes.append(said(error))
                continue
            again = RegionsOfInterest.from_geojson(found.to_geojson(), SIZE)
            if again.features != found.features:
                raise Wrong("other regions come back than were written")
            blocks = found.blocks(Grid(SIZE, 256))
            whole = Region(0, 0, *SIZE)
            if found.touches(whole) != bool(blocks):
                raise Wrong("regions that touch the slide, and none of its blocks, or the other way round")
            if found.outside > len(found.features):
                raise Wrong("more regions outside than there are")
            found.without_properties().to_geojson()
            found.to_geojson((5, 5))
            outcomes.append(f"{len(found.features) > 1} {bool(blocks)} {[note[:9] for note in found.notes]}")
        return " ".join(outcomes)
