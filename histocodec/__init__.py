"""histocodec: a compression codec for histology whole-slide images.

A 40x slide is stored as its 10x base and a learned decoder; the 40x detail is reconstructed on demand, and labelled so.

    with histocodec.open_source("case.svs") as source:
        histocodec.encode(source, "case.hc.tif")
    slide = histocodec.open_slide("case.hc.tif")        # in place of openslide.OpenSlide
    tile = slide.read_region((20000, 16000), 0, (512, 512))

Importing this package imports neither torch nor OpenSlide: a learned generator needs the one, slides the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .comparison.compare import ComparedBlock, Comparison, compare
from .decoder import Decoder
from .encoder import EncodeReport, EncodeSettings, encode
from .errors import (
    BudgetError,
    ContainerError,
    FileError,
    GeneratorError,
    HistocodecError,
    OutputError,
    PairMismatch,
    Problem,
    RegionError,
    RoiError,
    SettingsError,
    SourceError,
)
from .format.manifest import Manifest
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
from .version import __version__
from .views.export import export_picture, export_tiff

if TYPE_CHECKING:
    from .views.slide import ReconstructedSlide, open_slide
else:

    def __getattr__(name: str) -> object:
        """Import what is derived from a class of OpenSlide when it is asked for: no function can put that off."""
        if name not in ("ReconstructedSlide", "open_slide"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .views import slide

        return getattr(slide, name)

    def __dir__() -> list[str]:
        """List these names as well, for completion."""
        return sorted({*globals(), *__all__})


__all__ = [
    "BicubicGenerator",
    "BudgetError",
    "ComparedBlock",
    "Comparison",
    "Container",
    "ContainerError",
    "Decoder",
    "EncodeReport",
    "EncodeSettings",
    "FileError",
    "Generator",
    "GeneratorError",
    "HistocodecError",
    "Manifest",
    "OutputError",
    "PairMismatch",
    "Problem",
    "QualityMap",
    "ReconstructedSlide",
    "Region",
    "RegionError",
    "RegionsOfInterest",
    "RoiError",
    "SettingsError",
    "Size",
    "Source",
    "SourceError",
    "__version__",
    "compare",
    "encode",
    "enhance",
    "export_picture",
    "export_tiff",
    "load_generator",
    "open_slide",
    "open_source",
    "strip",
    "validate",
]
