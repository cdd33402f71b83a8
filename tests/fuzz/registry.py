"""The harnesses by name, and the share of a campaign that each has."""

from __future__ import annotations

import importlib

from tests.fuzz.harness import Harness

SHARES: dict[str, float] = {
    "directory": 10,
    "manifest": 10,
    "layers": 10,
    "tiles": 10,
    "original": 10,
    "geojson": 6,
    "package": 4,
    "jpeg2000": 10,
    "av1": 7,
    "jpeg": 6,
    "jpegxl": 6,
    "zstd": 1,
    "packed": 2,
    "residual": 1,
    "tiff": 8,
    "svs": 8,
    "ome-tiff": 8,
    "ome-xml": 2,
    "dicom": 8,
    "flat": 8,
    "http": 6,
}
"""Of the time; an execution takes from 0.05 ms (`zstd`) to 10 ms (whole containers)."""


def build(name: str) -> Harness:
    """Build a harness with all that it needs. name: of `SHARES`, or `module:Class`. Raises KeyError."""
    if ":" in name:
        module, _, kind = name.partition(":")
        own: Harness = getattr(importlib.import_module(module), kind)()
        return own
    from tests.fuzz import containers, sources, tiles
    from tests.fuzz.packages import Packages
    from tests.fuzz.regions import GeoJson
    from tests.fuzz.viewer import Http

    builders = {**containers.all_harnesses(), **tiles.all_harnesses(), **sources.all_harnesses()}
    builders |= {"geojson": GeoJson, "package": Packages, "http": Http}
    harness: Harness = builders[name]()
    return harness
