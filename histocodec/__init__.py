"""histocodec: a compression codec for histology whole-slide images.

A 40x slide is stored as its 10x base and a learned decoder; the 40x detail is reconstructed on demand, and labelled so.

    with histocodec.open_source("case.svs") as source:
        histocodec.encode(source, "case.hc.tif")
    slide = histocodec.open_slide("case.hc.tif")        # in place of openslide.OpenSlide
    tile = slide.read_region((20000, 16000), 0, (512, 512))

Importing this package does not import torch; loading a learned generator does.
"""

from __future__ import annotations

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
