"""Image codecs at their own resolution, as pairs of functions with a scale of qualities."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import imagecodecs
import numpy as np

from histocodec.geometry import Image
from histocodec.pixels.colour import ColourTransform
from histocodec.pixels.downsample import downsample
from histocodec.pixels.tile_codecs import QUALITY_SCALES, TileCodec
from histocodec.pixels.tile_coder import TileCoder
from histocodec.pixels.tissue import tissue_blocks

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


@cache
def avif(speed: int) -> Codec:
    """Return AV1 still images in 4:4:4, 8 bit; libavif's quality."""
    encode = partial(_encode_avif, speed)
    return Codec(f"AVIF s{speed}", encode, _decoded(imagecodecs.avif_decode), _whole(0, 100), whole=True)


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
def htj2k() -> Codec:
    """Return high-throughput JPEG 2000 of OpenJPH, irreversible; the quality is minus the base quantisation step."""
    steps = np.geomspace(1.0, 0.0005, 750)
    qualities = tuple(-float(f"{s:.5g}") for s in steps)
    return Codec("HTJ2K", _encode_htj2k, _decoded(imagecodecs.htj2k_decode), qualities, whole=False)


@cache
def webp() -> Codec:
    """Return lossy WebP, method 6 (its slowest); libwebp's quality."""
    return Codec("WebP", _encode_webp, _decode_webp, _whole(0, 100), whole=True)


@cache
def jp2_wsi() -> Codec:
    """Return a codec after JP2-WSI: JPEG 2000 in 256 px tiles, one quality for tissue, the worst there is for glass.

    Glass is what the product's tissue rule calls so, applied to each tile. The quality is the PSNR in dB asked of
    tissue. Every tile is charged its index.
    """
    return Codec("JP2-WSI-like", _encode_jp2_wsi, _decode_jp2_wsi, _DB, whole=False)


@cache
def shipped(codec: TileCodec) -> Codec:
    """Return a codec as histocodec's own files have it."""
    scale = QUALITY_SCALES[codec]
    qualities = _whole(int(scale.low), int(scale.high)) if scale.whole else _DB
    return Codec(codec, partial(_encode_shipped, codec), partial(_decode_shipped, codec), qualities, scale.whole)


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


def _encode_avif(speed: int, image: Image, quality: float) -> bytes:
    return bytes(imagecodecs.avif_encode(image, level=int(quality), speed=speed, pixelformat="444", numthreads=1))


def _encode_jxl(image: Image, quality: float) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(image, distance=-quality, effort=7, numthreads=1))


def _encode_jpeg(subsampling: str, image: Image, quality: float) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(image, level=int(quality), subsampling=subsampling, optimize=True))


def _encode_jp2k(image: Image, quality: float) -> bytes:
    level: Any = quality  # the stubs say int; OpenJPEG takes a float
    return bytes(imagecodecs.jpeg2k_encode(image, level=level, codecformat="j2k", numthreads=1))


def _encode_htj2k(image: Image, quality: float) -> bytes:
    return bytes(imagecodecs.htj2k_encode(image, level=-quality, rgb=True, reversible=False))


def _encode_webp(image: Image, quality: float) -> bytes:
    return bytes(imagecodecs.webp_encode(image, level=quality, lossless=False, method=6))


def _decode_webp(data: bytes, height: int, width: int) -> Image:
    return np.ascontiguousarray(imagecodecs.webp_decode(data)[..., :3])


_WSI_TILE, _WSI_BLOCK = 256, 4


def _wsi_tiles(height: int, width: int) -> list[tuple[slice, slice]]:
    side = _WSI_TILE
    return [(slice(y, y + side), slice(x, x + side)) for y in range(0, height, side) for x in range(0, width, side)]


def _encode_jp2_wsi(image: Image, quality: float) -> bytes:
    streams = []
    for place in _wsi_tiles(*image.shape[:2]):
        tile = np.ascontiguousarray(image[place])
        base = downsample(tile, _WSI_BLOCK)
        side = max(base.shape[:2])
        square = np.pad(base, ((0, side - base.shape[0]), (0, side - base.shape[1]), (0, 0)), mode="edge")
        glass = not tissue_blocks(square, side).any()
        # The product's coder keeps the colour of what it codes at its worst.
        streams.append(TileCoder("jp2k").encode(tile, 10) if glass else _encode_jp2k(tile, quality))
    offset, index = TILE_INDEX_BYTES * len(streams), b""
    for stream in streams:
        index += struct.pack("<2Q", offset, len(stream))
        offset += len(stream)
    return index + b"".join(streams)


def _decode_jp2_wsi(data: bytes, height: int, width: int) -> Image:
    image = np.empty((height, width, 3), np.uint8)
    for number, place in enumerate(_wsi_tiles(height, width)):
        offset, length = struct.unpack_from("<2Q", data, number * TILE_INDEX_BYTES)
        image[place] = imagecodecs.jpeg2k_decode(data[offset : offset + length], numthreads=1)
    return image


def _encode_shipped(codec: TileCodec, image: Image, quality: float) -> bytes:
    """Code one tile as an encoder does. The colours are fitted to what is coded, as to a slide, and travel with it."""
    coder = TileCoder.fitted(codec, image[::2, ::2])
    head = struct.pack("<12q", *coder.colour.numbers) if coder.colour else b""
    return struct.pack("<B", len(head)) + head + coder.encode(image, quality)


def _decode_shipped(codec: TileCodec, data: bytes, height: int, width: int) -> Image:
    length = data[0]
    colour = ColourTransform(struct.unpack("<12q", data[1 : 1 + length])) if length else None
    return TileCoder(codec, colour).decode(data[1 + length :], height=height, width=width)
