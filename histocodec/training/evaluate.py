"""PSNR and SSIM of a generator on whole tiles, against bicubic from the same base."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..generators.bicubic import BicubicGenerator
from ..generators.predict import reconstruct as reconstruct
from ..geometry import Image
from ..pixels.downsample import downsample, shrink
from ..pixels.metrics import psnr, ssim
from ..pixels.resampler import Downsampler, Generator
from ..pixels.tile_codecs import QUALITY_SCALES, TileCodec
from ..pixels.tile_coder import TileCoder, code_image, decode_image


@dataclass(frozen=True, slots=True)
class EvaluationTile:
    """One tile and the base that a decoder would see."""

    full: Image
    base: Image
    bits_per_full_pixel: float
    """Of the coded base; 0 for an uncoded one."""


MEASURED_RATES: dict[int, tuple[float, ...]] = {4: (0.10, 0.15), 2: (0.10, 0.20)}
"""By scale: bits per full pixel of the coded bases that every generator is measured with, beside uncoded ones."""


def base_name(codec: TileCodec | None, bits_per_full_pixel: float) -> str:
    """`uncoded`, or the codec and its rate."""
    return f"{codec} at {bits_per_full_pixel:.2f} bpp" if codec else "uncoded"


def centre(image: Image, side: int) -> Image:
    """The middle `side` x `side` pixels, or what there is of them."""
    top, left = (max(0, (length - side) // 2) for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def code_at_rate(base: Image, codec: TileCodec, budget_bytes: float) -> tuple[Image, int]:
    """The decoded base at the highest quality whose tiles fit into `budget_bytes`, and its bytes.

    Bisection, to 0.01 of the quality scale or a whole number; the lowest quality if none fits.
    """
    scale = QUALITY_SCALES[codec]
    step = 1.0 if scale.whole else 0.01
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
    return decoded, sum(map(len, best))


def evaluation_tile(
    full: Image,
    scale: int,
    codec: TileCodec | None = None,
    bits_per_full_pixel: float = 0.0,
    *,
    downsampler: Downsampler | None = None,
) -> EvaluationTile:
    """Crop to a multiple of `scale`, downsample (None: the box average) and, with a codec, code at a rate."""
    full = np.ascontiguousarray(full[: full.shape[0] // scale * scale, : full.shape[1] // scale * scale])
    base = downsample(full, scale) if downsampler is None else shrink(full, downsampler)
    if codec is None:
        return EvaluationTile(full, base, 0.0)
    area = full.shape[0] * full.shape[1]
    coded, size_bytes = code_at_rate(base, codec, bits_per_full_pixel * area / 8)
    return EvaluationTile(full, coded, size_bytes * 8 / area)


@dataclass(frozen=True, slots=True)
class Score:
    """Means over tiles, and the same for bicubic enlargement of the same bases."""

    psnr_db: float
    ssim: float
    bicubic_psnr_db: float
    bicubic_ssim: float
    bits_per_full_pixel: float
    tiles: int


def score(generator: Generator, tiles: list[EvaluationTile]) -> Score:
    """Mean PSNR and SSIM per tile (definitions in `pixels.metrics`)."""
    bicubic = BicubicGenerator(generator.scale)
    rows = []
    for tile in tiles:
        ours, plain = reconstruct(generator, tile.base), reconstruct(bicubic, tile.base)
        rows.append((psnr(tile.full, ours), ssim(tile.full, ours), psnr(tile.full, plain), ssim(tile.full, plain)))
    means = [float(v) for v in np.mean(rows, axis=0)]
    rate = float(np.mean([tile.bits_per_full_pixel for tile in tiles]))
    return Score(means[0], means[1], means[2], means[3], rate, len(tiles))
