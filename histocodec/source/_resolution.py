"""Decides on the micrometres per pixel among the statements of a file and its user."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from ..errors import MissingResolution, SettingsError, UnsupportedResolution

Spacing = tuple[float, float]
"""Micrometres per pixel in x and in y, as a file states them."""

PLAUSIBLE_MPP = (0.05, 20.0)
"""Range of a scanner's micrometres per pixel. Outside of it they are those of a screen or a printer (72 to 600 dpi:
350 to 42 um/px), or a slip."""
SQUARE_TOLERANCE = 0.02
"""Share by which x and y of a square pixel may differ."""


def checked_mpp(mpp: float | None) -> float | None:
    """Return the caller's own statement. Raises SettingsError unless it is finite and > 0."""
    if mpp is None:
        return None
    if not (math.isfinite(mpp) and mpp > 0):
        raise SettingsError(f"mpp must be a finite number of micrometres per pixel above 0, found {mpp}")
    return float(mpp)


def resolved_mpp(path: Path, given: float | None, stated: Iterable[Spacing | None]) -> float:
    """Return `given`, or else the first plausible one of the file's statements, best first; x and y averaged.

    Raises MissingResolution and UnsupportedResolution as `open_source` says.
    """
    if given is not None:
        return given
    low, high = PLAUSIBLE_MPP
    implausible = ""
    for spacing in stated:
        if spacing is None:
            continue
        x, y = spacing
        if not (low <= x <= high and low <= y <= high):
            implausible = f" but {x:g} x {y:g}, which no scanner has"
            continue
        if abs(x - y) > SQUARE_TOLERANCE * max(x, y):
            raise UnsupportedResolution(
                path, f"expected square pixels, found {x:g} x {y:g} micrometres; to override, state one with --mpp"
            )
        return (x + y) / 2
    raise MissingResolution(
        path, f"expected micrometres per pixel in the file, found none{implausible}; state them with --mpp"
    )
