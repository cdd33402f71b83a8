"""What a TIFF says of itself, whichever reader then reads its pixels."""

from __future__ import annotations

import logging
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from ..codecs import Image
from ..errors import SourceError, UnreadableSource
from ..geometry import Size
from ..layout import TAG_MANIFEST
from ._ome import read_ome
from ._resolution import Spacing

# Without a handler of ours, Python prints tifffile's warnings on stderr; those who configure logging still get them.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LONGEST_TILE_PX = 1 << 26  # above this, reading one pixel would cost more memory than reading any sensible region
_TEXT_TAGS = ("ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "HostComputer", "Copyright")
_RGB, _YCBCR = 2, 6
_APERIO_JPEG_2000_YCBCR = 33003
_JPEG, _JPEG_2000 = "ISO_10918_1", "ISO_15444_1"
_LOSSY_METHODS = {
    6: _JPEG,
    7: _JPEG,
    _APERIO_JPEG_2000_YCBCR: _JPEG_2000,
    33004: _JPEG_2000,
    33005: _JPEG_2000,
    33007: _JPEG,
    34712: _JPEG_2000,
    50001: "WEBP",
    50002: "ISO_18181_1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffFacts:
    """One TIFF file; "the page" is that of the full-resolution image, 8-bit RGB with or without alpha."""

    path: Path
    page: int
    """Its position in the main chain of directories."""
    size: Size
    tiled: bool
    photometric: int
    compression: int
    ambiguity: str | None
    """Why the page cannot stand for the file without a vendor's reader that knows better; None if it can."""
    is_ome: bool
    ome_spacing: Spacing | None
    tag_spacing: Spacing | None
    objective_power: float | None
    icc_profile: bytes | None
    properties: dict[str, str]
    associated: dict[str, Image]

    @property
    def is_rgb_when_decoded(self) -> bool:
        """Whether tifffile gives the page as RGB; of YCbCr it converts only what the JPEG decoder does."""
        if self.photometric == _YCBCR:
            return _LOSSY_METHODS.get(self.compression) == _JPEG
        return self.photometric == _RGB and self.compression != _APERIO_JPEG_2000_YCBCR

    def check_unambiguous(self) -> None:
        """Raise UnreadableSource if only a vendor's reader could know what the picture is."""
        if self.ambiguity is not None:
            raise UnreadableSource(self.path, self.ambiguity)

    @property
    def lossy_methods(self) -> tuple[str, ...]:
        """As `Source.lossy_methods`."""
        method = _LOSSY_METHODS.get(self.compression)
        return () if method is None else (method,)

    @property
    def vendor(self) -> str:
        """As `Source.vendor`, for readers other than OpenSlide."""
        return "ome-tiff" if self.is_ome else "tiff"


def is_tiff(path: Path) -> bool:
    """Whether the file begins as a TIFF or BigTIFF."""
    with path.open("rb") as file:
        return file.read(4) in _MAGIC


def read_tiff(path: Path) -> TiffFacts | None:
    """The facts about a TIFF; None if the file is not one, or tifffile cannot make sense of it.

    Raises UnreadableSource for a histocodec file, a full-resolution page that is cut off or not 8-bit RGB.
    """
    if not is_tiff(path):
        return None
    try:
        with tifffile.TiffFile(path) as tiff:
            return _facts(path, tiff)
    except SourceError:
        raise
    except Exception:  # a damaged file can make tifffile raise anything; the other readers have their say
        return None


def _facts(path: Path, tiff: tifffile.TiffFile) -> TiffFacts:
    pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
    if TAG_MANIFEST in pages[0].tags:
        raise UnreadableSource(path, "already a histocodec file; decode it first")
    # Labels and macros are often stripped, and in small cut-outs larger than the slide itself.
    index = max(range(len(pages)), key=lambda i: (pages[i].is_tiled, pages[i].imagewidth * pages[i].imagelength))
    page = pages[index]
    if not _is_rgb(page):
        raise UnreadableSource(
            path,
            f"expected 8-bit RGB, found {page.samplesperpixel} x {page.bitspersample} bit per pixel "
            f"({_name(page.photometric)})",
        )
    _check_extent(path, tiff, page)
    size = Size(page.imagewidth, page.imagelength)
    ome = read_ome(tiff.ome_metadata if tiff.is_ome else None, size)
    return TiffFacts(
        path=path,
        page=index,
        size=size,
        tiled=page.is_tiled,
        photometric=int(page.photometric),
        compression=int(page.compression),
        ambiguity=_ambiguity(tiff, pages, page),
        is_ome=tiff.is_ome,
        ome_spacing=ome.spacing,
        tag_spacing=_tag_spacing(page),
        objective_power=ome.objective_power,
        icc_profile=page.iccprofile,
        properties=_text_tags(pages[0]),
        associated=_associated(pages, {name: i for name, i in ome.associated.items() if i != index}),
    )


def _is_rgb(page: tifffile.TiffPage) -> bool:
    """Whether the page has 8-bit samples for red, green, blue and at most one for alpha."""
    alpha = page.samplesperpixel == 4 and page.extrasamples in ((1,), (2,))
    return page.bitspersample == 8 and page.sampleformat == 1 and (page.samplesperpixel == 3 or alpha)


def _check_extent(path: Path, tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> None:
    """Raise UnreadableSource if tiles of the page lie beyond the file's end, or are too large to be read one by one."""
    if tiff.is_ndpi:  # tifffile derives NDPI's tiles from restart markers; their ends are estimates
        return
    if page.is_tiled and page.tilewidth * page.tilelength > _LONGEST_TILE_PX:
        raise UnreadableSource(
            path,
            f"expected tiles of at most {_LONGEST_TILE_PX} px, found {page.tilewidth} x {page.tilelength} px",
        )
    offsets, counts = np.asarray(page.dataoffsets, np.uint64), np.asarray(page.databytecounts, np.uint64)
    expected = math.prod(page.chunked)
    if len(offsets) != expected or len(counts) != expected:
        raise UnreadableSource(
            path, f"cut off or damaged: expected {expected} tiles or strips, found {min(len(offsets), len(counts))}"
        )
    size_bytes = tiff.filehandle.size
    beyond = int(np.count_nonzero((counts > 0) & (offsets + counts > size_bytes)))
    if beyond:
        raise UnreadableSource(
            path, f"cut off: {beyond} of {expected} tiles or strips lie beyond the file's {size_bytes} bytes"
        )


def _ambiguity(tiff: tifffile.TiffFile, pages: list[tifffile.TiffPage], page: tifffile.TiffPage) -> str | None:
    if page.photometric not in (_RGB, _YCBCR):
        return f"expected 8-bit RGB, found {_name(page.photometric)}"
    if _chain_is_broken(tiff):
        return "cut off: it announces a further page that is not there"
    twins = sum((other.imagewidth, other.imagelength) == (page.imagewidth, page.imagelength) for other in pages)
    if twins > 1:
        return f"expected one image, found {twins} of {page.imagewidth} x {page.imagelength} px (planes or channels?)"
    if page.tags.valueof("Orientation", 1) != 1:
        return "expected rows from the top and columns from the left, found a turned or mirrored image"
    return None


def _chain_is_broken(tiff: tifffile.TiffFile) -> bool:
    """Whether the last directory that can be read points to another one."""
    if tiff.pages.next_page_offset is None:
        return False
    tiff.filehandle.seek(tiff.pages.next_page_offset)
    pointer = tiff.filehandle.read(struct.calcsize(tiff.tiff.offsetformat))
    return any(pointer) or len(pointer) < struct.calcsize(tiff.tiff.offsetformat)


def _tag_spacing(page: tifffile.TiffPage) -> Spacing | None:
    unit = {2: 25400.0, 3: 10000.0}.get(page.tags.valueof("ResolutionUnit", 2))
    ratios = page.tags.valueof("XResolution"), page.tags.valueof("YResolution")
    if unit is None or None in ratios or any(0 in ratio for ratio in ratios):
        return None
    (x, x_by), (y, y_by) = ratios
    return unit * x_by / x, unit * y_by / y


def _text_tags(page: tifffile.TiffPage) -> dict[str, str]:
    values = {name: page.tags.valueof(name) for name in _TEXT_TAGS}
    return {f"tiff.{name}": value for name, value in values.items() if isinstance(value, str)}


def _associated(pages: list[tifffile.TiffPage], places: dict[str, int]) -> dict[str, Image]:
    """The pages at `places`, without those that are not there, damaged, or other than 8-bit RGB."""
    images = {}
    for name, index in places.items():
        try:
            image = pages[index].asarray()
        except Exception:  # tifffile and its codecs raise without a common root; a label is no reason to refuse a slide
            continue
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
            images[name] = np.ascontiguousarray(image)
    return images


def _name(photometric: int) -> str:
    return str(getattr(photometric, "name", photometric)).lower()
