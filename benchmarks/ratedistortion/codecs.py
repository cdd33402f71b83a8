"""Image codecs at their own resolution, as pairs of functions with a scale of qualities."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

import imagecodecs
import numpy as np
from PIL import Image as PILImage

from histocodec.geometry import Image
from histocodec.pixels import av1
from histocodec.pixels.colour import ColourTransform
from histocodec.pixels.tile_codecs import QUALITY_SCALES, TileCodec
from histocodec.pixels.tile_coder import TileCoder

TILE_INDEX_BYTES = 16
"""Bytes that a file of tiles holds for each: where it begins and how long it is, 8 each."""


@dataclass(frozen=True)
class Codec:
    """One codec with all settings but its quality."""

    name: str
    encode: Callable[[Image, float], bytes]
    """A function from (height, width, 3) uint8 RGB and one of `qualities` to a codestream."""
    decode: Callable[[bytes, int, int], Image]
    """A function from a codestream, height and width to (height, width, 3) uint8 RGB."""
    qualities: tuple[float, ...]
    """Settings, worst first; bytes rise with them."""
    whole: bool
    """Neighbouring qualities differ by several percent of the bytes, so the search must end on the very one."""
    counted: Callable[[bytes], int] = len
    """A function from a codestream to its bytes without what every tile of a slide would share."""


Tune = Literal["psnr", "iq"]
"""What libaom is tuned for: PSNR, or the eye, which is libavif's choice for still images unless told otherwise."""


@cache
def avif(speed: int, tune: Tune = "psnr") -> Codec:
    """Return AV1 still images in 4:4:4, 8 bit, as Pillow makes them; libavif's quality."""
    name = f"AVIF s{speed}" + ("" if tune == "psnr" else f" {tune}")
    encode = partial(_encode_avif, speed, tune)
    return Codec(name, encode, _decoded(imagecodecs.avif_decode), _whole(0, 100), whole=True, counted=_without_boxes)


@cache
def jpeg_xl() -> Codec:
    """Return lossy JPEG XL of effort 7; the quality is minus the Butteraugli distance."""
    distances = np.geomspace(25.0, 0.1, 400)
    qualities = tuple(-float(round(d, 4)) for d in distances)
    return Codec("JPEG XL", _encode_jxl, _decoded(imagecodecs.jpegxl_decode), qualities, whole=False)


@cache
def jpeg(subsampling: str) -> Codec:
    """Return baseline JPEG of libjpeg-turbo with optimised Huffman tables; libjpeg's quality."""
    name = "JPEG " + ":".join(subsampling)
    return Codec(
        name, partial(_encode_jpeg, subsampling), _decoded(imagecodecs.jpeg8_decode), _whole(1, 100), whole=True
    )


@cache
def jpeg_2000() -> Codec:
    """Return JPEG 2000, irreversible, with the colour transform; the quality is a target PSNR in dB."""
    return Codec("JPEG 2000", _encode_jp2k, _decoded(imagecodecs.jpeg2k_decode), _DB, whole=False)


@cache
def shipped(codec: TileCodec, speed: int = av1.SPEED) -> Codec:
    """Return a codec as histocodec's own files have it. speed: libaom's, for `av1`."""
    scale = QUALITY_SCALES[codec]
    qualities = _whole(int(scale.low), int(scale.high)) if scale.whole else _DB
    encode = partial(_encode_shipped, codec, speed)
    decode = partial(_decode_shipped, codec)
    return Codec(f"{codec} s{speed}", encode, decode, qualities, scale.whole, _without_colours)


def scanner_bytes(image: Image) -> int:
    """Return the bytes of a scanner's file: JPEG quality 75 in 4:2:0 of libjpeg-turbo, standard Huffman tables."""
    return len(imagecodecs.jpeg8_encode(np.ascontiguousarray(image), level=75, subsampling="420", optimize=False))


_DB = tuple(round(10 + 0.05 * step, 2) for step in range(1001))
"""Qualities of JPEG 2000: 10 to 60 dB."""


def _whole(low: int, high: int) -> tuple[float, ...]:
    return tuple(float(q) for q in range(low, high + 1))


def _decoded(decode: Callable[..., Any]) -> Callable[[bytes, int, int], Image]:
    return partial(_decode_plain, decode)


def _decode_plain(decode: Callable[..., Any], data: bytes, height: int, width: int) -> Image:
    image: Image = np.ascontiguousarray(decode(data))
    return image


def _encode_avif(speed: int, tune: Tune, image: Image, quality: float) -> bytes:
    file = io.BytesIO()
    PILImage.fromarray(image).save(
        file,
        "AVIF",
        quality=int(quality),
        speed=speed,
        subsampling="4:4:4",
        max_threads=1,
        advanced={"tune": tune},
    )
    return file.getvalue()


def _without_boxes(data: bytes) -> int:
    """Count an AVIF file without the boxes round its picture, some 300 bytes, which our own tiles do without."""
    return len(data) - data.index(b"mdat") - 4


def _encode_jxl(image: Image, quality: float) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(image, distance=-quality, effort=7, numthreads=1))


def _encode_jpeg(subsampling: str, image: Image, quality: float) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(image, level=int(quality), subsampling=subsampling, optimize=True))


def _encode_jp2k(image: Image, quality: float) -> bytes:
    level: Any = quality  # the stubs say int; OpenJPEG takes a float
    return bytes(imagecodecs.jpeg2k_encode(image, level=level, codecformat="j2k", numthreads=1))


def _encode_shipped(codec: TileCodec, speed: int, image: Image, quality: float) -> bytes:
    """Code one tile as an encoder does. The colours are fitted to what is coded, as to a slide, and travel with it."""
    coder = TileCoder.fitted(codec, image[::2, ::2], speed=speed)
    head = struct.pack("<12q", *coder.colour.numbers) if coder.colour else b""
    return struct.pack("<B", len(head)) + head + coder.encode(image, quality)


def _without_colours(data: bytes) -> int:
    """Count a tile without the numbers of its colours, which a slide has once."""
    return len(data) - 1 - data[0]


def _decode_shipped(codec: TileCodec, data: bytes, height: int, width: int) -> Image:
    length = data[0]
    colour = ColourTransform(struct.unpack("<12q", data[1 : 1 + length])) if length else None
    return TileCoder(codec, colour).decode(data[1 + length :], height=height, width=width)
