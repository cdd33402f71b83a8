"""What the base is: the slide, box-averaged by a whole number and coded tile by tile.

`degrade()` is the one definition of what a decoder sees; training calls the very same function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .codecs import Image, TileCodec, decode_tile, encode_tile
from .colour import ColourTransform, fit_colours


def downsample(image: Image, scale: int) -> Image:
    """Average `scale` x `scale` pixels into one, rounding halves up, in integers.

    image: (height, width, 3) uint8 RGB. Returns (ceil(height / scale), ceil(width / scale), 3) uint8.
    An edge that `scale` does not divide is first extended by repeating its last row or column.

        out[y, x, c] = (sum of the block + scale * scale // 2) // (scale * scale)
    """
    height, width = image.shape[:2]
    pad_y, pad_x = -height % scale, -width % scale
    if pad_y or pad_x:
        image = np.pad(image, ((0, pad_y), (0, pad_x), (0, 0)), mode="edge")
    # scale <= 16 keeps the sum of a block within uint16; adding strided views is faster than a 5-D reduction.
    rows = image[0::scale].astype(np.uint16)
    for offset in range(1, scale):
        rows += image[offset::scale]
    total = rows[:, 0::scale].copy()
    for offset in range(1, scale):
        total += rows[:, offset::scale]
    count = scale * scale
    return ((total + count // 2) // count).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class BaseCoder:
    """How the tiles of one base are coded: by which codec, and in which colours."""

    codec: TileCodec
    colour: ColourTransform | None = None
    """None: the codec is given RGB."""

    @classmethod
    def fitted(cls, codec: TileCodec, pixels: NDArray[np.uint8]) -> BaseCoder:
        """For a base with such pixels, any shape that ends in 3. Only `avif` has its colours transformed: what other
        readers open must have natural ones."""
        return cls(codec, fit_colours(pixels.reshape(-1, 3)) if codec == "avif" else None)

    def encode(self, tile: Image, quality: float) -> bytes:
        """As `codecs.encode_tile`."""
        return encode_tile(self.colour.apply(tile) if self.colour else tile, self.codec, quality)

    def decode(self, data: bytes, *, height: int, width: int) -> Image:
        """As `codecs.decode_tile`: (height, width, 3) uint8 RGB, the transform undone."""
        tile = decode_tile(data, self.codec, height=height, width=width)
        return self.colour.undo(tile) if self.colour else tile


def degrade(image: Image, scale: int, codec: TileCodec | None, quality: float = 0.0) -> Image:
    """The base of a full-resolution image as a decoder sees it: `downsample`, code, decode.

    image: (height, width, 3) uint8 RGB at full resolution. `codec` None leaves the base uncoded.
    Returns (ceil(height / scale), ceil(width / scale), 3) uint8.
    """
    base = downsample(image, scale)
    if codec is None:
        return base
    coder = BaseCoder.fitted(codec, base)
    return coder.decode(coder.encode(base, quality), height=base.shape[0], width=base.shape[1])
