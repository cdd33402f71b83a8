"""Tiles of a source, as a scanner or another program coded them, to pixels."""

from __future__ import annotations

import zlib

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ..geometry import Image
from ..pixels.tile_codecs import TileError, decode_tile
from .entries import OriginalTiles

_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
"""YCbCr, less the zero of its chroma, to RGB (ITU-R BT.601, full range)."""
_ZERO = np.array([0, 128, 128], np.float32)


def decoded_tile(data: bytes, tiles: OriginalTiles) -> Image:
    """Decode a tile into (height, width, 3) uint8 RGB. data: of `jpeg`, with its tables.

    Raises TileError for what is damaged or of another size.
    """
    width = height = tiles.side
    match tiles.codec:
        case "jpeg":
            return decode_tile(data, "jpeg", height=height, width=width)
        case "jp2k":
            image = decode_tile(data, "jp2k", height=height, width=width)
            return as_rgb(image) if tiles.colour == "ycbcr" else image
    samples = np.frombuffer(_unpacked(data, tiles, 3 * width * height), np.uint8)
    if samples.size != 3 * width * height:
        raise TileError(f"expected {3 * width * height} samples, found {samples.size}")
    image = samples.reshape(height, width, 3)
    return np.cumsum(image, axis=1, dtype=np.uint8) if tiles.predictor else image


def as_rgb(image: NDArray[np.uint8]) -> Image:
    """Return (height, width, 3) uint8 of Y, Cb and Cr as RGB."""
    rgb = (image - _ZERO) @ _TO_RGB.T
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def _unpacked(data: bytes, tiles: OriginalTiles, size: int) -> bytes:
    """Return the samples of a losslessly packed tile, `size` of them at most and one more. Raises TileError."""
    try:
        match tiles.codec:
            case "deflate":
                return zlib.decompressobj().decompress(data, size + 1)
            case "lzw":
                return bytes(imagecodecs.lzw_decode(data, out=size))
    except Exception as error:  # each library raises its own
        raise TileError(f"damaged {tiles.codec} data: {error}") from error
    return data
