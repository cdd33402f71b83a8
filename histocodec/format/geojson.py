"""Mending what exports of regions leave open: compression, features without a geometry, rings that do not end."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable
from typing import Any

from ..errors import RoiError

_GZIP = b"\x1f\x8b"
MAX_DEPTH = 64
"""GeometryCollections within each other that are looked into."""


def unpacked(data: bytes, most: int) -> bytes:
    """Return the bytes, decompressed if they are gzip (QuPath's `.geojson.gz`); at most one byte more than `most`.

    Raises RoiError if they are gzip and damaged.
    """
    if not data.startswith(_GZIP):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RoiError(f"expected GeoJSON, found damaged gzip: {error}") from error


def mended(features: Iterable[object]) -> tuple[list[object], tuple[str, ...]]:
    """Return the features that have a geometry, every ring closed; and a note of each kind on what was done.

    A geometry that is null or has no coordinates is none (RFC 7946, 3.1 and 3.2). Anything but GeoJSON is left alone.
    """
    kept: list[object] = []
    left_out = closed = 0
    for feature in features:
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            kept.append(feature)
            continue
        given = feature.get("geometry")
        geometry, count = _mended(given)
        closed += count
        if geometry is None:
            left_out += 1
        else:
            kept.append(feature if geometry is given else {**feature, "geometry": geometry})
    notes = []
    if left_out:
        notes.append(f"{_counted(left_out, 'region')} of interest without a geometry left out")
    if closed:
        notes.append(f"{_counted(closed, 'outline')} of regions of interest did not end where they began: closed")
    return kept, tuple(notes)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _mended(geometry: Any, depth: int = 0) -> tuple[Any, int]:
    """Return the geometry, itself if there is nothing to mend, None if it is empty; and how many rings were closed.

    A geometry that is nested too deep is refused elsewhere.
    """
    match geometry:
        case {"type": "GeometryCollection", "geometries": list(parts)} if depth < MAX_DEPTH:
            found = [_mended(part, depth + 1) for part in parts]
            kept = [part for part, _ in found if part is not None]
            is_same = len(kept) == len(parts) and all(new is old for new, old in zip(kept, parts, strict=True))
            mended_parts = geometry if is_same else {**geometry, "geometries": kept}
            return mended_parts if kept else None, sum(count for _, count in found)
        case {"coordinates": coordinates} if _has_no_position(coordinates):
            return None, 0
        case {"type": "Polygon", "coordinates": list(rings)}:
            closed, count = _closed_rings(rings)
            return {**geometry, "coordinates": closed} if count else geometry, count
        case {"type": "MultiPolygon", "coordinates": list(polygons)}:
            whole = [rings for rings in polygons if not _has_no_position(rings)]
            pairs = [_closed_rings(rings) if isinstance(rings, list) else (rings, 0) for rings in whole]
            count = sum(number for _, number in pairs)
            is_same = not count and len(whole) == len(polygons)
            return geometry if is_same else {**geometry, "coordinates": [rings for rings, _ in pairs]}, count
    return geometry, 0


def _has_no_position(coordinates: object, depth: int = 4) -> bool:
    """Return True if these are only empty arrays within each other, as deep as coordinates go."""
    return isinstance(coordinates, list) and depth > 0 and all(_has_no_position(c, depth - 1) for c in coordinates)


def _closed_rings(rings: list[Any]) -> tuple[list[Any], int]:
    is_open = [isinstance(ring, list) and len(ring) > 2 and _place(ring[0]) != _place(ring[-1]) for ring in rings]
    closed = [[*ring, ring[0]] if missing else ring for ring, missing in zip(rings, is_open, strict=True)]
    return closed, sum(is_open)


def _place(position: object) -> tuple[float, ...]:
    """Return x and y; nothing for what is no position, which is refused elsewhere."""
    xy = position[:2] if isinstance(position, list) else []
    return tuple(xy) if all(isinstance(value, int | float) for value in xy) else ()
