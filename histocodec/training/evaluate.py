"""Measure a generator on whole tiles: PSNR and SSIM from the base that a decoder sees, beside bicubic's from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..generators.bicubic import BicubicGenerator
from ..generators.predict import reconstruct
from ..geometry import Image
from ..pixels.degrade import degrade
from ..pixels.metrics import psnr, ssim
from ..pixels.resampler import Downsampler, Generator
from ..pixels.tile_codecs import QUALITY_SCALES, TileCodec
from ..pixels.tile_coder import TileCoder, code_image, decode_image

MEASURED_RATES: dict[int, tuple[float, ...]] = {4: (0.10, 0.15), 2: (0.10, 0.20)}
"""Bits per full pixel, by scale, of the coded bases that every generator is measured on, beside uncoded ones."""

QUALITY_STEP = 0.01
"""Precision of the codec quality found for a rate, where a codec's scale is not of whole numbers."""


@dataclass(frozen=True, slots=True)
class EvaluationTile:
    """One tile, and its base as a decoder sees it."""

    full: Image
    """(height, width, 3) uint8 RGB: the original."""
    base: Image
    """(height / scale, width / scale, 3) uint8 RGB: the result of `degrade(full, ...)` at `quality`."""
    quality: float
    """Codec quality of the base; 0 for an uncoded one."""
    bits_per_full_pixel: float
    """Bits of the coded base per pixel of `full`; 0 for an uncoded one."""


class CodedAtRate(NamedTuple):
    """A base coded within a number of bytes."""

    decoded: Image
    """(height, width, 3) uint8 RGB."""
    quality: float
    """Codec quality."""
    size_bytes: int
    """Total bytes of its tiles."""


def base_name(codec: TileCodec | None, bits_per_full_pixel: float) -> str:
    """Return the name of a kind of base: `uncoded`, or the codec and its rate."""
    return f"{codec} at {bits_per_full_pixel:.2f} bpp" if codec else "uncoded"


def centre(image: Image, side: int) -> Image:
    """Return the middle `side` x `side` pixels, fewer where the image is smaller."""
    top, left = (max(0, (length - side) // 2) for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def code_at_rate(base: Image, codec: TileCodec, budget_bytes: float) -> CodedAtRate:
    """Code a base at the highest quality whose tiles fit into `budget_bytes`, in tiles as `degrade` codes it.

    base: (height, width, 3) uint8 RGB, uncoded. The quality is found by bisection, to `QUALITY_STEP` or to a whole
    number; it is the lowest of the scale if none fits.
    """
    scale = QUALITY_SCALES[codec]
    step = 1.0 if scale.whole else QUALITY_STEP
    low, high = 0, round((scale.high - scale.low) / step)
    coder = TileCoder.fitted(codec, base)
    best = code_image(base, coder, scale.low)
    while low < high:
        middle = (low + high + 1) // 2
        tiles = code_image(base, coder, scale.low + middle * step)
        if sum(map(len, tiles)) <= budget_bytes:
            low, best = middle, tiles
        else:
            high = middle - 1
    decoded = decode_image(best, coder, height=base.shape[0], width=base.shape[1])
    return CodedAtRate(decoded, scale.low + low * step, sum(map(len, best)))


def evaluation_tile(
    full: Image,
    scale: int,
    codec: TileCodec | None = None,
    bits_per_full_pixel: float = 0.0,
    *,
    downsampler: Downsampler | None = None,
) -> EvaluationTile:
    """Crop an image to a multiple of `scale` and degrade it, at the highest quality within a rate.

    full: (height, width, 3) uint8 RGB. codec: None leaves the base uncoded. downsampler: None for the box average.
    """
    full = np.ascontiguousarray(full[: full.shape[0] // scale * scale, : full.shape[1] // scale * scale])
    base = degrade(full, scale, None, downsampler=downsampler)
    if codec is None:
        return EvaluationTile(full, base, 0.0, 0.0)
    area = full.shape[0] * full.shape[1]
    coded = code_at_rate(base, codec, bits_per_full_pixel * area / 8)
    return EvaluationTile(full, coded.decoded, coded.quality, coded.size_bytes * 8 / area)


@dataclass(frozen=True, slots=True)
class Score:
    """Means over tiles of a generator's measures, and of bicubic's on the same bases."""

    psnr_db: float
    ssim: float
    bicubic_psnr_db: float
    bicubic_ssim: float
    bits_per_full_pixel: float
    """Mean over the tiles of their bases' rate; 0 for uncoded bases."""
    tiles: int
    """Number of tiles."""


def score(generator: Generator, tiles: list[EvaluationTile]) -> Score:
    """Return the mean PSNR and SSIM of a generator over tiles (definitions in `pixels.metrics`)."""
    bicubic = BicubicGenerator(generator.scale)
    rows = []
    for tile in tiles:
        ours, theirs = reconstruct(generator, tile.base), reconstruct(bicubic, tile.base)
        rows.append((psnr(tile.full, ours), ssim(tile.full, ours), psnr(tile.full, theirs), ssim(tile.full, theirs)))
    means = [float(v) for v in np.mean(rows, axis=0)]
    rate = float(np.mean([tile.bits_per_full_pixel for tile in tiles]))
    return Score(means[0], means[1], means[2], means[3], rate, len(tiles))
