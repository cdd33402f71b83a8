"""Reads the pixels of a TIFF's directory, tile by tile or strip by strip, as tifffile decodes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..geometry import Region, Size
from ._codestream import stated_area

LONGEST_SEGMENT_PX = 1 << 26
"""Most pixels of a tile or strip; above this, reading one pixel would cost more memory than any sensible region."""

_ALWAYS_PX = 1 << 22
"""Pixels that a codestream may state whatever its directory says: it is not decoded for memory's sake alone."""
_CACHE_BYTES = 64 << 20
"""Bytes of decoded tiles that are kept."""
_CACHED_ROWS = 2304
"""Rows of strips that are kept: as many as an encoder takes for a row of its tiles, or each strip would be decoded for
each tile."""
_MOST_CACHE_BYTES = 512 << 20
"""Most bytes of decoded strips that are kept."""

_SEPARATE = 2
"""PlanarConfiguration of samples in planes of their own."""
_UNCOMPRESSED = 1
_ROWS = 64
"""Rows that are read at a time of an uncompressed image in one piece: its strips need not be read as a whole."""


def _is_one_piece(page: tifffile.TiffPage) -> bool:
    """Tell whether the samples of a page lie one after the other in the file, as they are."""
    return page.compression == _UNCOMPRESSED and not page.is_tiled and page.is_contiguous


def segment_size(page: tifffile.TiffPage) -> Size:
    """Return the size of a tile or strip, in pixels."""
    if page.is_tiled:
        return Size(page.tilewidth, page.tilelength)
    if _is_one_piece(page):
        return Size(page.imagewidth, min(_ROWS, page.imagelength))
    return Size(page.imagewidth, min(page.rowsperstrip or page.imagelength, page.imagelength))


def cells_of(cell: Size, region: Region) -> Iterator[tuple[int, int]]:
    """Yield (column, row) of every cell that a region touches, row by row, in a grid from the top left corner."""
    for row in range(region.y // cell.height, (region.bottom - 1) // cell.height + 1):
        for column in range(region.x // cell.width, (region.right - 1) // cell.width + 1):
            yield column, row


class Segments:
    """An image of 8-bit samples, of which only what a region touches is read. Safe to use from several threads."""

    def __init__(self, file: tifffile.TiffFile, pages: list[tifffile.TiffPage]) -> None:
        """Prepare an image. pages: one, or several of the same kind, each with one channel of the image."""
        self.size = Size(pages[0].imagewidth, pages[0].imagelength)
        self.cell = segment_size(pages[0])
        """Size of a tile or strip, in pixels."""
        self.samples = len(pages) if len(pages) > 1 else pages[0].samplesperpixel
        self._file, self._pages = file, pages
        self._is_one_piece = _is_one_piece(pages[0]) and all(page.is_contiguous for page in pages)
        self._lock = threading.Lock()
        self._planes = [
            (page, plane)
            for page in pages
            for plane in range(page.samplesperpixel if page.planarconfig == _SEPARATE else 1)
        ]
        segment_bytes = self.cell.area * (self.samples if len(self._planes) == 1 else 1)
        cache_bytes = _CACHE_BYTES
        if not pages[0].is_tiled:
            cache_bytes = max(cache_bytes, min(_CACHED_ROWS * self.size.width * self.samples, _MOST_CACHE_BYTES))
        self._segment = lru_cache(maxsize=max(len(self._planes), cache_bytes // segment_bytes))(self._decoded)

    @property
    def has_decoder(self) -> bool:
        """True if tifffile knows the compression."""
        try:
            _decode(self._pages[0], None, 0)
        except Exception:  # tifffile's way of saying that it does not
            return False
        return True

    def read(self, region: Region, fill: tuple[int, ...]) -> NDArray[np.uint8]:
        """Read a region: (height, width, samples) uint8; `fill`, a value a sample, where the file leaves a tile out."""
        columns, rows = -(-self.size.width // self.cell.width), -(-self.size.height // self.cell.height)
        canvas = np.empty((region.height, region.width, self.samples), np.uint8)
        canvas[:] = fill
        for column, row in cells_of(self.cell, region):
            left, top = column * self.cell.width, row * self.cell.height
            x, right = max(region.x, left), min(region.right, left + self.cell.width)
            y, bottom = max(region.y, top), min(region.bottom, top + self.cell.height)
            part = canvas[y - region.y : bottom - region.y, x - region.x : right - region.x]
            for channel, (_, plane) in enumerate(self._planes):
                pixels = self._segment(channel, (plane * rows + row) * columns + column)
                if pixels is not None:
                    channels = slice(None) if len(self._planes) == 1 else slice(channel, channel + 1)
                    part[:, :, channels] = pixels[y - top : bottom - top, x - left : right - left]
        return canvas

    def _decoded(self, channel: int, index: int) -> NDArray[np.uint8] | None:
        """Decode one tile or strip: (height, width, samples) uint8; None if the file leaves it out."""
        page, plane = self._planes[channel]
        if self._is_one_piece:
            return self._rows(page, plane, index)
        count = page.databytecounts[index]
        if count == 0:
            return None
        data = self._bytes(page.dataoffsets[index], count)
        if (area := stated_area(data)) > max(self.cell.area, _ALWAYS_PX):
            raise ValueError(f"tile or strip {index} states {area} px, its directory {self.cell.area}")
        pixels = _decode(page, data, index)
        samples = 1 if page.planarconfig == _SEPARATE else page.samplesperpixel
        if pixels is None or pixels.dtype != np.uint8 or pixels.shape[0] != 1 or pixels.shape[3] != samples:
            raise ValueError(f"tile or strip {index} is not of {samples} x 8 bit, as its directory says")
        return np.asarray(pixels[0], np.uint8)

    def _rows(self, page: tifffile.TiffPage, plane: int, index: int) -> NDArray[np.uint8]:
        """Read some rows of an image in one piece; as `_decoded`."""
        width, height = self.size
        samples = 1 if page.planarconfig == _SEPARATE else page.samplesperpixel
        top = index * self.cell.height - plane * -(-height // self.cell.height) * self.cell.height
        rows = min(self.cell.height, height - top)
        data = self._bytes(page.dataoffsets[0] + (plane * height + top) * width * samples, rows * width * samples)
        return np.frombuffer(data, np.uint8).reshape(rows, width, samples)

    def _bytes(self, offset: int, count: int) -> bytes:
        """Read so many bytes. Raises ValueError where the file ends before."""
        file = self._file.filehandle
        data = b""
        if offset + count <= file.size:  # else memory would be asked for, whatever length is stated
            with self._lock:
                file.seek(offset)
                data = file.read(count)
        if len(data) != count:
            raise ValueError(f"the file ends within {count} bytes at {offset}")
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _decode(page: tifffile.TiffPage, data: bytes | None, index: int) -> NDArray[np.generic] | None:
    """Decode one tile or strip with the tables of its page."""
    tables = {"jpegtables": page.jpegtables} if page.jpegtables is not None else {}
    decoded: NDArray[np.generic] | None = page.decode(data, index, **tables)[0]
    return decoded
