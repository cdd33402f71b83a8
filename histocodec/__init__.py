"""histocodec: a compression codec for histology whole-slide images.

A 40x slide is stored as its 10x base and a learned decoder; the 40x detail is reconstructed on demand, and labelled so.

    with histocodec.open_source("case.svs") as source:
        histocodec.encode(source, "case.hc.tif")
    slide = histocodec.open_slide("case.hc.tif")        # in place of openslide.OpenSlide
    tile = slide.read_region((20000, 16000), 0, (512, 512))

Importing this package imports nothing else. Each name brings what it needs when it is first asked for: reading takes
numpy, imagecodecs, safetensors and zstandard; torch is for training, for networks in floats and for graphics cards.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
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
    from .format.restoration import restore, verify_source
    from .format.tiers import enhance, strip
    from .generators.bicubic import BicubicGenerator
    from .generators.catalogue import load_generator
    from .geometry import Region, Size
    from .pixels.resampler import Generator
    from .source import Source, open_source
    from .validation import validate
    from .views.dispatch import install_openslide, uninstall_openslide
    from .views.export import export_slide
    from .views.picture import export_picture
    from .views.slide import ReconstructedSlide, open_slide
    from .views.virtual_tiff import VirtualTiff, open_virtual_tiff
    from .views.zarr_view import open_zarr

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
    "VirtualTiff",
    "__version__",
    "compare",
    "encode",
    "enhance",
    "export_picture",
    "export_slide",
    "install_openslide",
    "load_generator",
    "open_slide",
    "open_source",
    "open_virtual_tiff",
    "open_zarr",
    "restore",
    "strip",
    "uninstall_openslide",
    "validate",
    "verify_source",
]

_PLACES: dict[str, tuple[str, ...]] = {
    "comparison.compare": ("ComparedBlock", "Comparison", "compare"),
    "decoder": ("Decoder",),
    "encoder": ("EncodeReport", "EncodeSettings", "encode"),
    "errors": (
        "BudgetError",
        "ContainerError",
        "FileError",
        "GeneratorError",
        "HistocodecError",
        "OutputError",
        "PairMismatch",
        "Problem",
        "RegionError",
        "RoiError",
        "SettingsError",
        "SourceError",
    ),
    "format.manifest": ("Manifest",),
    "format.quality": ("QualityMap",),
    "format.reader": ("Container",),
    "format.regions": ("RegionsOfInterest",),
    "format.restoration": ("restore", "verify_source"),
    "format.tiers": ("enhance", "strip"),
    "generators.bicubic": ("BicubicGenerator",),
    "generators.catalogue": ("load_generator",),
    "geometry": ("Region", "Size"),
    "pixels.resampler": ("Generator",),
    "source": ("Source", "open_source"),
    "validation": ("validate",),
    "views.dispatch": ("install_openslide", "uninstall_openslide"),
    "views.export": ("export_slide",),
    "views.picture": ("export_picture",),
    "views.slide": ("ReconstructedSlide", "open_slide"),
    "views.virtual_tiff": ("VirtualTiff", "open_virtual_tiff"),
    "views.zarr_view": ("open_zarr",),
}
"""Modules, and the public names that each of them gives."""

if not TYPE_CHECKING:  # which knows them from above

    def __getattr__(name: str) -> object:
        """Import a public name, or a room, when it is first asked for (PEP 562)."""
        for module, names in _PLACES.items():
            if name in names:
                globals()[name] = value = getattr(import_module(f"{__name__}.{module}"), name)
                return value
        room = f"{__name__}.{name}"
        if not name.startswith("_") and find_spec(room) is not None:
            return import_module(room)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    """Return the public names, those that nobody asked for yet as well."""
    return sorted({*globals(), *__all__})
