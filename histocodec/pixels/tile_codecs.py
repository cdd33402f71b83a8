"""Tile codecs: one uint8 RGB tile to one self-contained codestream, and back.

| codec  | codestream                             | quality scale                             |
|--------|----------------------------------------|-------------------------------------------|
| `jp2k` | JPEG 2000 Part 1, irreversible, with the multiple component transform | PSNR in dB, 10 to 60 |
| `av1` | bare AV1 still picture (`av1`) of three full planes | libavif quality, whole numbers 0 to 100 |
| `jpeg` | JPEG baseline, 4:2:0 or 4:4:4, optimised Huffman tables as a rule | libjpeg quality, whole numbers 1 to 100 |

The quality scales are the libraries' own: they mean what their manuals say, and are compared by bytes, not by number.
`even_quality` uses them to give all tiles of a base one quality.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Literal, get_args

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from ..geometry import Image
from . import av1, jpeg_2000

TileCodec = Literal["jp2k", "av1", "jpeg"]
TILE_CODECS: tuple[TileCodec, ...] = get_args(TileCodec)

Chroma = Literal["420", "444"]

MAX_SCANS = 100
"""Scans of a JPEG that is decoded: a progressive one has about ten."""

_START_OF_SCAN = b"\xff\xda"
_BEFORE_FRAME = {0xFFC4, 0xFFDB, 0xFFDD, *range(0xFFE0, 0xFFF0), 0xFFFE}
"""DHT, DQT, DRI, APP and COM: the markers that may stand before a frame's header, all of them with a length."""


class TileError(ValueError):
    """A codestream is damaged, or is not a tile of the expected size."""


@dataclass(frozen=True, slots=True)
class QualityScale:
    """The range of a codec's quality numbers; higher is better."""

    low: float
    high: float
    whole: bool
    """True if only whole numbers are allowed."""

    @property
    def step(self) -> float:
        """Smallest step of a search for the quality of one tile."""
        return 1.0 if self.whole else 0.05

    def check(self, quality: float, *, of_tile: bool = True) -> float:
        """Return `quality`; raise SettingsError if it is not on this scale.

        of_tile: False for a slide's, which may be a mean.
        """
        whole = self.whole and of_tile
        if not self.low <= quality <= self.high or (whole and quality != int(quality)):
            kind = "a whole number" if whole else "a number"
            raise SettingsError(f"quality {quality:g} is not {kind} from {self.low:g} to {self.high:g}")
        return quality


QUALITY_SCALES: dict[TileCodec, QualityScale] = {
    "jp2k": QualityScale(10.0, 60.0, whole=False),
    "av1": QualityScale(0, 100, whole=True),
    "jpeg": QualityScale(1, 100, whole=True),
}


def encode_tile(
    image: Image | NDArray[np.uint16],
    codec: TileCodec,
    quality: float,
    *,
    jpeg_chroma: Chroma = "420",
    jpeg_optimised: bool = True,
    speed: int = av1.SPEED,
) -> bytes:
    """Code one tile as the codec's library does.

    image: (height, width, 3) uint8 RGB; for `av1` also uint16 of 10 bits, as `colour.ColourTransform` makes them.
    quality: on the codec's own scale, see `QUALITY_SCALES`. jpeg_chroma: how `jpeg` subsamples it. jpeg_optimised: True
    for Huffman tables of its own. speed: libaom's for `av1`, 0 to 10; slower ones take fewer bytes. Raises
    SettingsError for a quality outside the scale. Deterministic: the same pixels give the same bytes.
    """
    quality = QUALITY_SCALES[codec].check(quality)
    match codec:
        case "jp2k":
            # A bare codestream ("j2k") and RGB components: what Aperio's compression 33005 means.
            # The stubs say int; OpenJPEG takes, and uses, a float.
            level: Any = quality
            return bytes(
                imagecodecs.jpeg2k_encode(np.ascontiguousarray(image), level=level, codecformat="j2k", numthreads=1)
            )
        case "av1":
            return av1.encode(image, int(quality), speed)
        case "jpeg":
            return bytes(
                imagecodecs.jpeg_encode(
                    np.ascontiguousarray(image), level=int(quality), subsampling=jpeg_chroma, optimize=jpeg_optimised
                )
            )


def decode_tile(data: bytes, codec: TileCodec, *, height: int, width: int) -> Image:
    """Decode one tile of a stated size into (height, width, 3) uint8 RGB.

    The size that the codestream states is compared before memory is asked for.
    Raises TileError if the data are damaged, of another size or of other than 8 bits.

    Examples:
        >>> tile = np.full((256, 256, 3), (200, 120, 170), np.uint8)
        >>> data = encode_tile(tile, "jp2k", 40.0)
        >>> decode_tile(data, "jp2k", height=256, width=256).shape
        (256, 256, 3)
        >>> decode_tile(data, "jp2k", height=512, width=512)
        Traceback (most recent call last):
            ...
        histocodec.pixels.tile_codecs.TileError: expected a jp2k codestream of 512 x 512 px, found 256 x 256
    """
    image = _decoded(data, codec, height, width)
    if image.dtype != np.uint8:
        raise TileError(f"expected 8 bits a sample in a {codec} codestream, found {image.dtype}")
    return image


def decode_planes(data: bytes, *, height: int, width: int) -> NDArray[np.uint16]:
    """Decode an `av1` tile of 10 bits into (height, width, 3) uint16; as `decode_tile`."""
    planes = _decoded(data, "av1", height, width)
    if planes.dtype != np.uint16:
        raise TileError(f"expected 10 bits a sample in an av1 codestream, found {planes.dtype}")
    return planes


def _decoded(data: bytes, codec: TileCodec, height: int, width: int) -> NDArray[Any]:
    stated = stated_size(data, codec)
    if stated != (height, width):
        found = "none" if stated is None else f"{stated[1]} x {stated[0]}"
        raise TileError(f"expected a {codec} codestream of {width} x {height} px, found {found}")
    check_work(data, codec)
    try:
        match codec:
            case "jp2k":
                image = imagecodecs.jpeg2k_decode(data, numthreads=1)
            case "av1":
                image = av1.decode(data)
            case "jpeg":
                image = imagecodecs.jpeg8_decode(data)
    except Exception as error:  # imagecodecs raises one class per library, without a common root
        reason = " ".join(str(error).split())
        raise TileError(f"damaged {codec} codestream: {reason}") from error
    if image.shape != (height, width, 3):
        raise TileError(f"expected {height} x {width} x 3 samples in a {codec} codestream, found {image.shape}")
    return np.ascontiguousarray(image)


def stated_size(data: bytes, codec: TileCodec) -> tuple[int, int] | None:
    """Return (height, width) as the head of a codestream states them; None if they cannot be found."""
    try:
        match codec:
            case "jp2k":
                return jpeg_2000.stated_size(data)
            case "av1":
                header = av1.read_header(data)
                return None if header is None else (header.height, header.width)
            case "jpeg":
                return _jpeg_size(data)
    except (struct.error, ValueError):
        return None


def check_work(data: bytes, codec: TileCodec) -> None:
    """Raise TileError for a codestream whose structure costs out of all proportion to its pixels.

    A JPEG of many scans takes a pass over all of its pixels for each; parts of JPEG 2000 take memory, however empty.
    """
    match codec:
        case "jp2k":
            parts = jpeg_2000.parts_of(data)
            if parts is None:
                raise TileError("expected a codestream of JPEG 2000 Part 1, found damaged headers")
            if parts.too_many:
                raise TileError(f"expected a jp2k codestream of {parts.too_many}")
        case "jpeg" if data.count(_START_OF_SCAN) > MAX_SCANS:
            raise TileError(f"expected a JPEG of at most {MAX_SCANS} scans, found more")


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk the marker segments to the frame header (ISO/IEC 10918-1, B.2.2).

    Markers that have no length end the walk, as do frames of other kinds: a decoder would go on elsewhere, and find
    another size.
    """
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker in (0xFFC0, 0xFFC1, 0xFFC2):
            bits, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            return (height, width) if (bits, components) == (8, 3) else None
        if marker not in _BEFORE_FRAME:
            return None
        at += 2 + length
