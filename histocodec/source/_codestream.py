"""Reads from the header of a codestream which size and colours it holds, whatever the file around it claims.

`pixels.tile_codecs` reads such headers too, for another purpose: it refuses whatever is not exactly a tile of a
container. Here files of any origin are read, and what cannot be made out is no error.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from ..pixels import jpeg_xl

Colours = Literal["rgb", "ycbcr"]

_JPEG_START, _PNG_START, _JXL_STARTS = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", (b"\xff\x0a", b"\0\0\0\x0cJXL ")
_JP2_START = b"\0\0\0\x0cjP  "
JPEG_2000_START = b"\xff\x4f\xff\x51"

_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_START_OF_SCAN, _END = 0xDA, 0xD9


def stated_area(data: bytes) -> int:
    """Return the pixels that a JPEG, JPEG 2000, PNG or JPEG XL states in its head; 0 where none can be made out."""
    try:
        if data.startswith(_JPEG_START):
            return _jpeg_area(data)
        if data.startswith((JPEG_2000_START, _JP2_START)):
            right, bottom, left, top = struct.unpack_from(">4I", data, data.index(JPEG_2000_START) + 8)
            return int(max(0, right - left) * max(0, bottom - top))
        if data.startswith(_PNG_START):
            width, height = struct.unpack_from(">2I", data, 16)
            return int(width * height)
        if data.startswith(_JXL_STARTS):
            width, height = jpeg_xl.stated_size(data)
            return width * height
    except (struct.error, ValueError, IndexError):
        pass
    return 0


def _jpeg_area(data: bytes) -> int:
    """Return the most pixels that a frame of a JPEG states before its first scan. Raises struct.error at its end."""
    position, area = 2, 0
    while data[position] == 0xFF and (marker := data[position + 1]) not in (_START_OF_SCAN, _END):
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, position + 5)
            area = max(area, height * width)
        position += 2 + length
    return area


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """The statements of a JPEG of three components that decide over its colours."""

    is_subsampled: bool
    """True if a component has fewer samples than another: nobody does that to RGB."""
    adobe: int | None
    """Transform that Adobe's marker states: 0 for RGB, 1 for YCbCr; None without such a marker."""
    letters: bool
    """True if the components are named R, G and B."""
    jfif: bool
    """True for a JFIF file, which is YCbCr by definition."""

    @property
    def colours(self) -> Colours | None:
        """The colours that are stated beyond doubt; None if nothing is."""
        if self.is_subsampled or self.adobe == 1:
            return "ycbcr"
        if self.adobe == 0 or self.letters:
            return "rgb"
        return "ycbcr" if self.jfif else None


def read_jpeg_header(data: bytes) -> JpegHeader | None:
    """Read the markers of a JPEG; None if the data are no JPEG, or not of three components."""
    if not data.startswith(b"\xff\xd8"):
        return None
    position, jfif, adobe = 2, False, None
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in (_START_OF_SCAN, _END):
            break
        (length,) = struct.unpack_from(">H", data, position + 2)
        body = data[position + 4 : position + 2 + length]
        if marker == 0xE0 and body[:5] == b"JFIF\0":
            jfif = True
        elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        elif marker in _START_OF_FRAME:
            names, sampling = body[6::3], body[7::3]
            # Markers of applications stand before the frame's.
            return JpegHeader(len(set(sampling)) > 1, adobe, names == b"RGB", jfif) if len(names) == 3 else None
        position += 2 + length
    return None


@dataclass(frozen=True, slots=True)
class Jpeg2000Header:
    """The statements of a JPEG 2000 codestream that decide over its colours."""

    has_transform: bool
    """True if the codec itself turns the components to RGB (the multiple component transform)."""
    is_subsampled: bool
    """True if a component has fewer samples than the first."""
    bits: int
    """Bits a sample of the first component."""


def read_jpeg_2000_header(data: bytes) -> Jpeg2000Header | None:
    """Read the markers of a bare codestream; None if the data are none, or end within its header."""
    if not data.startswith(JPEG_2000_START):
        return None
    position, subsampled, bits = 2, False, 0
    while position + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, position)
        body = data[position + 4 : position + 2 + length]
        if marker == 0xFF51 and len(body) >= 39:  # SIZ
            (components,) = struct.unpack_from(">H", body, 34)
            steps = {(body[37 + 3 * k], body[38 + 3 * k]) for k in range(components) if len(body) > 38 + 3 * k}
            subsampled = len(steps) > 1
            bits = (body[36] & 0x7F) + 1
        elif marker == 0xFF52 and len(body) >= 5:  # COD
            return Jpeg2000Header(body[4] == 1, subsampled, bits)
        elif marker == 0xFF90:  # the first tile, before any COD
            return None
        position += 2 + length
    return None
