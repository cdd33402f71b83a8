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
from .squares import by_square
from .tile_codecs import QUALITY_SCALES, TileCodec
from .tissue import FLAT_RANGE

CELL = 16
"""Pixels a side of what is flat or has detail."""

_SQUARE = 8
"""Pixels a side of the squares of which libaom takes the variance."""

_HIGHEST_DB = 60.0
_CLOSE_DB = 0.1
"""A tile that misses its PSNR by less is not coded again."""

_MOST_TRIES = 6

_GLASS_STEPS = 0.8
_GLASS_BITS: dict[TileCodec, float] = {"jp2k": 0.05, "av1": 0.05, "jpeg": 0.3}
"""The most that the mean of a flat cell may move, in 8-bit steps (nineteen in twenty have to keep to it), and the bits
a pixel up to which a tile is coded better for its sake. Where there is much tissue as well, the glass would cost more
than it is worth."""

_GLASS_RISE: dict[TileCodec, float] = {"jp2k": 2.0, "av1": 8, "jpeg": 10}
"""Steps on the codec's quality scale by which a tile is coded better at a time."""

_LEAST = 64
"""Pixels before an edge that are looked at to see how good it has to be: the last few alone are a matter of chance."""

_FADE = 6.0
"""Pixels in which what stands beyond the slide's edge comes e times closer to the tile's mean."""


CodeAt = Callable[[float], bytes]
"""Codes one tile at a quality."""


@dataclass(frozen=True)
class EvenCoder:
    """One codec, made to treat tissue and glass alike in every tile."""

    codec: TileCodec
    prepare: Callable[[Image], CodeAt]
    """Gives what codes a tile, as the library does it; what all qualities share is done here, once."""
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
        code = self.prepare(tile)
        if self.codec == "av1":
            quality = min(quality + _lost_to_flatness(part, tile), QUALITY_SCALES[self.codec].high)
        if self.codec != "jp2k":
            data = code(quality)
        elif tile is image and part.detailed.all():
            return code(quality)
        else:
            if context is not None and part.detailed.any():
                seen = self.decode(self.encode(context, quality), image.shape[:2])
                last = np.s_[-max(height, _LEAST) :, -max(width, _LEAST) :]
                quality = _Part(np.ascontiguousarray(context[last])).detail_db(seen[last])
            quality, data = self._at_psnr(part, tile, code, quality)
        return self._with_glass_as_it_is(part, tile, code, quality, data)

    def _at_psnr(self, part: _Part, tile: Image, code: CodeAt, psnr_db: float) -> tuple[float, bytes]:
        """Code a tile whose detail comes closest to a PSNR; return the quality that the whole took, and the bytes."""
        scale = QUALITY_SCALES[self.codec]
        lowest, share = max(_colour_db(tile), scale.low), part.share_of(tile)
        level = psnr_db - 10 * math.log10(share) if share else lowest
        closest: tuple[float, float, bytes] | None = None
        for _ in range(_MOST_TRIES):
            level = min(max(level, lowest), scale.high)
            data = code(level)
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

    def _with_glass_as_it_is(self, part: _Part, tile: Image, code: CodeAt, quality: float, data: bytes) -> bytes:
        highest = QUALITY_SCALES[self.codec].high
        area = part.pixels.shape[0] * part.pixels.shape[1]
        while 8 * len(data) < _GLASS_BITS[self.codec] * area and quality < highest:
            if part.glass_keeps_its_colour(self.decode(data, tile.shape[:2])):
                break
            quality = min(quality + _GLASS_RISE[self.codec], highest)
            data = code(quality)
        return data


@dataclass(frozen=True)
class _Part:
    """The part of a tile that has a meaning."""

    pixels: Image

    @cached_property
    def detailed(self) -> NDArray[np.bool_]:
        """(rows, columns): whether a cell has detail. The last cells are filled up with the edge's pixels."""
        height, width = self.pixels.shape[:2]
        padded = extended(self.pixels, -height % CELL, -width % CELL)
        spread = by_square(np.maximum, padded, CELL) - by_square(np.minimum, padded, CELL)
        found: NDArray[np.bool_] = spread.max(-1) > FLAT_RANGE
        return found

    @cached_property
    def _detailed_pixels(self) -> int:
        """Number of pixels in cells with detail."""
        heights, widths = (np.diff(np.append(np.arange(0, side, CELL), side)) for side in self.pixels.shape[:2])
        return int((heights[:, None] * widths * self.detailed).sum())

    def share_of(self, tile: Image) -> float:
        """Return the share of the tile's pixels that lie in the part and have detail."""
        return self._detailed_pixels / float(tile.shape[0] * tile.shape[1])

    def detail_db(self, decoded: Image) -> float:
        """Return the PSNR in dB of what has detail. decoded: the whole tile, or the part."""
        if not self._detailed_pixels:
            return _HIGHEST_DB
        height, width = self.pixels.shape[:2]
        error = np.subtract(decoded[:height, :width], self.pixels, dtype=np.int32)
        error *= error
        if height % CELL or width % CELL:
            error = np.pad(error, ((0, -height % CELL), (0, -width % CELL), (0, 0)))
        total = int(by_square(np.add, error, CELL)[self.detailed].sum(dtype=np.int64))
        return min(_HIGHEST_DB, float(psnr_of_mse(total / (3 * self._detailed_pixels))))

    def glass_keeps_its_colour(self, decoded: Image) -> bool:
        """Tell if the means of the flat cells that lie in the part entirely are what they were."""
        height, width = (side // CELL * CELL for side in self.pixels.shape[:2])
        flat = ~self.detailed[: height // CELL, : width // CELL]
        if not flat.any():
            return True
        # Sums of CELL * CELL pixels of 8 bits, which 16 bits hold.
        was, is_now = (by_square(np.add, image[:height, :width], CELL, np.uint16) for image in (self.pixels, decoded))
        moved = np.abs(is_now.astype(np.int32) - was) / (CELL * CELL)
        return bool((moved.max(-1)[flat] > _GLASS_STEPS).mean() <= 0.05)


def _lost_to_flatness(part: _Part, tile: Image) -> int:
    """Return the steps of quality that libaom takes from a tile's tissue for what is flat beside it.

    Where the library codes planes as they are, it is tuned for structural similarity: squares of 16 px weigh by the
    logarithm of their variance over the tile's mean of it (libaom, `av1_set_mb_ssim_rdmult_scaling`), so that tissue
    among glass comes out up to 2.5 dB worse than in a tile of its own. Measured on tissue of two scanners, 5.5 steps
    compensate a difference of 1.
    """
    log_variance = _log_variance(extended(tile, -tile.shape[0] % CELL, -tile.shape[1] % CELL))
    rows, columns = part.detailed.shape
    detailed = log_variance[:rows, :columns][part.detailed]
    return round(5.5 * float(detailed.mean() - log_variance.mean())) if detailed.size else 0


def _log_variance(image: Image) -> NDArray[np.float64]:
    """Return (rows, columns): libaom's logarithmic measure of the variance of each cell. The sides are whole cells."""
    count = _SQUARE * _SQUARE
    sums = by_square(np.add, image, _SQUARE, np.uint32).astype(np.float64)
    squares = by_square(np.add, np.multiply(image, image, dtype=np.uint16), _SQUARE, np.uint32)
    # The first plane has about a third of the variance of RGB (`pixels.colour._STEPS`).
    variance = (squares / count - (sums / count) ** 2).sum(-1, keepdims=True) / 3
    mean = by_square(np.add, variance, CELL // _SQUARE)[..., 0] / (CELL // _SQUARE) ** 2
    found: NDArray[np.float64] = np.log(67.035434 * (1 - np.exp(-0.0021489 * mean)) + 17.492222)
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
