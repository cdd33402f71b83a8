"""Tiles of one quality, whatever they hold beside tissue and wherever the slide ends.

A codec minds the error of a whole tile. OpenJPEG aims at its PSNR, which is met without the tissue where most of it is
glass or lies beyond the slide; and all of them let glass drift by some steps, which no PSNR notices and every eye does.
Here the PSNR is asked of what has detail, and glass must keep its colour: where that is not the same thing, a tile is
coded, looked at, and coded again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..geometry import Image
from .downsample import extended
from .metrics import psnr_of_mse
from .tile_codecs import QUALITY_SCALES, TileCodec
from .tissue import FLAT_RANGE

CELL = 16
"""Pixels a side of what is flat or has detail."""

_HIGHEST_DB = 60.0
_CLOSE_DB = 0.1
"""A tile that misses its PSNR by less is not coded again."""

_MOST_TRIES = 6

_GLASS_STEPS = 0.8
_GLASS_BITS: dict[TileCodec, float] = {"jp2k": 0.05, "avif": 0.05, "jpeg": 0.3}
"""The most that the mean of a flat cell may move, in 8-bit steps (nineteen in twenty have to keep to it), and the bits
a pixel up to which a tile is coded better for its sake. Where there is much tissue as well, the glass would cost more
than it is worth."""

_GLASS_RISE: dict[TileCodec, float] = {"jp2k": 2.0, "avif": 8, "jpeg": 10}
"""Steps on the codec's quality scale by which a tile is coded better at a time."""

_LEAST = 64
"""Pixels before an edge that are looked at to see how good it has to be: the last few alone are a matter of chance."""

_FADE = 6.0
"""Pixels in which what stands beyond the slide's edge comes e times closer to the tile's mean."""


@dataclass(frozen=True)
class EvenCoder:
    """One codec, made to treat tissue and glass alike in every tile."""

    codec: TileCodec
    code: Callable[[Image, float], bytes]
    """Codes a tile at a quality, as the library does it."""
    decode: Callable[[bytes, tuple[int, int]], Image]
    """Turns a codestream back into a tile of so many rows and columns."""

    def encode(
        self, image: Image, quality: float, within: tuple[int, int] | None = None, context: Image | None = None
    ) -> bytes:
        """Code a tile whose detail has the quality that is asked for, and whose glass keeps its colour.

        image: (height, width, 3) uint8 RGB. within: rows and columns of it that have a meaning, from its top left
        corner; what lies beyond is replaced by what is cheap to code. context: an image of the same size, all of it
        with a meaning, that ends where `within` does. The tile's detail is then coded as well as it is in that one, so
        that the place where a slide ends does not show in how well its last pixels are kept.
        """
        height, width = within or image.shape[:2]
        if (height, width) == image.shape[:2]:
            part, tile = _Part(image), image
        else:
            part = _Part(np.ascontiguousarray(image[:height, :width]))
            tile = _faded(image, height, width) if self.codec == "jp2k" else _continued(image, height, width)
        if self.codec == "avif":
            quality = min(quality + _lost_to_flatness(part, tile), QUALITY_SCALES[self.codec].high)
        if self.codec != "jp2k":
            data = self.code(tile, quality)
        elif tile is image and part.detailed.all():
            return self.code(tile, quality)
        else:
            if context is not None and part.detailed.any():
                seen = self.decode(self.encode(context, quality), image.shape[:2])
                last = np.s_[-max(height, _LEAST) :, -max(width, _LEAST) :]
                quality = _Part(np.ascontiguousarray(context[last])).detail_db(seen[last])
            quality, data = self._at_psnr(part, tile, quality)
        return self._with_glass_as_it_is(part, tile, quality, data)

    def _at_psnr(self, part: _Part, tile: Image, psnr_db: float) -> tuple[float, bytes]:
        """Code a tile whose detail comes closest to a PSNR; return the quality that the whole took, and the bytes."""
        scale = QUALITY_SCALES[self.codec]
        lowest, share = max(_colour_db(tile), scale.low), part.share_of(tile)
        level = psnr_db - 10 * math.log10(share) if share else lowest
        closest: tuple[float, float, bytes] | None = None
        for _ in range(_MOST_TRIES):
            level = min(max(level, lowest), scale.high)
            data = self.code(tile, level)
            short_db = psnr_db - part.detail_db(self.decode(data, tile.shape[:2])) if share else 0.0
            if closest is None or abs(short_db) < abs(closest[0]):
                closest = short_db, level, data
            if (
                abs(short_db) <= _CLOSE_DB
                or (level == lowest and short_db < 0)
                or (level == scale.high and short_db > 0)
            ):
                break
            level += short_db
        assert closest is not None
        return closest[1:]

    def _with_glass_as_it_is(self, part: _Part, tile: Image, quality: float, data: bytes) -> bytes:
        highest = QUALITY_SCALES[self.codec].high
        area = part.pixels.shape[0] * part.pixels.shape[1]
        while 8 * len(data) < _GLASS_BITS[self.codec] * area and quality < highest:
            if part.glass_keeps_its_colour(self.decode(data, tile.shape[:2])):
                break
            quality = min(quality + _GLASS_RISE[self.codec], highest)
            data = self.code(tile, quality)
        return data


@dataclass(frozen=True)
class _Part:
    """The part of a tile that has a meaning."""

    pixels: Image

    @cached_property
    def cells(self) -> NDArray[np.uint8]:
        """(rows, columns, CELL * CELL, 3); the last ones are filled up with the edge's pixels."""
        return _in_cells(_whole_cells(self.pixels))

    @cached_property
    def detailed(self) -> NDArray[np.bool_]:
        """(rows, columns): whether a cell has detail."""
        padded = _whole_cells(self.pixels)
        spread = _by_cell(np.maximum, padded) - _by_cell(np.minimum, padded)
        found: NDArray[np.bool_] = spread.max(-1) > FLAT_RANGE
        return found

    @cached_property
    def _mask(self) -> NDArray[np.bool_]:
        """(height, width): whether a pixel lies in a cell with detail."""
        height, width = self.pixels.shape[:2]
        return self.detailed.repeat(CELL, 0).repeat(CELL, 1)[:height, :width]

    def share_of(self, tile: Image) -> float:
        """Return the share of the tile's pixels that lie in the part and have detail."""
        return np.count_nonzero(self._mask) / float(tile.shape[0] * tile.shape[1])

    def detail_db(self, decoded: Image) -> float:
        """Return the PSNR in dB of what has detail. decoded: the whole tile, or the part."""
        height, width = self.pixels.shape[:2]
        error = decoded[:height, :width][self._mask].astype(np.int32) - self.pixels[self._mask]
        return min(_HIGHEST_DB, float(psnr_of_mse(float((error * error).mean())))) if error.size else _HIGHEST_DB

    def glass_keeps_its_colour(self, decoded: Image) -> bool:
        """Tell if the means of the flat cells that lie in the part entirely are what they were."""
        height, width = (side // CELL * CELL for side in self.pixels.shape[:2])
        flat = ~self.detailed[: height // CELL, : width // CELL]
        if not flat.any():
            return True
        sums, before = (_by_cell(np.add, image[:height, :width]) for image in (decoded, self.pixels))
        moved = np.maximum(sums, before) - np.minimum(sums, before)
        return bool((moved.max(-1)[flat] > _GLASS_STEPS * CELL * CELL).mean() <= 0.05)


def _whole_cells(image: Image) -> Image:
    """Fill up the last cells of an image with the edge's pixels."""
    height, width = image.shape[:2]
    return extended(image, -height % CELL, -width % CELL)


def _by_cell(reduce: np.ufunc, image: Image) -> NDArray[np.uint16]:
    """Return (rows, columns, 3): the maximum, the minimum or the sum of each cell of an image of whole cells."""
    rows, columns = (side // CELL for side in image.shape[:2])
    # Whole rows first, then halves: a core takes many samples at a time. The sum of a cell fits into 16 bits.
    dtype = np.uint16 if reduce is np.add else np.uint8
    across = reduce.reduce(image.reshape(rows, CELL, columns * CELL * 3), axis=1, dtype=dtype)
    found: NDArray[np.uint16] = across.reshape(rows, columns, CELL, 3)
    while half := found.shape[2] // 2:
        found = reduce(found[:, :, :half], found[:, :, half:])
    return found[:, :, 0]


def _in_cells(image: Image) -> NDArray[np.uint8]:
    """Return (rows, columns, CELL * CELL, 3) of an image whose sides are whole cells."""
    rows, columns = (side // CELL for side in image.shape[:2])
    cut = image.reshape(rows, CELL, columns, CELL, 3).transpose(0, 2, 1, 3, 4)
    cells: NDArray[np.uint8] = cut.reshape(rows, columns, CELL * CELL, 3)
    return cells


def _lost_to_flatness(part: _Part, tile: Image) -> int:
    """Return the steps of quality that libaom takes from a tile's tissue for what is flat beside it.

    Where the library codes planes as they are, it is tuned for structural similarity: squares of 16 px weigh by the
    logarithm of their variance over the tile's mean of it (libaom, `av1_set_mb_ssim_rdmult_scaling`), so that tissue
    among glass comes out up to 2.5 dB worse than in a tile of its own. Measured on tissue of two scanners, 5.5 steps
    compensate a difference of 1.
    """
    log_variance = _log_variance(_Part(tile).cells)
    rows, columns = part.detailed.shape
    detailed = log_variance[:rows, :columns][part.detailed]
    return round(5.5 * float(detailed.mean() - log_variance.mean())) if detailed.size else 0


def _log_variance(cells: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return (rows, columns): libaom's logarithmic measure of the variance of each cell, as `_in_cells` makes them."""
    rows, columns = cells.shape[:2]
    eighths = cells.reshape(rows, columns, 2, 8, 2, 8, 3).astype(np.float32)
    # The first plane has about a third of the variance of RGB (`pixels.colour._STEPS`).
    variance = eighths.var((3, 5)).sum(-1).mean((2, 3)) / 3
    found: NDArray[np.float64] = np.log(67.035434 * (1 - np.exp(-0.0021489 * variance)) + 17.492222)
    return found


def _continued(image: Image, height: int, width: int) -> Image:
    """Repeat the last row and column of the part over the rest of the tile: stripes cost these codecs little."""
    padding = ((0, image.shape[0] - height), (0, image.shape[1] - width), (0, 0))
    return np.pad(image[:height, :width], padding, mode="edge")


def _faded(image: Image, height: int, width: int) -> Image:
    """Make smooth what lies beyond the first rows and columns of a tile: a step, or stripes, would cost bytes.

    The last pixels go on, and fade into the mean.
    """
    part = image[:height, :width]
    padding = ((0, image.shape[0] - height), (0, image.shape[1] - width), (0, 0))
    mean = part.reshape(-1, 3).mean(0)
    rows, columns = np.arange(image.shape[0])[:, None] + 1 - height, np.arange(image.shape[1]) + 1 - width
    weight = np.exp(np.minimum(0, -np.maximum(rows, columns) / _FADE))[..., None]
    faded: Image = np.rint(mean + (np.pad(part, padding, mode="edge") - mean) * weight).astype(np.uint8)
    return faded


def _colour_db(image: Image) -> float:
    """Return the PSNR in dB, about 51 at most, at which a JPEG 2000 tile keeps its mean colour.

    Glass at 32 dB could come out 9 steps too dark, as there is nothing in it but its colour to leave out. Keeping it
    costs about ten bytes: it is the first that the coder spends bits on.
    """
    some = image[::4, ::4].reshape(-1, 3).astype(np.float32)
    variance = float(some.var(0).mean())
    return 10 * math.log10(255**2 / (variance + min(max(0.3 * variance, 0.5), 4.0)))
