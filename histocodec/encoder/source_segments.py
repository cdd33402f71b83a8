"""Cuts a source's files into segments: JPEG streams that transcode, tiles of the finest level, and the rest.

Nothing here has to be right for the original to come back: what does not transcode to the same bytes stays as it is.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tifffile

from ..format.entries import OriginalCodec, OriginalTiles
from ..format.tags import MAX_SEGMENT_BYTES, MAX_SHARED, MAX_SHARED_BYTES, MAX_TILE_SIDE
from ..geometry import Size
from ..runtime.searched_file import SearchedFile

CHUNK_BYTES = 1 << 20
"""Length of the segments into which the rest of a file is cut."""

_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
"""The marker by which JPEG decoders know that the three components are red, green and blue."""
_JPEG, _RGB, _YCBCR = 7, 2, 6
_CODECS: dict[int, OriginalCodec] = {
    1: "none",
    5: "lzw",
    _JPEG: "jpeg",
    8: "deflate",
    32946: "deflate",
    33003: "jp2k",
    33005: "jp2k",
    34712: "jp2k",
}
_PLAIN_VENDORS = ("aperio", "generic-tiff", "tiff", "ome-tiff")
"""Formats whose finest level is one image of tiles side by side."""
_SOI = b"\xff\xd8\xff"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends the entropy-coded bytes of a scan: neither a stuffed byte nor a restart."""
_EOI, _SOS = 0xD9, 0xDA
_SHORTEST_JPEG = 128


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of a file that belong together."""

    offset: int
    length: int
    is_jpeg: bool
    header: bytes = b""
    """Bytes that the JPEG stream lacks behind its first two."""
    packs: bool = True
    """True if zstd may be tried: not on tiles that would then be hidden from other readers."""

    @property
    def end(self) -> int:
        """Offset behind the last byte."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class CutFile:
    """A file of the source in ranges, one behind the other from its first byte to its last."""

    path: Path
    ranges: tuple[Range, ...]
    tiles: OriginalTiles | None = None
    """How the finest level is coded; None if it is not one image of square tiles side by side."""
    tile_ranges: tuple[int, ...] = ()
    """Positions of the ranges that are its tiles, row by row."""


def cut(path: Path, vendor: str, size: Size) -> CutFile:
    """Cut a file. vendor, size: those of the slide, by which its finest level is known."""
    ranges, tiles, places = list[Range](), None, list[int]()
    with (
        contextlib.suppress(Exception),
        tifffile.TiffFile(path) as tiff,
    ):  # tifffile raises anything, and scanning stays
        if not tiff.is_ndpi:  # whose tiles tifffile derives from restart markers
            pages = list(_pages(tiff.pages))
            finest = _finest(pages, size) if vendor in _PLAIN_VENDORS else None
            tiles = None if finest is None else _tiles_of(finest)
            for page in pages:
                shown = tiles if page is finest else None
                found = list(_ranges_of(page, shown))
                ranges += found
                if shown is not None:
                    places = [one.offset for one in found]
    return _filled(path, ranges or list(scanned(path)), tiles, places)


def scanned(path: Path) -> Iterator[Range]:
    """Yield the JPEG streams that a file of whatever format holds, as far as their markers can be followed."""
    with SearchedFile(path) as data:
        at = data.find(_SOI, 0)
        while at >= 0:
            end = _end_of_jpeg(data, at)
            if end - at >= _SHORTEST_JPEG:
                yield Range(at, end - at, is_jpeg=True)
            at = data.find(_SOI, end if end > at else at + 2)


def _end_of_jpeg(data: SearchedFile, start: int) -> int:
    """Return the offset behind a JPEG stream; `start` if its markers lead nowhere or too far."""
    at, limit = start + 2, min(len(data), start + MAX_SEGMENT_BYTES)
    while at + 4 <= limit:
        head = data.read(at, 4)
        if len(head) < 4 or head[0] != 0xFF:
            return start
        marker = head[1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        at += 2 + int.from_bytes(head[2:], "big")
        if marker < 0xC0 or 0xD0 <= marker <= _EOI:
            return start
        if marker == _SOS:
            found = data.search(_MARKER, 2, at, limit)
            if found is None:
                return start
            at = found
            if data.read(at, 2)[1] == _EOI:
                return at + 2
    return start


def _pages(pages: object) -> Iterator[tifffile.TiffPage]:
    """Yield all directories of a TIFF, those in SubIFDs as well."""
    assert isinstance(pages, tifffile.TiffPages)
    for page in pages:
        if isinstance(page, tifffile.TiffPage):
            yield page
            if page.subifds and page.pages is not None:
                yield from _pages(page.pages)


def _finest(pages: list[tifffile.TiffPage], size: Size) -> tifffile.TiffPage | None:
    """Return the one page that has the slide's size."""
    found = [page for page in pages if (page.imagewidth, page.imagelength) == (size.width, size.height)]
    return found[0] if len(found) == 1 else None


def _tiles_of(page: tifffile.TiffPage) -> OriginalTiles | None:
    """Return how the tiles of a page are coded; None for what cannot be read out of an original."""
    codec, predictor = _CODECS.get(int(page.compression)), int(page.predictor)
    is_rgb = page.samplesperpixel == 3 and page.bitspersample == 8 and int(page.planarconfig) == 1
    photometric, side = int(page.photometric), page.tilewidth
    is_whole = min(page.databytecounts, default=0) > 0 and max(page.databytecounts) <= MAX_SEGMENT_BYTES
    if codec is None or not page.is_tiled or not is_rgb or not is_whole or photometric not in (_RGB, _YCBCR):
        return None
    if side != page.tilelength or side > MAX_TILE_SIDE or predictor not in (1, 2) or page.fillorder != 1:
        return None
    is_ycbcr = int(page.compression) == 33003 if codec == "jp2k" else photometric == _YCBCR
    if is_ycbcr and codec not in ("jpeg", "jp2k"):
        return None
    return OriginalTiles(side, codec, "ycbcr" if is_ycbcr else "rgb", predictor == 2 and codec not in ("jpeg", "jp2k"))


def _ranges_of(page: tifffile.TiffPage, tiles: OriginalTiles | None) -> Iterator[Range]:
    """Yield the tiles or strips of a page that are JPEG streams, and those of the finest level in any case."""
    is_jpeg = int(page.compression) == _JPEG
    if not is_jpeg and tiles is None:
        return
    header = _header_of(page) if is_jpeg else b""
    packs = tiles is None or tiles.codec == "none"
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        if tiles is not None or length >= _SHORTEST_JPEG:
            yield Range(offset, length, is_jpeg, header, packs)


def _header_of(page: tifffile.TiffPage) -> bytes:
    """Return what the JPEG streams of a page lack: tables that they share, and the marker that says RGB."""
    header = _ADOBE_RGB if int(page.photometric) == _RGB and page.samplesperpixel == 3 else b""
    tables = page.jpegtables
    if tables and tables[:2] == b"\xff\xd8" and tables[-2:] == b"\xff\xd9":
        header += tables[2:-2]
    return header if len(header) <= MAX_SHARED_BYTES else b""


def _filled(path: Path, ranges: list[Range], tiles: OriginalTiles | None, places: list[int]) -> CutFile:
    """Sort ranges, drop those that overlap others or lead outside, and put the rest of the file between them."""
    end = path.stat().st_size
    complete, numbers, headers = list[Range](), dict[int, int](), set[bytes]()
    at = 0
    # Of two at one place the finest level's comes first: it alone is not packed.
    for one in sorted(ranges, key=lambda one: (one.offset, one.packs)):
        if one.offset < at or not 0 < one.length <= MAX_SEGMENT_BYTES or one.end > end:
            continue
        if one.header not in headers and len(headers) == MAX_SHARED:
            continue
        headers |= {one.header} - {b""}
        complete += _chunks(at, one.offset)
        numbers[one.offset] = len(complete)
        complete.append(one)
        at = one.end
    complete += _chunks(at, end)
    known = {one.offset: one.length for one in ranges}
    sound = tiles is not None and all(
        place in numbers and complete[numbers[place]].length == known[place] for place in places
    )
    if not sound or not places:
        return CutFile(path, tuple(complete))
    return CutFile(path, tuple(complete), tiles, tuple(numbers[place] for place in places))


def _chunks(start: int, end: int) -> Iterator[Range]:
    """Yield the rest of a file between two offsets."""
    for at in range(start, end, CHUNK_BYTES):
        yield Range(at, min(CHUNK_BYTES, end - at), is_jpeg=False)
