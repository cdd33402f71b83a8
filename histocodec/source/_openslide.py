"""Reads slides through OpenSlide."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openslide

from ..errors import SourceReadError, UnreadableSource
from ..format.associated import NAMES
from ..geometry import Image, Region, Size
from ._dicom import DicomCorrections, as_rgb, check_dicom, check_dicom_sizes
from ._files import slide_files
from ._ome import as_positive
from ._reader import WHITE, OnDamage, Reader, over
from ._resolution import Spacing, resolved_mpp
from ._segments import LONGEST_SEGMENT_PX
from ._tiff import PLAIN_VENDORS, TiffMetadata
from .as_stored import AsStored

_CACHE_BYTES = 64 << 20
"""Bytes of decoded tiles that a handle keeps."""

_COMPRESSIONS = (1, 5, 7, 8, 32773, 32946, 33003, 33005, 50000)
"""TIFF compressions that OpenSlide reads: none, LZW, JPEG, deflate by both its numbers, PackBits, Aperio's JPEG 2000,
zstd. Of others it may open what it cannot read."""


@dataclass(kw_only=True, eq=False)
class OpenSlideReader(Reader):
    """A slide that OpenSlide reads."""

    slide: openslide.OpenSlide = field(repr=False)
    is_ycbcr: bool = False
    """True if OpenSlide takes the slide's YCbCr for RGB, so that its pixels have to be converted."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def _pixels(self, region: Region) -> Image:
        slide = self.slide
        try:
            return self._read(slide, region)
        except openslide.OpenSlideError:
            # A handle is dead after its first error, which may have been another thread's: a new one tells.
            with self._lock:
                if self.slide is slide:
                    self.slide = self._again()
            with self._again() as own:
                return self._read(own, region)

    def _again(self) -> openslide.OpenSlide:
        """Open a new handle. Raises SourceReadError if that fails: it is no damage in a place."""
        try:
            return _opened(self.path)
        except openslide.OpenSlideError as error:
            raise SourceReadError(self.path, f"can be opened no longer: {error}") from error

    def _read(self, slide: openslide.OpenSlide, region: Region) -> Image:
        image = slide.read_region((region.x, region.y), 0, (region.width, region.height))
        return over(np.asarray(as_rgb(image) if self.is_ycbcr else image), self.background)

    def _release(self) -> None:
        self.slide.close()


def detected_vendor(path: Path) -> str | None:
    """Return OpenSlide's name of the format; None if it does not know it."""
    vendor: str | None = openslide.OpenSlide.detect_format(AsStored(path))
    return vendor


def open_openslide(
    path: Path, vendor: str, tiff: TiffMetadata | None, mpp: float | None, on_damage: OnDamage
) -> OpenSlideReader | None:
    """Open a slide, or return None if it is left to the other readers.

    Raises UnreadableSource, MissingResolution and UnsupportedResolution.
    """
    if vendor in PLAIN_VENDORS:
        if tiff is None and vendor == "generic-tiff":
            return None  # OpenSlide would turn 16-bit, grey and CMYK pixels into RGB without a word
        if tiff is not None and not _is_level_0(tiff):
            return None
    if vendor == "dicom":
        check_dicom_sizes(path)
    try:
        slide = _opened(path)
    except openslide.OpenSlideError as error:
        if vendor in PLAIN_VENDORS:
            return None
        raise UnreadableSource(path, f"a {vendor} slide that OpenSlide cannot open: {error}") from error
    try:
        return _reader(path, vendor, slide, tiff, mpp, on_damage)
    except BaseException:
        slide.close()
        raise


def _is_level_0(tiff: TiffMetadata) -> bool:
    """Tell whether OpenSlide takes the picture for its level 0, and its colours for what they are."""
    if tiff.is_grey or tiff.contradicts or tiff.compression not in _COMPRESSIONS:
        return False
    if tiff.longest_segment_bytes > tiff.path.stat().st_size:  # libtiff asks for as much memory
        return False
    return tiff.pages == (0,) and tiff.tiled and not tiff.is_ambiguous


def _opened(path: Path) -> openslide.OpenSlide:
    """Open a handle with a cache of its own."""
    slide = openslide.OpenSlide(AsStored(path))
    slide.set_cache(openslide.OpenSlideCache(_CACHE_BYTES))
    return slide


def _reader(
    path: Path,
    vendor: str,
    slide: openslide.OpenSlide,
    tiff: TiffMetadata | None,
    mpp: float | None,
    on_damage: OnDamage,
) -> OpenSlideReader | None:
    """Build the reader of an open slide; None, and the slide closed, if another reader knows better."""
    size = Size(*slide.dimensions)
    generic = tiff if vendor == "generic-tiff" else None
    if tiff is not None and vendor in PLAIN_VENDORS and tiff.size != size:
        slide.close()
        return None
    # Without those whose names are no text, of which OpenSlide gives no value.
    properties = {name: value for name in slide.properties if (value := slide.properties.get(name)) is not None}
    _check_memory(path, vendor, tiff, properties)
    dicom = check_dicom(path, slide) if vendor == "dicom" else DicomCorrections()
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
        associated=generic.associated if generic else _associated(path, slide, background, dicom.left_out),
        lossy_methods=_lossy_methods(vendor, properties, tiff),
        files=slide_files(path, vendor, properties),
        notes=dicom.notes,
        on_damage=on_damage,
        cell=_tile_size(properties),
        slide=slide,
        is_ycbcr=dicom.is_ycbcr,
    )


def _check_memory(path: Path, vendor: str, tiff: TiffMetadata | None, properties: Mapping[str, str]) -> None:
    """Raise UnreadableSource for tiles for which OpenSlide would ask for more memory than there is, and end us.

    Hamamatsu's are read row by row, and may be the whole picture.
    """
    width, height = (properties.get(f"openslide.level[0].tile-{side}", "") for side in ("width", "height"))
    is_stated = width.isdecimal() and height.isdecimal() and vendor != "hamamatsu"
    if is_stated and int(width) * int(height) > LONGEST_SEGMENT_PX:
        raise UnreadableSource(path, f"expected tiles of at most {LONGEST_SEGMENT_PX} px, found {width} x {height} px")
    if vendor not in PLAIN_VENDORS and tiff is not None and tiff.longest_segment_bytes > path.stat().st_size:
        raise UnreadableSource(path, f"damaged: a tile of {tiff.longest_segment_bytes} bytes, more than the file has")


def _tile_size(properties: Mapping[str, str]) -> Size:
    """Return the size of the tiles of level 0; of formats without tiles in rows and columns, of cells for damage."""
    width, height = (properties.get(f"openslide.level[0].tile-{side}", "") for side in ("width", "height"))
    if width.isdecimal() and height.isdecimal() and 0 < int(width) * int(height) <= LONGEST_SEGMENT_PX:
        return Size(int(width), int(height))
    return Size(256, 256)


def _background(properties: Mapping[str, str]) -> tuple[int, int, int]:
    """Return the background that a slide states, as RGB; white without one."""
    text = properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "")
    try:
        red, green, blue = bytes.fromhex(text)
    except ValueError:
        return WHITE
    return red, green, blue


def _spacing(properties: Mapping[str, str]) -> Spacing | None:
    """Return the micrometres per pixel that OpenSlide found; None if there are none."""
    x = as_positive(properties.get(openslide.PROPERTY_NAME_MPP_X))
    y = as_positive(properties.get(openslide.PROPERTY_NAME_MPP_Y))
    return None if x is None or y is None else (x, y)


def _associated(
    path: Path, slide: openslide.OpenSlide, background: tuple[int, int, int], left_out: Collection[str]
) -> dict[str, Image]:
    """Read the associated images of `slide`, but for those in `left_out`, and those too large or damaged."""
    images = {}
    # Iterated, because `in` would decode the image to learn whether it is there.
    for name in [name for name in slide.associated_images if name in NAMES and name not in left_out]:
        sides = [slide.properties.get(f"openslide.associated.{name}.{side}", "") for side in ("width", "height")]
        if not all(side.isdecimal() for side in sides) or int(sides[0]) * int(sides[1]) > LONGEST_SEGMENT_PX:
            continue
        try:
            # A handle is dead after its first error, and a damaged label is no reason to refuse a slide.
            with openslide.OpenSlide(AsStored(path)) as own:
                images[name] = over(np.asarray(own.associated_images[name]), background)
        except openslide.OpenSlideError:
            continue
    return images


def _lossy_methods(vendor: str, properties: Mapping[str, str], tiff: TiffMetadata | None) -> tuple[str, ...]:
    """Return the lossy compressions of a slide, as `Source.lossy_methods`."""
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
