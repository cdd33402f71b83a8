"""Pictures, maps and codestreams of the vectors: painted in whole numbers, coded at settings of their own."""

from __future__ import annotations

from collections.abc import Sequence

import imagecodecs
import numpy as np

from histocodec.format.quality import QualityMap
from histocodec.geometry import Grid, Image
from histocodec.pixels.score import BlockScore
from histocodec.pixels.tile_codecs import TileCodec

QUALITY: dict[TileCodec, int] = {"jp2k": 30, "av1": 60, "jpeg": 75}
"""The quality that a codec is given, on its own scale."""


def painted(width: int, height: int, seed: int) -> Image:
    """A picture for a base: a smooth ground, some discs and, at the right, flat glass. Integers alone."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    image = np.empty((height, width, 3), np.int64)
    image[:] = (225, 180, 205)
    image += ((x * 3 + y * 2 + seed * 17) % 64 // 8)[..., None]
    state = seed
    for _ in range(3 + width * height // 1500):
        state = (state * 1103515245 + 12345) % 2**31
        column, row, radius = state % (width + 1), state // 977 % (height + 1), 2 + state // 31 % 5
        inside = (x - column) ** 2 + (y - row) ** 2 <= radius**2
        image[inside] = (110 + state % 50, 70 + state // 7 % 50, 140 + state // 11 % 40)
    image[:, (width + 1) // 2 :] = (243, 242, 244)
    return image.astype(np.uint8)


def painted_native(side: int, seed: int) -> Image:
    """What a native tile shows, in whole numbers: smooth, with an edge in it."""
    y, x = np.mgrid[0:side, 0:side].astype(np.int64)
    image = np.stack([200 - x // 8, 120 + y // 4, 180 - (x + y) // 16], axis=-1)
    image[y > x + seed % 16] -= 40
    painting: Image = image.astype(np.uint8)
    return painting


def painted_residual(side: int, seed: int) -> Image:
    """What a residual tile holds, in whole numbers: small differences, and two bars that leave 0 to 255."""
    y, x = np.mgrid[0:side, 0:side].astype(np.int64)
    image = np.stack([128 + (x * k + y * 3 + seed * 7) % 128 // 16 - 4 for k in (1, 2, 3)], axis=-1)
    image[:, 4:12] = 20
    image[:, 20:28] = 240
    painting: Image = image.astype(np.uint8)
    return painting


def painted_quality_map(blocks: Grid, measured: Sequence[tuple[int, int]]) -> QualityMap:
    """Of each measured block other numbers; they describe nothing."""
    scores = [BlockScore(31.25 + n, 0.8 + n / 100, 1.5 + n / 10, 44.5 - n) for n in range(len(measured))]
    return QualityMap.of(blocks, zip(measured, scores, strict=True))


def coded(image: Image, codec: TileCodec, *, ten_bits: bool = False, chroma: str = "420") -> bytes:
    """A codestream. Not the encoder's own way: how that is tuned must not change a vector.

    ten_bits: an `av1` tile of four times these samples, for a colour transform. chroma: how `jpeg` subsamples it.
    """
    image = np.ascontiguousarray(image)
    match codec:
        case "jp2k":
            return bytes(imagecodecs.jpeg2k_encode(image, level=QUALITY[codec], codecformat="j2k", numthreads=1))
        case "av1":
            planes, bits = (image.astype(np.uint16) * 4, 10) if ten_bits else (image, 8)
            file = imagecodecs.avif_encode(
                planes,
                level=QUALITY[codec],
                speed=6,
                bitspersample=bits,
                pixelformat="444",
                matrix=0,
                numthreads=1,
            )
            return bytes(file[file.index(b"mdat") + 4 :])
        case "jpeg":
            return bytes(imagecodecs.jpeg_encode(image, level=QUALITY[codec], subsampling=chroma, optimize=True))


def png(pixels: Image) -> bytes:
    return bytes(imagecodecs.png_encode(pixels, level=9))
