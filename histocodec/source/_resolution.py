"""Micrometres per pixel: which of the statements about it holds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from ..errors import MissingResolution, SettingsError, UnsupportedResolution

Spacing = tuple[float, float]
"""Micrometres per pixel in x and in y, as a file states them."""

# Outside of this range it is the resolution of a screen or a printer (72 to 600 dpi: 350 to 42 um/px), or a slip.
PLAUSIBLE_MPP = (0.05, 20.0)
SQUARE_TOLERANCE = 0.02


def checked_mpp(mpp: float | None) -> float | None:
    """The caller's own statement; raises SettingsError unless it is finite and > 0."""
    if mpp is None:
        return None
    if not (math.isfinite(mpp) and mpp > 0):
        raise SettingsError(f"mpp must be a finite number of micrometres per pixel above 0, found {mpp}")
    return float(mpp)


def resolved_mpp(path: Path, given: float | None, stated: Iterable[Spacing | None]) -> float:
    """`given`, or else the first plausible one of what the file states, best first; x and y averaged.

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
