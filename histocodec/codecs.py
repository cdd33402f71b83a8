"""Tile codecs: one uint8 RGB tile to one self-contained codestream, and back.

| codec  | codestream                             | quality scale                             |
|--------|----------------------------------------|-------------------------------------------|
| `jp2k` | JPEG 2000 Part 1, irreversible, with the multiple component transform | target PSNR in dB, 10 to 60 |
| `avif` | AV1 still image, 4:4:4, 8 bit, speed 6 | libavif quality, whole numbers 0 to 100   |
| `jpeg` | JPEG baseline, 4:2:0, optimised Huffman tables | libjpeg quality, whole numbers 1 to 100 |

The quality scales are the libraries' own: they mean what their manuals say, and are compared by bytes, not by number.
The PSNR of a `jp2k` tile is asked of the part of it that has detail, not of the whole; a flat tile is coded at a higher
one where its mean colour would be lost otherwise.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, Literal, get_args

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from .errors import SettingsError

TileCodec = Literal["jp2k", "avif", "jpeg"]
TILE_CODECS: tuple[TileCodec, ...] = get_args(TileCodec)

Image = NDArray[np.uint8]
"""height x width x 3, uint8, RGB, 0..255."""


class TileError(ValueError):
    """A codestream is damaged, or is not a tile of the expected size."""


@dataclass(frozen=True, slots=True)
class QualityScale:
    """The range of a codec's quality numbers; higher is better."""

    low: float
    high: float
    whole: bool
    """Only whole numbers."""

    def check(self, quality: float) -> float:
        """Return `quality`; raise SettingsError if it is not on this scale."""
        if not self.low <= quality <= self.high or (self.whole and quality != int(quality)):
            kind = "a whole number" if self.whole else "a number"
            raise SettingsError(f"quality {quality:g} is not {kind} from {self.low:g} to {self.high:g}")
        return quality


QUALITY_SCALES: dict[TileCodec, QualityScale] = {
    "jp2k": QualityScale(10.0, 60.0, whole=False),
    "avif": QualityScale(0, 100, whole=True),
    "jpeg": QualityScale(1, 100, whole=True),
}


def encode_tile(image: Image, codec: TileCodec, quality: float) -> bytes:
    """Code one tile.

    image: (height, width, 3) uint8 RGB. quality: on the codec's own scale, see `QUALITY_SCALES`.
    Raises SettingsError for a quality outside the scale. Deterministic: the same pixels give the same bytes.
    """
    quality = QUALITY_SCALES[codec].check(quality)
    image = np.ascontiguousarray(image)
    match codec:
        case "jp2k":
            # A bare codestream ("j2k") and RGB components: what Aperio's compression 33005 means.
            # The stubs say int; OpenJPEG takes, and uses, a float.
            level: Any = max(quality - 10 * math.log10(_detailed_share(image)), _colour_psnr(image))
            return bytes(imagecodecs.jpeg2k_encode(image, level=level, codecformat="j2k", numthreads=1))
        case "avif":
            return bytes(imagecodecs.avif_encode(image, level=int(quality), speed=6, pixelformat="444", numthreads=1))
        case "jpeg":
            return bytes(imagecodecs.jpeg_encode(image, level=int(quality), subsampling="420", optimize=True))


def _detailed_share(image: Image) -> float:
    """The share of a tile that is not flat, 1/64 at least.

    OpenJPEG aims at a PSNR of the whole tile. Where nine tenths of it are glass, or lie beyond the slide, that is met
    without its tissue: one flat colour came out. All the error is in the detailed part, so that is what must meet it.
    """
    height, width = (side // _CELL * _CELL for side in image.shape[:2])
    if not height or not width:
        return 1.0
    cells = image[:height, :width].reshape(height // _CELL, _CELL, width // _CELL, _CELL, 3)
    spread = cells.max((1, 3)).astype(np.int16) - cells.min((1, 3))
    share = float((spread.max(-1) > _FLAT_RANGE).mean())
    return max(share, 1 / 64) if share else 1.0


_CELL, _FLAT_RANGE = 16, 16
"""Pixels a side of what is flat or not, and the most that a channel varies in what is flat."""


def _colour_psnr(image: Image) -> float:
    """The PSNR in dB, about 51 at most, that a JPEG 2000 tile needs to keep its mean colour to a step or two.

    Glass at 32 dB could come out 9 steps too dark, as there is nothing in it but its colour to leave out. Keeping it
    costs about ten bytes: it is the first that the coder spends bits on.
    """
    some = image[::4, ::4].reshape(-1, 3).astype(np.float32)
    variance = float(some.var(0).mean())
    return 10 * math.log10(255**2 / (variance + min(max(0.3 * variance, 0.5), 4.0)))


def decode_tile(data: bytes, codec: TileCodec, *, height: int, width: int) -> Image:
    """Decode one tile of a stated size into (height, width, 3) uint8 RGB.

    The size that the codestream states is compared before memory is asked for.
    Raises TileError if the data are damaged or of another size.
    """
    stated = stated_size(data, codec)
    if stated != (height, width):
        found = "none" if stated is None else f"{stated[1]} x {stated[0]}"
        raise TileError(f"expected a {codec} codestream of {width} x {height} px, found {found}")
    try:
        match codec:
            case "jp2k":
                image = imagecodecs.jpeg2k_decode(data, numthreads=1)
            case "avif":
                image = imagecodecs.avif_decode(data, numthreads=1)
            case "jpeg":
                image = imagecodecs.jpeg_decode(data)
    except Exception as error:  # imagecodecs raises one class per library, without a common root
        raise TileError(f"damaged {codec} codestream: {error}") from error
    if image.shape != (height, width, 3) or image.dtype != np.uint8:
        raise TileError(
            f"expected {height} x {width} x 3 uint8 in a {codec} codestream, found {image.shape} {image.dtype}"
        )
    return np.ascontiguousarray(image)


def stated_size(data: bytes, codec: TileCodec) -> tuple[int, int] | None:
    """(height, width) as the head of a codestream states them; None if they cannot be found."""
    try:
        match codec:
            case "jp2k":
                # SOC, then SIZ: marker, length, capabilities, Xsiz, Ysiz, XOsiz, YOsiz (ISO/IEC 15444-1, A.5.1)
                if data[:4] != b"\xff\x4f\xff\x51":
                    return None
                right, bottom, left, top = struct.unpack_from(">4I", data, 8)
                # Three components of 8 bits, none subsampled: a codestream may state 16384.
                return (bottom - top, right - left) if data[40:51] == b"\0\3\7\1\1\7\1\1\7\1\1" else None
            case "avif":
                # ImageSpatialExtentsProperty: size, "ispe", version and flags, width, height (ISO/IEC 23008-12, 6.5.3).
                # A second one would be of a grid, a thumbnail or another image.
                head = data[: data.index(b"mdat", 0, 4096)]
                if head.count(b"ispe") != 1:
                    return None
                width, height = struct.unpack_from(">2I", head, head.index(b"ispe") + 8)
                return height, width
            case "jpeg":
                return _jpeg_size(data)
    except (struct.error, ValueError):
        return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk the marker segments to the frame header (ISO/IEC 10918-1, B.2.2)."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker in (0xFFC0, 0xFFC1, 0xFFC2):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        if not 0xFFC0 <= marker <= 0xFFFE or marker == 0xFFDA:
            return None
        at += 2 + length
