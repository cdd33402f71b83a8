"""Reads and checks the metadata of a TIFF, whichever reader then reads its pixels."""

from __future__ import annotations

import logging
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from ..errors import HistocodecError, UnreadableSource
from ..format.tags import Tag
from ..geometry import Image, Size
from ._codestream import read_jpeg_2000_header, read_jpeg_header
from ._ome import read_ome
from ._pictures import Picture, Pictures, find_pictures
from ._reader import WAY_PAST_DAMAGE
from ._resolution import Spacing
from ._segments import LONGEST_SEGMENT_PX, segment_size

# Without a handler of ours, Python prints tifffile's warnings on stderr; those who configure logging still get them.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

PLAIN_VENDORS = (None, "generic-tiff", "aperio")
"""OpenSlide's names of formats whose pages are the picture, without any stitching: any TIFF reader gives the same."""

_HEADER_BYTES = 1 << 16
"""Bytes of a codestream in which its header must be found."""
_COMPRESSIONS = {*map(int, tifffile.COMPRESSION)}
_TEXT_TAGS = ("ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "HostComputer", "Copyright")
_GREY, _RGB, _YCBCR = 1, 2, 6
_OLD_JPEG, _JPEG_IN_TIFF = 6, 7
APERIO_JPEG_2000_YCBCR = 33003
_JPEG, _JPEG_2000 = "ISO_10918_1", "ISO_15444_1"
_LOSSY_METHODS = {
    6: _JPEG,
    7: _JPEG,
    APERIO_JPEG_2000_YCBCR: _JPEG_2000,
    33004: _JPEG_2000,
    33005: _JPEG_2000,
    33007: _JPEG,
    34712: _JPEG_2000,
    50001: "WEBP",
    50002: "ISO_18181_1",
}
"""Lossy compressions in the terms of DICOM, by their number in TIFF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffMetadata:
    """The metadata of one TIFF. "The picture" is the slide at full resolution, 8-bit RGB with or without alpha."""

    path: Path
    pages: tuple[int, ...]
    """Position of the picture in the main chain of directories; three for grey planes of red, green and blue."""
    size: Size
    tiled: bool
    photometric: int
    compression: int
    segment_size: Size
    """Size of a tile or strip, in pixels."""
    longest_segment_bytes: int
    """Stored bytes of the longest tile or strip."""
    is_ambiguous: bool
    """True if another image of the main chain is as large as the picture, so that its size does not identify it."""
    contradicts: bool
    """True if the codestreams hold other colours than the directory says, so that only readers that believe them, as
    tifffile does, are right: RGB under Aperio's number for YCbCr, as Bio-Formats has it, and JPEG of the other kind."""
    is_ome: bool
    ome_spacing: Spacing | None
    tag_spacing: Spacing | None
    objective_power: float | None
    icc_profile: bytes | None
    properties: dict[str, str]
    associated: dict[str, Image]

    @property
    def is_grey(self) -> bool:
        """True if the directories themselves do not say that the channels are red, green and blue."""
        return self.photometric == _GREY

    @property
    def is_rgb_when_decoded(self) -> bool:
        """True if tifffile gives the picture as RGB; it converts YCbCr only where the JPEG decoder does."""
        if self.photometric == _YCBCR:
            return _LOSSY_METHODS.get(self.compression) == _JPEG
        return self.compression != APERIO_JPEG_2000_YCBCR or self.contradicts

    @property
    def unread(self) -> str:
        """Reason why no reader could open the picture, and a way out, as a sentence."""
        name = tifffile.COMPRESSION(self.compression).name if self.compression in _COMPRESSIONS else "unknown"
        if self.compression == APERIO_JPEG_2000_YCBCR:
            name = "JPEG 2000 of YCbCr, as Aperio alone writes it"
        way_out = "convert it first, such as with bfconvert -compression LZW or tiffcp -c lzw"
        return f"no reader here decodes compression {self.compression} ({name}); {way_out}"

    @property
    def lossy_methods(self) -> tuple[str, ...]:
        """Lossy compressions; as `Source.lossy_methods`."""
        method = _LOSSY_METHODS.get(self.compression)
        return () if method is None else (method,)

    @property
    def vendor(self) -> str:
        """Name of the format for readers other than OpenSlide; as `Source.vendor`."""
        return "ome-tiff" if self.is_ome else "tiff"


def read_tiff(path: Path, vendor: str | None, series: int | None, *, is_whole: bool = True) -> TiffMetadata | None:
    """Read the metadata of a TIFF whose directories were checked; None if tifffile cannot make sense of it.

    vendor: OpenSlide's name of its format, if that knows it. series: which picture, where there are several.
    is_whole: refuse a picture that is cut off. Raises SettingsError for a series that is not there, and
    UnreadableSource for a histocodec file, for several pictures of which none was chosen, and for a picture that is
    damaged beyond reading or not 8-bit RGB.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
            if Tag.Manifest in pages[0].tags:
                raise UnreadableSource(path, "already a histocodec file; decode it first")
            return _metadata(path, tiff, pages, vendor, series, is_whole=is_whole)
    except HistocodecError:
        raise
    except Exception:  # a damaged file can make tifffile raise anything; the other readers have their say
        return None


def _metadata(
    path: Path,
    tiff: tifffile.TiffFile,
    pages: list[tifffile.TiffPage],
    vendor: str | None,
    series: int | None,
    *,
    is_whole: bool,
) -> TiffMetadata:
    """Choose the picture, check it, and collect its metadata. Raises as `read_tiff`."""
    ome = read_ome(tiff.ome_metadata if tiff.is_ome else None)
    if vendor in PLAIN_VENDORS:
        pictures = find_pictures(tiff, pages, ome, tiled_alone=vendor == "aperio")
        _check_planes(path, pictures, pages)
        picture, associated = pictures.chosen(path, series), pictures.associated
        chosen = [pages[place] for place in picture.pages]
        if is_whole and _chain_is_broken(tiff):
            raise UnreadableSource(path, "cut off: it announces a further page that is not there")
        _check_plain(path, picture, chosen)
    else:
        picture, associated = _vendor_picture(pages), {}
        chosen = [pages[place] for place in picture.pages]
    _check_rgb(path, picture, chosen)
    for page in chosen:
        _check_extent(path, tiff, page, is_whole=is_whole)
    page = chosen[0]
    twins = [other for other in pages if (other.imagewidth, other.imagelength) == picture.size]
    return TiffMetadata(
        path=path,
        pages=picture.pages,
        size=picture.size,
        tiled=page.is_tiled,
        photometric=int(page.photometric),
        compression=int(page.compression),
        segment_size=segment_size(page),
        longest_segment_bytes=max((count for each in chosen for count in each.databytecounts), default=0),
        is_ambiguous=len(twins) > len(chosen),
        contradicts=vendor in PLAIN_VENDORS and _contradicts(path, page, _first_codestream(tiff, page)),
        is_ome=tiff.is_ome,
        ome_spacing=picture.ome.spacing if picture.ome else None,
        tag_spacing=_tag_spacing(page),
        objective_power=picture.ome.objective_power if picture.ome else None,
        icc_profile=page.iccprofile,
        properties=_text_tags(pages[0] if tiff.is_ome else page),
        associated=_associated(pages, {name: i for name, i in associated.items() if i not in picture.pages}),
    )


def _check_planes(path: Path, pictures: Pictures, pages: list[tifffile.TiffPage]) -> None:
    """Raise UnreadableSource for grey pages of one size, which may be the channels of one picture, or not."""
    size = pictures.slides[0].size
    grey = [picture for picture in pictures.slides if pages[picture.pages[0]].samplesperpixel == 1]
    if len(grey) > 1 and all(picture.size == size for picture in grey):
        raise UnreadableSource(
            path,
            f"expected 8-bit RGB, found {len(grey)} grey images of {size.width} x {size.height} px, which nothing says "
            "to be red, green and blue; if they are, join them, such as with vips bandjoin",
        )


def _vendor_picture(pages: list[tifffile.TiffPage]) -> Picture:
    """Return the full resolution of a vendor's file, to see whether it is sound; the vendor's reader knows better.

    Labels and macros are often stripped, and in small cut-outs larger than the slide itself.
    """
    place = max(range(len(pages)), key=lambda k: (pages[k].is_tiled, pages[k].imagewidth * pages[k].imagelength))
    return Picture(0, "", (place,), Size(pages[place].imagewidth, pages[place].imagelength))


def _check_plain(path: Path, picture: Picture, chosen: list[tifffile.TiffPage]) -> None:
    """Raise UnreadableSource if the directories of the picture cannot stand for what the file holds."""
    if picture.ome is not None and picture.ome.focal_planes > 1:
        raise UnreadableSource(
            path,
            f"expected one image, found {picture.ome.focal_planes} of {picture.size.width} x {picture.size.height} px: "
            "focal planes or moments; export the one that is meant",
        )
    for page in chosen:
        if page.compression == _OLD_JPEG:
            raise UnreadableSource(
                path,
                "old-style JPEG (compression 6), which decoders read differently or not at all; convert it first, such "
                "as with tiffcp -c jpeg, or export it anew from the program that wrote it",
            )
        if page.tags.valueof("Orientation", 1) != 1:
            raise UnreadableSource(
                path, "expected rows from the top and columns from the left, found a turned or mirrored image"
            )
        if any(sub.imagewidth > page.imagewidth for sub in _subifds(page)):
            raise UnreadableSource(
                path,
                f"expected the full resolution in the main chain of directories, found {page.imagewidth} x "
                f"{page.imagelength} px there and a larger image in a SubIFD; export that one as a TIFF of its own",
            )


def _subifds(page: tifffile.TiffPage) -> list[tifffile.TiffPage]:
    """Return the SubIFDs of a page."""
    return [sub for sub in page.pages or () if isinstance(sub, tifffile.TiffPage)] if page.subifds else []


def _check_rgb(path: Path, picture: Picture, chosen: list[tifffile.TiffPage]) -> None:
    """Raise UnreadableSource unless the picture has 8-bit samples for red, green, blue and at most one for alpha."""
    page, channels_are_rgb = chosen[0], picture.ome is not None and picture.ome.channels_are_rgb
    is_8_bit = all(each.bitspersample == 8 and each.sampleformat == 1 for each in chosen)
    if len(chosen) == 3 and channels_are_rgb and is_8_bit:
        alike = {(each.samplesperpixel, each.photometric, each.compression, each.chunks) for each in chosen}
        if len(alike) == 1 and page.samplesperpixel == 1 and page.photometric == _GREY:
            return
    elif len(chosen) == 1 and is_8_bit:
        alpha = page.samplesperpixel == 4 and page.extrasamples in ((1,), (2,))
        if (page.samplesperpixel == 3 or alpha) and page.photometric in (_RGB, _YCBCR):
            return
        if page.samplesperpixel == 3 and page.photometric == _GREY and channels_are_rgb:
            return
        if page.samplesperpixel == 3 or alpha:
            raise UnreadableSource(path, f"expected 8-bit RGB, found {_name(page.photometric)}")
    found = f"{page.samplesperpixel} x {page.bitspersample} bit per pixel ({_name(page.photometric)})"
    if len(chosen) > 1:
        found = f"{len(chosen)} channels of {found}, which are not said to be red, green and blue"
    raise UnreadableSource(path, f"expected 8-bit RGB, found {found}")


def _first_codestream(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> bytes:
    """Read the beginning of the first tile or strip that is there; empty if none is."""
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if count:
            tiff.filehandle.seek(offset)
            return bytes(tiff.filehandle.read(min(count, _HEADER_BYTES)))
    return b""


def _contradicts(path: Path, page: tifffile.TiffPage, codestream: bytes) -> bool:
    """Tell whether a codestream holds other colours than its directory says, and tifffile believes the codestream.

    Raises UnreadableSource if tifffile believes the directory as well.
    """
    if page.compression == APERIO_JPEG_2000_YCBCR:
        jpeg_2000 = read_jpeg_2000_header(codestream)
        return jpeg_2000 is not None and jpeg_2000.has_transform
    jpeg = read_jpeg_header(codestream) if page.compression == _JPEG_IN_TIFF else None
    if jpeg is None or page.photometric not in (_RGB, _YCBCR):
        return False
    said = "rgb" if page.photometric == _RGB else "ycbcr"
    if jpeg.colours in (None, said):
        return False
    if jpeg.colours == "ycbcr" and not jpeg.jfif:
        raise UnreadableSource(
            path,
            "its directory says rgb, but its tiles are JPEG of ycbcr: the colours would be wrong; set "
            "PhotometricInterpretation to 6 in a copy, such as with tiffset -s 262 6",
        )
    return True


def _check_extent(path: Path, tiff: tifffile.TiffFile, page: tifffile.TiffPage, *, is_whole: bool) -> None:
    """Raise UnreadableSource if tiles of the page lie beyond the file's end, or are too large to be read one by one."""
    if tiff.is_ndpi:  # tifffile derives NDPI's tiles from restart markers; their ends are estimates
        return
    sizes = (page.imagewidth, page.imagelength, *segment_size(page))
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise UnreadableSource(
            path, f"damaged: a picture of {page.imagewidth} x {page.imagelength} px, or tiles of none"
        )
    if page.is_tiled and page.tilewidth * page.tilelength > LONGEST_SEGMENT_PX:
        raise UnreadableSource(
            path,
            f"expected tiles of at most {LONGEST_SEGMENT_PX} px, found {page.tilewidth} x {page.tilelength} px",
        )
    offsets, counts = np.asarray(page.dataoffsets, np.uint64), np.asarray(page.databytecounts, np.uint64)
    expected = math.prod(page.chunked)
    if len(offsets) != expected or len(counts) != expected:
        raise UnreadableSource(
            path, f"cut off or damaged: expected {expected} tiles or strips, found {min(len(offsets), len(counts))}"
        )
    size_bytes = tiff.filehandle.size
    beyond = int(np.count_nonzero((counts > 0) & (offsets + counts > size_bytes)))
    if beyond and is_whole:
        raise UnreadableSource(
            path,
            f"cut off: {beyond} of {expected} tiles or strips lie beyond the file's {size_bytes} bytes"
            f"{WAY_PAST_DAMAGE}",
        )


def _chain_is_broken(tiff: tifffile.TiffFile) -> bool:
    """Tell whether the last directory that can be read points to another one."""
    if tiff.pages.next_page_offset is None:
        return False
    tiff.filehandle.seek(tiff.pages.next_page_offset)
    pointer = tiff.filehandle.read(struct.calcsize(tiff.tiff.offsetformat))
    return any(pointer) or len(pointer) < struct.calcsize(tiff.tiff.offsetformat)


def _tag_spacing(page: tifffile.TiffPage) -> Spacing | None:
    """Return the micrometres per pixel of the resolution tags; None if they do not state any."""
    unit = {2: 25400.0, 3: 10000.0}.get(page.tags.valueof("ResolutionUnit", 2))
    ratios = page.tags.valueof("XResolution"), page.tags.valueof("YResolution")
    if unit is None or not all(isinstance(ratio, tuple) and len(ratio) == 2 and all(ratio) for ratio in ratios):
        return None
    (x, x_by), (y, y_by) = ratios
    return unit * x_by / x, unit * y_by / y


def _text_tags(page: tifffile.TiffPage) -> dict[str, str]:
    """Return the tags of a page that hold text, as properties."""
    values = {name: page.tags.valueof(name) for name in _TEXT_TAGS}
    return {f"tiff.{name}": value for name, value in values.items() if isinstance(value, str)}


def _associated(pages: list[tifffile.TiffPage], places: dict[str, int]) -> dict[str, Image]:
    """Read the images at `places`, without those that are damaged, too large or other than 8-bit RGB."""
    images = {}
    for name, index in places.items():
        page = pages[index]
        if page.imagewidth * page.imagelength > LONGEST_SEGMENT_PX:
            continue
        try:
            image = page.asarray()
        except Exception:  # tifffile and its codecs raise without a common root; a label is no reason to refuse a slide
            continue
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
            images[name] = np.ascontiguousarray(image)
    return images


def _name(photometric: int) -> str:
    """Return the name of a PhotometricInterpretation."""
    return str(getattr(photometric, "name", photometric)).lower()
