"""histocodec: a compression codec for histology whole-slide images.

A 40x slide is stored as its 10x base and a learned decoder; the 40x detail is reconstructed on demand, and labelled so.

    with histocodec.open_source("case.svs") as source:
        histocodec.encode(source, "case.hc.tif")
    slide = histocodec.open_slide("case.hc.tif")        # in place of openslide.OpenSlide
    tile = slide.read_region((20000, 16000), 0, (512, 512))

Importing this package does not import torch; loading a learned generator does.
"""

from __future__ import annotations

from .compare import Comparison, compare
from .container import Container
from .decode import Decoder
from .encode import EncodeReport, EncodeSettings, encode
from .errors import HistocodecError, Problem
from .generator import BicubicGenerator, Generator
from .generators import load_generator
from .geometry import Region, Size
from .quality import QualityMap
from .roi import RegionsOfInterest
from .source import Source, open_source
from .tiers import enhance, strip
from .validate import validate
from .version import __version__
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
