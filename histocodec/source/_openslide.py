"""Slides through OpenSlide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openslide
import PIL.Image

from ..codecs import Image
from ..errors import UnreadableSource
from ..geometry import Region, Size
from ._files import size_on_disk
from ._ome import ASSOCIATED_NAMES, as_positive
from ._reader import WHITE, Reader, over
from ._resolution import Spacing, resolved_mpp
from ._tiff import TiffFacts

_CACHE_BYTES = 64 << 20

# Their pages are the picture, without any stitching, so that another TIFF reader gives the same pixels.
_PLAIN_VENDORS = ("generic-tiff", "aperio")


@dataclass(kw_only=True, eq=False)
class OpenSlideReader(Reader):
    """A slide that OpenSlide reads."""

    slide: openslide.OpenSlide = field(repr=False)

    def _pixels(self, region: Region) -> Image:
        return _over(self.slide.read_region((region.x, region.y), 0, (region.width, region.height)), self.background)

    def _release(self) -> None:
        self.slide.close()


def open_openslide(path: Path, tiff: TiffFacts | None, mpp: float | None) -> OpenSlideReader | None:
    """Open a slide, or return None if it is left to the other readers.

    Raises UnreadableSource, MissingResolution and UnsupportedResolution.
    """
    vendor = openslide.OpenSlide.detect_format(path)
    if vendor is None:
        return None
    if vendor == "generic-tiff":
        if tiff is None:  # OpenSlide would turn 16-bit, grey and CMYK pixels into RGB without a word
            return None
        tiff.check_unambiguous()
    try:
        slide = openslide.OpenSlide(path)
    except openslide.OpenSlideError as error:
        if vendor in _PLAIN_VENDORS:
            return None
        raise UnreadableSource(path, f"a {vendor} slide that OpenSlide cannot open: {error}") from error
    try:
        return _reader(path, vendor, slide, tiff, mpp)
    except BaseException:
        slide.close()
        raise


def _reader(
    path: Path, vendor: str, slide: openslide.OpenSlide, tiff: TiffFacts | None, mpp: float | None
) -> OpenSlideReader | None:
    size = Size(*slide.dimensions)
    generic = tiff if vendor == "generic-tiff" else None
    if generic is not None and generic.size != size:
        # OpenSlide takes the first directory, which need not be the largest image.
        slide.close()
        return None
    slide.set_cache(openslide.OpenSlideCache(_CACHE_BYTES))
    properties = dict(slide.properties)
    background = _background(properties)
    power = as_positive(properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER))
    return OpenSlideReader(
        path=path,
        size=size,
        mpp=resolved_mpp(path, mpp, [generic.ome_spacing if generic else None, _spacing(properties)]),
        objective_power=generic.objective_power if generic else power,
        vendor=vendor,
        background=background,
        # Of an empty region no tile is decoded.
        icc_profile=slide.read_region((0, 0), 0, (0, 0)).info.get("icc_profile"),
        properties=properties,
        associated=generic.associated if generic else _associated(path, slide, background),
        lossy_methods=_lossy_methods(vendor, properties, tiff),
        size_bytes=size_on_disk(path, vendor, properties),
        slide=slide,
    )


def _over(image: PIL.Image.Image, background: tuple[int, int, int]) -> Image:
    if image.getchannel("A").getextrema() == (255, 255):
        return np.array(image.convert("RGB"))  # a third of the time that numpy takes to drop a channel
    return over(np.asarray(image), background)


def _background(properties: Mapping[str, str]) -> tuple[int, int, int]:
    text = properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "")
    try:
        red, green, blue = bytes.fromhex(text)
    except ValueError:
        return WHITE
    return red, green, blue


def _spacing(properties: Mapping[str, str]) -> Spacing | None:
    x = as_positive(properties.get(openslide.PROPERTY_NAME_MPP_X))
    y = as_positive(properties.get(openslide.PROPERTY_NAME_MPP_Y))
    return None if x is None or y is None else (x, y)


def _associated(path: Path, slide: openslide.OpenSlide, background: tuple[int, int, int]) -> dict[str, Image]:
    """The associated images of `slide` that can be read."""
    images = {}
    # Iterated, because `in` would decode the image to learn whether it is there.
    for name in [name for name in slide.associated_images if name in ASSOCIATED_NAMES]:
        try:
            # A handle is dead after its first error, and a damaged label is no reason to refuse a slide.
            with openslide.OpenSlide(path) as own:
                images[name] = _over(own.associated_images[name], background)
        except openslide.OpenSlideError:
            continue
    return images


def _lossy_methods(vendor: str, properties: Mapping[str, str], tiff: TiffFacts | None) -> tuple[str, ...]:
    match vendor:
        case "dicom":
            name = "dicom.LossyImageCompressionMethod"  # with an index if there are several
            return tuple(properties[key] for key in sorted(properties) if key == name or key.startswith(f"{name}["))
        case "mirax":
            image_format = properties.get("mirax.LAYER_0_LEVEL_0_SECTION.IMAGE_FORMAT", "JPEG")
            return ("ISO_10918_1",) if image_format == "JPEG" else ()
        case "sakura":
            return ("ISO_10918_1",)
        case "hamamatsu" if tiff is None:  # VMS holds JPEG files, VMU raw pixels
            return ("ISO_10918_1",) if "hamamatsu.ImageFile" in properties else ()
        case _:
            return () if tiff is None else tiff.lossy_methods
