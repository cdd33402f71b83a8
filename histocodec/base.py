"""What the base is: the slide, downsampled by a whole number and coded tile by tile.

Downsampling is the box average, or what a `Downsampler` makes of tissue. A decoder need not know which.

`degrade()` is what a decoder sees of an image: downsampled, and coded in the tiles that an encoder makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .codecs import Chroma, Image, TileCodec, decode_planes, decode_tile, encode_tile
from .colour import ColourTransform, fit_colours
from .errors import SettingsError
from .even import EvenCoder
from .geometry import Region, Size, TileGrid
from .tissue import tissue_blocks

BLOCK = 128
"""Base pixels a side of a block of the canonical grid: what is downsampled, and enlarged again, at a time."""

BOX = "box"
"""The downsampling that needs no package: the average."""


def downsample(image: Image, scale: int) -> Image:
    """Average `scale` x `scale` pixels into one, rounding halves up, in integers.

    image: (height, width, 3) uint8 RGB. Returns (ceil(height / scale), ceil(width / scale), 3) uint8.
    An edge that `scale` does not divide is first extended by repeating its last row or column.

        out[y, x, c] = (sum of the block + scale * scale // 2) // (scale * scale)
    """
    height, width = image.shape[:2]
    image = _extended(image, -height % scale, -width % scale)
    # scale <= 16 keeps the sum of a block within uint16; adding strided views is faster than a 5-D reduction.
    rows = image[0::scale].astype(np.uint16)
    for offset in range(1, scale):
        rows += image[offset::scale]
    total = rows[:, 0::scale].copy()
    for offset in range(1, scale):
        total += rows[:, offset::scale]
    count = scale * scale
    return ((total + count // 2) // count).astype(np.uint8)


class Downsampler(Protocol):
    """What makes base pixels of full pixels. Must be deterministic, and safe to call from several threads."""

    @property
    def name(self) -> str: ...

    @property
    def scale(self) -> int:
        """Full pixels per base pixel, each axis."""
        ...

    @property
    def halo(self) -> int:
        """Base pixels, each `scale` full ones wide, of context needed on every side."""
        ...

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hexadecimal digits of the package, or `builtin:box`."""
        ...

    def __call__(self, image: Image) -> Image:
        """((h + 2 halo) * scale, (w + 2 halo) * scale, 3) uint8 RGB -> (h, w, 3) uint8 RGB."""
        ...


@dataclass(frozen=True, slots=True)
class BoxDownsampler:
    """The box average, as `downsample`."""

    scale: int
    halo: int = field(default=0, init=False)
    name: str = field(default=BOX, init=False)
    digest: str = field(default="builtin:box", init=False)

    def __post_init__(self) -> None:
        if self.scale not in (2, 4):
            raise SettingsError(f"the scale must be 2 or 4, found {self.scale}")

    def __call__(self, image: Image) -> Image:
        return downsample(image, self.scale)


def make_base(image: Image, downsampler: Downsampler, block: int = BLOCK) -> tuple[Image, NDArray[np.uint8]]:
    """The uncoded base of a part of a slide, and where in it there is tissue.

    image: the part and `halo * scale` full pixels around it, ((h + 2 halo) * scale, (w + 2 halo) * scale, 3) uint8 RGB.
    The part begins at a corner of the canonical grid, whose blocks have `block` base pixels a side, and ends at one or
    at the edges of the base.
    Returns (h, w, 3) uint8 RGB and (ceil(h / block), ceil(w / block)) uint8, 1 tissue, 0 glass.

    Glass, as the box average tells it, stays that average: a decoder interpolates it, and no network's time is spent on
    it. Tissue is downsampled block by block: the order of a network's sums, and so a rounding, may depend on the shape
    that it is given. So a pixel is exactly the same with whatever part it is made, if parts are cut along the grid.
    """
    scale, halo = downsampler.scale, downsampler.halo
    margin = halo * scale
    height, width = image.shape[0] - 2 * margin, image.shape[1] - 2 * margin
    base = downsample(image[margin : margin + height, margin : margin + width], scale)
    tissue = tissue_blocks(_extended(base, -base.shape[0] % block, -base.shape[1] % block), block)
    if not isinstance(downsampler, BoxDownsampler):  # whose result this is
        for row, column in np.argwhere(tissue).tolist():
            part = base[row * block : (row + 1) * block, column * block : (column + 1) * block]
            y, x = row * block * scale, column * block * scale
            seen = image[y : y + part.shape[0] * scale + 2 * margin, x : x + part.shape[1] * scale + 2 * margin]
            part[:] = downsampler(np.ascontiguousarray(seen))
    return base, tissue


def shrink(image: Image, downsampler: Downsampler) -> Image:
    """The uncoded base of a whole image; beyond its edges, its last pixels are repeated.

    image: (height, width, 3) uint8 RGB. Returns (ceil(height / scale), ceil(width / scale), 3) uint8.
    """
    scale = downsampler.scale
    margin = downsampler.halo * scale
    height, width = image.shape[:2]
    around = (margin, margin + -height % scale), (margin, margin + -width % scale), (0, 0)
    return make_base(np.pad(image, around, mode="edge"), downsampler)[0]


def _extended(image: Image, down: int, right: int) -> Image:
    """With so many more rows and columns, the last ones repeated."""
    return np.pad(image, ((0, down), (0, right), (0, 0)), mode="edge") if down or right else image


@dataclass(frozen=True, slots=True)
class BaseCoder:
    """How the tiles of one base are coded: by which codec, and in which colours."""

    codec: TileCodec
    colour: ColourTransform | None = None
    """Of `avif`, and of no other: what other readers open must have natural colours."""
    jpeg_chroma: Chroma = "420"
    """Of `jpeg`."""

    @classmethod
    def fitted(cls, codec: TileCodec, pixels: NDArray[np.uint8]) -> BaseCoder:
        """For a base with such pixels, any shape that ends in 3."""
        return cls(codec, fit_colours(pixels.reshape(-1, 3)) if codec == "avif" else None)

    def encode(
        self, tile: Image, quality: float, *, within: tuple[int, int] | None = None, context: Image | None = None
    ) -> bytes:
        """As `even.EvenCoder.encode`."""
        return EvenCoder(self.codec, self._code, self._decode).encode(tile, quality, within, context)

    def decode(self, data: bytes, *, height: int, width: int) -> Image:
        """As `codecs.decode_tile`: (height, width, 3) uint8 RGB, the transform undone."""
        if self.colour is not None:
            return self.colour.undo(decode_planes(data, height=height, width=width))
        return decode_tile(data, self.codec, height=height, width=width)

    def _code(self, tile: Image, quality: float) -> bytes:
        stored = self.colour.apply(tile) if self.colour else tile
        return encode_tile(stored, self.codec, quality, jpeg_chroma=self.jpeg_chroma)

    def _decode(self, data: bytes, size: tuple[int, int]) -> Image:
        return self.decode(data, height=size[0], width=size[1])


TILES: dict[TileCodec, int] = {"jp2k": 256, "avif": 512, "jpeg": 256}
"""Base pixels a side of a stored tile."""


def coded_tile(read: Callable[[Region], Image], grid: TileGrid, coder: BaseCoder, quality: float, index: int) -> bytes:
    """One tile of a level, coded as it lies in a file.

    read: regions within the level, as (height, width, 3) uint8 RGB. grid: its tiles. A tile that reaches beyond the
    slide is coded like the last whole tile's worth of pixels before the edge, so far as the slide has so many.
    """
    covered, side = grid.covered(*grid.address(index)), grid.tile
    part = read(covered)
    if part.shape[:2] == (side, side):
        return coder.encode(part, quality)
    context = None
    if min(grid.size) >= side:
        context = read(Region(covered.right - side, covered.bottom - side, side, side))
    whole = _extended(part, side - covered.height, side - covered.width)
    return coder.encode(whole, quality, within=(covered.height, covered.width), context=context)


def code_image(image: Image, coder: BaseCoder, quality: float) -> list[bytes]:
    """The tiles of an uncoded base in memory, (height, width, 3) uint8 RGB, in TIFF order.

    An image that is smaller than a tile is coded as it is: what is cut from a slide does not end there.
    """
    grid = _grid_of(image.shape[:2], coder)
    if grid.count == 1:
        return [coder.encode(np.ascontiguousarray(image), quality)]

    def read(region: Region) -> Image:
        return np.ascontiguousarray(image[region.y : region.bottom, region.x : region.right])

    return [coded_tile(read, grid, coder, quality, index) for index in range(grid.count)]


def decode_image(tiles: Sequence[bytes], coder: BaseCoder, *, height: int, width: int) -> Image:
    """What `code_image` coded, (height, width, 3) uint8 RGB. Raises `codecs.TileError`."""
    grid = _grid_of((height, width), coder)
    if grid.count == 1:
        return coder.decode(tiles[0], height=height, width=width)
    image = np.empty((height, width, 3), np.uint8)
    for index, data in enumerate(tiles):
        part = grid.covered(*grid.address(index))
        tile = coder.decode(data, height=grid.tile, width=grid.tile)
        image[part.y : part.bottom, part.x : part.right] = tile[: part.height, : part.width]
    return image


def _grid_of(shape: tuple[int, ...], coder: BaseCoder) -> TileGrid:
    return TileGrid(Size(shape[1], shape[0]), TILES[coder.codec])


def degrade(
    image: Image,
    scale: int,
    codec: TileCodec | None,
    quality: float = 0.0,
    *,
    downsampler: Downsampler | None = None,
) -> Image:
    """The base of a full-resolution image as a decoder sees it: downsample, code, decode.

    image: (height, width, 3) uint8 RGB at full resolution. `codec` None leaves the base uncoded.
    downsampler: None for the box average; another one goes through `shrink`, as in the encoder.
    Returns (ceil(height / scale), ceil(width / scale), 3) uint8. Raises SettingsError if the downsampler has another
    scale.
    """
    if downsampler is not None and downsampler.scale != scale:
        raise SettingsError(f"downsampler {downsampler.name} shrinks {downsampler.scale} times, expected {scale}")
    base = downsample(image, scale) if downsampler is None else shrink(image, downsampler)
    if codec is None:
        return base
    coder = BaseCoder.fitted(codec, base)
    return decode_image(code_image(base, coder, quality), coder, height=base.shape[0], width=base.shape[1])
