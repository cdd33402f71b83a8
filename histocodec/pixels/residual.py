"""The pixels of the enhancement layer: corrections of a prediction, and the fewest bytes that lift one to a floor.

A tile of the layer covers one block of the canonical grid at full resolution. It holds either the difference between
source and prediction or the source itself, whichever takes fewer bytes at the PSNR that is wanted.
`formats/container/v1/spec.md` is normative.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import SettingsError
from ..geometry import Image
from . import av1
from .colour import UNCHANGED, ColourTransform
from .downsample import extended
from .floors import lowest_psnr
from .metrics import mean_squared_error, psnr_of_mse
from .tile_codecs import QUALITY_SCALES, TileCodec, decode_planes, decode_tile, encode_tile

HIGHEST_FLOOR_DB = 50.0
"""Beyond it hardly a sample may be off by more than one: 8-bit codecs that transform colours cannot promise that."""

_CLOSE_DB = 0.06
"""A tile that exceeds the floor by less is not made smaller."""

_DB_PER_QUALITY: dict[TileCodec, float] = {"jp2k": 1.0, "av1": 0.18, "jpeg": 0.15}
"""About the gain in dB of one step of quality."""

_FIRST_QUALITY: dict[TileCodec, Callable[[float], float]] = {
    "jp2k": lambda floor_db: floor_db,
    "av1": lambda floor_db: 60 + (floor_db - 34) / 0.18,
    "jpeg": lambda floor_db: 80 + (floor_db - 34) / 0.15,
}


class Mode(enum.IntEnum):
    """The content of a tile of the layer."""

    ABSENT = 0
    RESIDUAL = 1
    NATIVE = 2


def residual(source: Image, prediction: Image) -> Image:
    """Return source - prediction + 128, clamped, which a residual tile holds. (height, width, 3) uint8 each."""
    tile: Image = np.clip(source.astype(np.int16) - prediction + 128, 0, 255).astype(np.uint8)
    return tile


def add_residual(prediction: Image, tile: Image) -> Image:
    """Return prediction + tile - 128, clamped. (height, width, 3) uint8 each."""
    image: Image = np.clip(prediction.astype(np.int16) + tile - 128, 0, 255).astype(np.uint8)
    return image


@dataclass(frozen=True, slots=True)
class EnhancementCoder:
    """The codec of one layer, and the colours in which its tiles are coded."""

    codec: TileCodec
    residual: ColourTransform | None = None
    """The transform of residual tiles; None codes them as they are."""
    native: ColourTransform | None = None
    """The transform of native tiles; None codes them in RGB."""
    speed: int = av1.SPEED
    """Speed of libaom for `av1` tiles."""
    modes: tuple[Mode, ...] = (Mode.RESIDUAL, Mode.NATIVE)
    """The modes that new tiles may have: `NATIVE` alone over predictions that are not defined to the bit."""

    @classmethod
    def stored(cls, codec: TileCodec, colour: tuple[int, ...] | None) -> EnhancementCoder:
        """Build the coder that a manifest states. colour: 24 numbers, for residual tiles and then for native ones."""
        if colour is None:
            return cls(codec)
        return cls(codec, ColourTransform(colour[:12]), ColourTransform(colour[12:]))

    @property
    def colour(self) -> tuple[int, ...] | None:
        """The numbers of both transforms, as a manifest states them; None without."""
        if self.residual is None and self.native is None:
            return None
        return (self.residual or UNCHANGED).numbers + (self.native or UNCHANGED).numbers

    def encode(self, tile: Image, mode: Mode, quality: float) -> bytes:
        """Code a tile, as `tile_codecs.encode_tile` does."""
        transform = self._transform(mode)
        stored = transform.apply(tile) if transform else tile
        return encode_tile(stored, self.codec, quality, speed=self.speed)

    def decode(self, data: bytes, mode: Mode, side: int) -> Image:
        """Decode a tile into (side, side, 3) uint8, the transform undone. Raises `tile_codecs.TileError`."""
        transform = self._transform(mode)
        if transform is not None:
            return transform.undo(decode_planes(data, height=side, width=side))
        return decode_tile(data, self.codec, height=side, width=side)

    def _transform(self, mode: Mode) -> ColourTransform | None:
        return self.residual if mode is Mode.RESIDUAL else self.native


@dataclass(frozen=True, slots=True)
class EnhancedTile:
    """A tile of the layer, and what it makes of its block."""

    mode: Mode
    data: bytes
    psnr_db: float
    """PSNR in dB of the decoded block, on the part within the slide."""
    lowest_db: float
    """PSNR in dB of its worst square of `floors.SQUARE` px, on which a floor holds."""


def enhance_to(source: Image, prediction: Image, floor_db: float, coder: EnhancementCoder) -> EnhancedTile:
    """Make the smallest tile that lifts every square of a block to `floor_db`, measured on the decoded 8-bit pixels.

    source: (height, width, 3) uint8, the part of the block within the slide. prediction: (side, side, 3) uint8, all of
    it. Raises SettingsError if the codec's highest quality does not reach the floor.
    """
    height, width = source.shape[:2]
    within = prediction[:height, :width]

    def restored_residual(tile: Image) -> Image:
        return add_residual(within, tile[:height, :width])

    def restored_native(tile: Image) -> Image:
        return tile[:height, :width]

    side = prediction.shape[0]
    # Beyond the slide the last row and column go on, which costs next to nothing.
    candidates = [
        _smallest(extended(image, side - height, side - width), source, restore, floor_db, coder, mode)
        for mode, image, restore in (
            (Mode.RESIDUAL, residual(source, within), restored_residual),
            (Mode.NATIVE, source, restored_native),
        )
        if mode in coder.modes
    ]
    reached = [candidate for candidate in candidates if candidate is not None]
    if not reached:
        raise SettingsError(f"{floor_db:g} dB cannot be reached: not even by the highest quality of {coder.codec}")
    return min(reached, key=lambda tile: len(tile.data))


def _smallest(
    image: Image, source: Image, restore: Callable[[Image], Image], floor_db: float, coder: EnhancementCoder, mode: Mode
) -> EnhancedTile | None:
    """Search the codec's qualities by bisection for the smallest tile; None if none reaches the floor."""
    codec, side, scale = coder.codec, image.shape[0], QUALITY_SCALES[coder.codec]
    step = scale.step
    low, high = math.floor(scale.low / step) - 1, math.ceil(scale.high / step)
    guess = round(_FIRST_QUALITY[codec](floor_db) / step)
    best: EnhancedTile | None = None
    while high - low > 1 or best is None:
        at = min(max(guess, low + 1), high if best is None else high - 1)
        data = coder.encode(image, mode, min(max(at * step, scale.low), scale.high))
        decoded = restore(coder.decode(data, mode, side))
        lowest_db = lowest_psnr(source, decoded)
        if lowest_db >= floor_db:
            high = at
            if best is None or len(data) <= len(best.data):
                psnr_db = psnr_of_mse(mean_squared_error(source, decoded))
                best = EnhancedTile(mode, data, psnr_db, lowest_db)
            if lowest_db - floor_db < _CLOSE_DB:
                break
        elif at >= math.ceil(scale.high / step):
            return None
        else:
            low = at
        guess = at + round((floor_db + _CLOSE_DB / 2 - min(lowest_db, 100.0)) / _DB_PER_QUALITY[codec] / step)
    return best
