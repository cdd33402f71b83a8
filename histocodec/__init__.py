"""histocodec: a compression codec for histology whole-slide images.

A 40x slide is stored as its 10x base and a learned decoder; the 40x detail is reconstructed on demand, and labelled so.

    with histocodec.open_source("case.svs") as source:
        histocodec.encode(source, "case.hc.tif")
    slide = histocodec.open_slide("case.hc.tif")        # in place of openslide.OpenSlide
    tile = slide.read_region((20000, 16000), 0, (512, 512))

Importing this package imports nothing else. Each name brings what it needs when it is first asked for: reading a base
takes numpy, imagecodecs and zstandard; only a learned generator takes torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .comparison.compare import Comparison, compare
    from .decoder import Decoder
    from .encoder import EncodeReport, EncodeSettings, encode
    from .errors import HistocodecError, Problem
    from .format.quality import QualityMap
    from .format.reader import Container
    from .format.regions import RegionsOfInterest
    from .format.tiers import enhance, strip
    from .generators.bicubic import BicubicGenerator
    from .generators.catalogue import load_generator
    from .geometry import Region, Size
    from .pixels.resampler import Generator
    from .source import Source, open_source
    from .validation import validate
    from .views.slide import ReconstructedSlide, open_slide

__all__ = [
    "BicubicGenerator",
    "Comparison",
    "Container",
    "Decoder",
    "EncodeReport",
    "EncodeSettings",
    "Generator",
    "HistocodecError",
    "Problem",
    "QualityMap",
    "ReconstructedSlide",
    "Region",
    "RegionsOfInterest",
    "Size",
    "Source",
    "__version__",
    "compare",
    "encode",
    "enhance",
    "load_generator",
    "open_slide",
    "open_source",
    "strip",
    "validate",
]

_PLACES = {
    "comparison.compare": "Comparison compare",
    "decoder": "Decoder",
    "encoder": "EncodeReport EncodeSettings encode",
    "errors": "HistocodecError Problem",
    "format.quality": "QualityMap",
    "format.reader": "Container",
    "format.regions": "RegionsOfInterest",
    "format.tiers": "enhance strip",
    "generators.bicubic": "BicubicGenerator",
    "generators.catalogue": "load_generator",
    "geometry": "Region Size",
    "pixels.resampler": "Generator",
    "source": "Source open_source",
    "validation": "validate",
    "views.slide": "ReconstructedSlide open_slide",
}
"""Modules, and the public names that each of them gives."""

if not TYPE_CHECKING:  # which knows them from above

    def __getattr__(name: str) -> object:
        """Import a public name, or a room, when it is first asked for (PEP 562)."""
        for module, names in _PLACES.items():
            if name in names.split():
                globals()[name] = value = getattr(import_module(f"{__name__}.{module}"), name)
                return value
        room = f"{__name__}.{name}"
        if not name.startswith("_") and find_spec(room) is not None:
            return import_module(room)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    """Return the public names, those that nobody asked for yet as well."""
    return sorted({*globals(), *__all__})
