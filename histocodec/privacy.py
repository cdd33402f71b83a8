"""De-identification: what of a slide's metadata may leave the lab.

An allowlist, since a blocklist fails on the first property that nobody had thought of: what is not known to describe
optics or geometry is dropped.
"""

from __future__ import annotations

import re

_SAFE_KEY = re.compile(
    r"openslide\.(mpp-[xy]|objective-power|vendor|level-count|background-color|bounds-(x|y|width|height))"
    r"|openslide\.level\[\d+\]\.(width|height|downsample|tile-width|tile-height)"
    r"|aperio\.(AppMag|MPP)"
    r"|hamamatsu\.SourceLens"
    r"|tiff\.(ResolutionUnit|[XY]Resolution)"
)
_SAFE_VALUE = re.compile(r"[-+]?[0-9.]{1,24}([eE][-+]?[0-9]+)?|[0-9A-Fa-f]{6}|[a-z-]{1,16}")
"""A number, a colour, or a unit's or vendor's name: an allowed key must not smuggle free text."""

SAFE_ASSOCIATED = frozenset({"thumbnail"})
"""A label names the patient, and a macro shows the label."""


def deidentified_properties(properties: dict[str, str]) -> dict[str, str]:
    """The properties that describe optics and geometry alone."""
    return {
        key: value for key, value in properties.items() if _SAFE_KEY.fullmatch(key) and _SAFE_VALUE.fullmatch(value)
    }
