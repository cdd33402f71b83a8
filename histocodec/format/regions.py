"""Regions of interest, which a pathologist has drawn on a slide, and the blocks that they touch.

They come as GeoJSON (RFC 7946) in pixels of the full resolution instead of degrees, x right and y down: what QuPath
exports. They go out as they came: features are kept as text, and geometries are only ever derived from it.
"""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
import shapely.geometry
from numpy.typing import NDArray

from ..errors import RoiError
from ..geometry import Grid, Region, Size
from .geojson import mended, unpacked
from .origin import CORNER, moved
from .strict_json import JsonError, NotANumber, TooDeep, check_nesting, load_json, shortened

MAX_BYTES = 64 << 20
"""Bytes of GeoJSON that may be read, and written."""

MAX_FEATURES = 100_000
MAX_POSITIONS = 1_000_000
MAX_COLLECTION_DEPTH = 8
"""GeometryCollections within each other."""

MAX_NESTING = 64
"""Arrays and objects within each other, from the feature on."""

FARTHEST = 2.0**31
"""Pixels from the slide's corner: no slide is as large, and geometry stays exact far below a pixel."""

_GEOMETRIES = (
    "Point",
    "MultiPoint",
    "LineString",
    "MultiLineString",
    "Polygon",
    "MultiPolygon",
    "GeometryCollection",
)

_Shape = shapely.Point | shapely.LineString | shapely.Polygon
_Shapes = NDArray[np.object_]
"""(n,) shapely geometries."""

_Edges = NDArray[np.int64]
"""(n,) full pixels."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One drawn region: an area, a line, points, or several of them."""

    geojson: bytes
    """The GeoJSON Feature as it was given (id, properties and foreign members included), without spaces, in UTF-8."""
    shapes: tuple[_Shape, ...] = field(compare=False, repr=False)
    """Its geometry taken apart, in full pixels; polygons may cross themselves."""


class _Drawn(NamedTuple):
    """The valid shapes of all features, and the index of the feature that each belongs to."""

    areas: _Shapes
    areas_of: NDArray[np.int64]
    marks: _Shapes
    """Lines and points, and polygons so flat that they are lines."""
    marks_of: NDArray[np.int64]


@dataclass(frozen=True)  # without slots, which leave no room for a cached property
class RegionsOfInterest:
    """Areas of a slide that a pathologist has drawn, in full-resolution pixels.

    A region of interest touches a rectangle if they share area, or if a point of a line, or a point, lies in it; the
    rectangle has its left and top edges, but not its right and bottom ones. So an area that ends at x = 512 touches
    nothing beyond it, and a point at x = 512 lies in the block that begins there. Holes are no part of an area. An area
    whose outline crosses itself is all that the outline encloses, also what it goes around twice.
    """

    features: tuple[Feature, ...]
    slide_size: Size
    """Full pixels."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """Sentences that a user should know about how they were read."""
    origin: tuple[int, int] | None = field(default=None, compare=False)
    """Full pixels from the slide's corner to where they were counted from as they were given; None if nobody said."""

    @classmethod
    def read(cls, path: Path, slide_size: Size, *, origin: tuple[int, int] | None = None) -> RegionsOfInterest:
        """Read a GeoJSON file, which an error names. slide_size: full pixels. origin: see `from_geojson`.

        Raises RoiError: see `from_geojson`; also if the file cannot be read.
        """
        try:
            if path.is_fifo():  # opening it would wait for a writer
                raise RoiError("expected a file, found a pipe")
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            return cls.from_geojson(data, slide_size, origin=origin)
        except OSError as error:
            raise RoiError(f"cannot be read: {error.strerror or error}", path) from error
        except RoiError as error:
            raise RoiError(error.reason, path) from error

    @classmethod
    def from_geojson(cls, data: bytes, slide_size: Size, *, origin: tuple[int, int] | None = None) -> RegionsOfInterest:
        """Read a FeatureCollection, an array of Features, a Feature or a geometry, from anywhere, also as gzip.

        slide_size: full pixels. origin: full pixels from the slide's corner to the point that the coordinates are
        counted from; None if nobody knows, which is taken for the corner, and refused by `encode` where a slide has
        another one as well (`format.origin`).

        Only the features of a FeatureCollection are kept; third coordinates are kept and ignored. A feature without a
        geometry is left out, and a ring that does not end where it began is closed; `notes` says so. Takes time linear
        in the bytes: slower work, such as untangling outlines that cross themselves, waits until it is asked for.

        Raises RoiError, and nothing else: not JSON or not GeoJSON, more than the limits of this module, no geometry at
        all, one that is too far away, or the bounds of every region outside the slide.
        """
        drawn = _features(_json(unpacked(data, MAX_BYTES)))
        found, notes = mended(drawn)
        found = found or drawn  # where nothing is left, the first feature says why
        if len(found) > MAX_FEATURES:
            raise RoiError(f"{len(found)} features, at most {MAX_FEATURES} are allowed")
        features, positions = [], 0
        for number, given in enumerate(found, 1):
            try:
                features.append(_feature(given, origin or CORNER))
            except RoiError as error:
                raise RoiError(f"feature {number} of {len(found)}: {error.reason}") from None
            positions += int(shapely.get_num_coordinates(features[-1].shapes).sum())
            if positions > MAX_POSITIONS:
                raise RoiError(f"feature {number} of {len(found)}: over {MAX_POSITIONS} positions up to here")
        regions = cls(tuple(features), slide_size, notes, origin)
        regions._check_bounds()
        if (size := len(regions.to_geojson())) > MAX_BYTES:
            raise RoiError(f"{size} bytes when written without spaces, at most {MAX_BYTES} are allowed")
        return regions

    def to_geojson(self, origin: tuple[int, int] = CORNER) -> bytes:
        """Return a FeatureCollection in UTF-8, without spaces, from which `from_geojson` makes the same regions again.

        origin: full pixels from the slide's corner to where its coordinates are counted from.
        """
        features = [feature.geojson for feature in self.features]
        if origin != CORNER:
            back = (-origin[0], -origin[1])
            features = [_text(moved(json.loads(feature), back)) for feature in features]
        return b'{"type":"FeatureCollection","features":[%b]}' % b",".join(features)

    def without_properties(self) -> RegionsOfInterest:
        """Return the geometries alone: names, notes and identifiers can carry identity."""
        bare = []
        for feature in self.features:
            parts = [shapely.geometry.mapping(shape) for shape in feature.shapes]  # x and y alone
            geometry = parts[0] if len(parts) == 1 else {"type": "GeometryCollection", "geometries": parts}
            kept = {"type": "Feature", "properties": {}, "geometry": geometry}
            bare.append(Feature(json.dumps(kept, separators=(",", ":")).encode(), feature.shapes))
        return RegionsOfInterest(tuple(bare), self.slide_size, self.notes, self.origin)

    @property
    def outside(self) -> int:
        """Number of features that touch nothing of the slide."""
        areas, marks = self._touching(Region(0, 0, *self.slide_size))
        inside = np.union1d(self._drawn.areas_of[areas], self._drawn.marks_of[marks])
        return len(self.features) - len(inside)

    def touches(self, region: Region) -> bool:
        """Return True if a region of interest touches a rectangle of full pixels."""
        areas, marks = self._touching(region)
        return bool(areas.any() or marks.any())

    def blocks(self, grid: Grid) -> set[tuple[int, int]]:
        """Return (column, row) of every block that a region of interest touches within the slide.

        grid: the canonical grid over the full resolution.
        """
        columns, rows = (axis.ravel() for axis in np.meshgrid(*(np.arange(count) for count in grid.shape)))
        left, top = columns * grid.side, rows * grid.side
        right, bottom = np.minimum(left + grid.side, grid.size.width), np.minimum(top + grid.side, grid.size.height)
        closed, half_open = _rectangles(left, top, right, bottom)
        touched = np.zeros(grid.count, np.bool_)
        tree = shapely.STRtree(closed)
        for area in self._drawn.areas:  # one by one: thousands that each cover the slide make too many pairs for memory
            near = tree.query(area, predicate="intersects")
            near = near[~touched[near]]
            touched[near[~shapely.touches(area, closed[near])]] = True
        touched[shapely.STRtree(half_open).query(self._drawn.marks, predicate="intersects")[1]] = True
        return {grid.address(index) for index in np.flatnonzero(touched).tolist()}

    def _touching(self, region: Region) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return (n,) True for the areas, and for the marks, that touch a rectangle."""
        edges = (region.x, region.y, region.right, region.bottom)
        closed, half_open = _rectangles(*(np.array([edge]) for edge in edges))
        areas = shapely.intersects(self._drawn.areas, closed)
        areas[areas] = ~shapely.touches(self._drawn.areas[areas], closed)
        return areas, shapely.intersects(self._drawn.marks, half_open)

    @cached_property
    def _drawn(self) -> _Drawn:
        shapes = np.array([shape for feature in self.features for shape in feature.shapes], np.object_)
        owners = np.repeat(np.arange(len(self.features)), [len(feature.shapes) for feature in self.features])
        crossed = ~shapely.is_valid(shapes)
        # The default method, linework, would make a hole of what an outline goes around twice.
        shapes[crossed] = shapely.make_valid(shapes[crossed], method="structure", keep_collapsed=True)
        shapely.prepare(shapes)
        area = shapely.get_dimensions(shapes) == 2
        return _Drawn(shapes[area], owners[area], shapes[~area], owners[~area])

    def _check_bounds(self) -> None:
        """Raise RoiError if all regions lie outside the slide, going by their bounds alone."""
        bounds = shapely.bounds([shape for feature in self.features for shape in feature.shapes])
        width, height = self.slide_size
        if not ((bounds[:, :2] < self.slide_size) & (bounds[:, 2:] >= 0)).all(1).any():
            (left, top), (right, bottom) = bounds[:, :2].min(0), bounds[:, 2:].max(0)
            raise RoiError(
                f"every region lies outside the slide: the regions reach from x = {left:.10g} to {right:.10g} and from "
                f"y = {top:.10g} to {bottom:.10g}, the slide is {width} x {height} px. Expected pixels of the full "
                "resolution: are these micrometres, or pixels of another level?"
            )


def _rectangles(left: _Edges, top: _Edges, right: _Edges, bottom: _Edges) -> tuple[_Shapes, _Shapes]:
    """Return (n,) rectangles with all edges, and without the right and bottom ones: up to the last number before."""
    last_x, last_y = np.nextafter(right, -np.inf), np.nextafter(bottom, -np.inf)
    return shapely.box(left, top, right, bottom), shapely.box(left, top, last_x, last_y)


def _json(data: bytes) -> object:
    """Return the value of a strict JSON text. Raises RoiError."""
    try:
        return load_json(data.removeprefix(codecs.BOM_UTF8), MAX_BYTES)
    except TooDeep:
        raise RoiError(f"arrays and objects are nested more than {MAX_NESTING} deep") from None
    except NotANumber as error:
        hint = "if it is among measurements, export without them (QuPath: Exclude measurements)"
        raise RoiError(f"{error}; {hint}") from error
    except JsonError as error:
        raise RoiError(str(error)) from error


def _features(document: object) -> list[object]:
    """Return the Features of GeoJSON of any kind."""
    match document:
        case {"type": "FeatureCollection", **members}:
            return _array(members.get("features"), "features")
        case {"type": "Feature"}:
            return [document]
        case {"type": str(kind)} if kind in _GEOMETRIES:
            return [{"type": "Feature", "geometry": document, "properties": {}}]
        case list():
            return _array(document, "features")
    raise RoiError(
        "expected GeoJSON: a FeatureCollection, a Feature, an array of Features, or a geometry; "
        f"found {_described(document)}"
    )


def _feature(given: object, origin: tuple[int, int]) -> Feature:
    if not isinstance(given, dict) or given.get("type") != "Feature":
        raise RoiError(f"expected an object of type Feature, found {_described(given)}")
    if not isinstance(given.get("properties"), dict | None):
        raise RoiError(f"expected an object as properties, found {_described(given['properties'])}")
    try:
        check_nesting(given, MAX_NESTING)
    except TooDeep as error:
        raise RoiError(str(error)) from None
    shapes = tuple(_shapes(given.get("geometry"), 1))
    if origin != CORNER:
        given = moved(given, origin)
        shapes = tuple(_shapes(given["geometry"], 1))
    try:
        return Feature(_text(given), shapes)
    except UnicodeEncodeError:
        raise RoiError("expected text in Unicode, found half of a surrogate pair") from None
    except ValueError:
        raise RoiError("expected numbers that a double holds, found one that is too large") from None


def _text(feature: dict[str, object]) -> bytes:
    return json.dumps(feature, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _shapes(geometry: object, depth: int) -> list[_Shape]:
    """Return the points, lines and polygons of a GeoJSON geometry. depth: 1, and 1 more within each collection."""
    if not isinstance(geometry, dict):
        raise RoiError(f"expected a geometry, found {_described(geometry)}")
    given = geometry.get("coordinates")
    match geometry.get("type"):
        case "Point":
            return [_point(given)]
        case "MultiPoint":
            return [_point(point) for point in _array(given, "coordinates")]
        case "LineString":
            return [_line(given)]
        case "MultiLineString":
            return [_line(line) for line in _array(given, "coordinates")]
        case "Polygon":
            return [_polygon(given)]
        case "MultiPolygon":
            return [_polygon(polygon) for polygon in _array(given, "coordinates")]
        case "GeometryCollection" if depth <= MAX_COLLECTION_DEPTH:
            parts = _array(geometry.get("geometries"), "geometries")
            return [shape for part in parts for shape in _shapes(part, depth + 1)]
        case "GeometryCollection":
            raise RoiError(f"GeometryCollections are nested more than {MAX_COLLECTION_DEPTH} deep")
    raise RoiError(f"expected a geometry ({', '.join(_GEOMETRIES)}), found {_described(geometry)}")


def _point(given: object) -> shapely.Point:
    return shapely.Point(_position(given))


def _line(given: object) -> shapely.LineString:
    positions = [_position(position) for position in _array(given, "the positions of a line")]
    if len(positions) < 2:
        raise RoiError("expected at least 2 positions in a line, found 1")
    return shapely.LineString(positions)


def _polygon(given: object) -> shapely.Polygon:
    shell, *holes = (_ring(ring) for ring in _array(given, "the rings of a polygon"))
    return shapely.Polygon(shell, holes)


def _ring(given: object) -> list[tuple[float, float]]:
    positions = [_position(position) for position in _array(given, "the positions of a ring")]
    if len(positions) < 4:
        raise RoiError(f"expected at least 4 positions in a polygon's ring, found {len(positions)}")
    if positions[0] != positions[-1]:
        raise RoiError(f"expected a polygon's ring to end where it began, {positions[0]}, found {positions[-1]}")
    return positions


def _position(given: object) -> tuple[float, float]:
    """Return x and y in full pixels; further numbers are ignored."""
    x, y = (*_array(given, "a position"), None)[:2]
    return _coordinate(x), _coordinate(y)


def _coordinate(given: object) -> float:
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise RoiError(f"expected numbers x and y in a position, found {_described(given)}")
    if abs(given) > FARTHEST:  # also infinity, as which JSON numbers of over 1.8e308 are read
        raise RoiError(f"expected coordinates of at most {FARTHEST:.0f} pixels, found {shortened(given)}")
    return float(given)


def _array(given: object, what: str) -> list[object]:
    """Return a value that must be an array with items. what: its name in messages."""
    if not isinstance(given, list):
        raise RoiError(f"expected an array as {what}, found {_described(given)}")
    if not given:
        raise RoiError(f"expected {what}, found an empty array")
    return given


def _described(value: object) -> str:
    """Return a few words on a JSON value."""
    match value:
        case None:
            return "null or nothing"
        case list():
            return "an array"
        case {"type": str(kind)}:
            return f"an object of type {shortened(kind)}"
        case dict():
            return "an object without a type"
    return shortened(value)
