"""The point that coordinates of regions of interest are counted from: the slide's corner, or its scanned part's.

Some formats (MIRAX, Leica SCN, Ventana BIF) hold a glass of which a part was scanned, and say which by OpenSlide's
`openslide.bounds-*`. QuPath shows that part alone and counts from its corner; OpenSlide counts from the slide's. A file
of annotations does not say which, so nothing here guesses.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from ..errors import RoiError

Origin = Literal["bounds", "slide"]
"""`bounds`: the corner of the scanned part. `slide`: that of the slide."""

CORNER = (0, 0)
"""Full pixels from the slide's corner to itself."""

BOUNDS = ("bounds-x", "bounds-y", "bounds-width", "bounds-height")
"""Properties of the scanned part, without OpenSlide's prefix."""


def scanned_part(properties: Mapping[str, str]) -> tuple[int, int, int, int] | None:
    """Return x, y, width and height of the scanned part in full pixels; None where a slide does not say."""
    for prefix in ("openslide", "aperio.openslide"):  # the latter is how OpenSlide shows what `decode` wrote
        try:
            x, y, width, height = (int(properties[f"{prefix}.{name}"]) for name in BOUNDS)
        except (KeyError, ValueError):
            continue
        return x, y, width, height
    return None


def bounds_corner(properties: Mapping[str, str]) -> tuple[int, int]:
    """Return full pixels from the slide's corner to that of its scanned part; (0, 0) where a slide does not say."""
    part = scanned_part(properties)
    return CORNER if part is None else part[:2]


def chosen_origin(properties: Mapping[str, str], choice: Origin | None) -> tuple[int, int] | None:
    """Return full pixels from the slide's corner to the chosen origin; None if it matters, and nobody chose."""
    corner = bounds_corner(properties)
    if choice is None and corner != CORNER:
        return None
    return corner if choice == "bounds" else CORNER


def check_origin(origin: tuple[int, int] | None, properties: Mapping[str, str]) -> None:
    """Raise RoiError where regions can be counted from two corners and nobody said from which."""
    x, y = bounds_corner(properties)
    if origin is None and (x, y) != CORNER:
        raise RoiError(
            f"the scanned part of this slide begins at {x}, {y} (openslide.bounds-*), and QuPath counts annotations "
            "from there, other programs from the slide's corner. Say which it is: --roi-origin bounds for what QuPath "
            "exported, --roi-origin slide for pixels of the whole slide (in Python: the origin of the regions)"
        )


def moved(feature: dict[str, Any], by: tuple[int, int]) -> dict[str, Any]:
    """Return a GeoJSON Feature, already checked, with its geometries moved; its other members stay as they are.

    by: pixels, x and y. Coordinates in decimals come back exactly when they are moved there and back.
    """
    if by == CORNER:
        return feature
    # QuPath gives a cell two geometries: geometry and nucleusGeometry.
    found = {
        key: _moved(value, by) if key != "properties" and _is_geometry(value) else value
        for key, value in feature.items()
    }
    return _with_bounding_box(found, by)


def _is_geometry(value: object) -> bool:
    return isinstance(value, dict) and ("coordinates" in value or "geometries" in value)


def _moved(geometry: dict[str, Any], by: tuple[int, int]) -> dict[str, Any]:
    found = dict(geometry)
    if isinstance(found.get("coordinates"), list):
        found["coordinates"] = _positions(found["coordinates"], by)
    if isinstance(found.get("geometries"), list):
        found["geometries"] = [_moved(part, by) if _is_geometry(part) else part for part in found["geometries"]]
    return _with_bounding_box(found, by)


def _positions(values: list[Any], by: tuple[int, int]) -> list[Any]:
    """Return a position, or arrays of positions to any depth, moved."""
    if values and all(_is_number(value) for value in values):
        return [_sum(value, step) for value, step in zip(values, by, strict=False)] + values[2:]
    return [_positions(value, by) if isinstance(value, list) else value for value in values]


def _with_bounding_box(members: dict[str, Any], by: tuple[int, int]) -> dict[str, Any]:
    """Move the bounding box of an object: the least of each axis, then the greatest (RFC 7946, section 5)."""
    box = members.get("bbox")
    if isinstance(box, list) and len(box) in (4, 6) and all(_is_number(value) for value in box):
        half = len(box) // 2
        members["bbox"] = _positions(box[:half], by) + _positions(box[half:], by)
    return members


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sum(value: float, step: int) -> float:
    """Return the sum, computed in decimals: 0.1 + 2048 - 2048 is 0.1."""
    return value + step if isinstance(value, int) else float(Decimal(repr(value)) + step)
