"""The choice between a 10x and a 20x base, by the quality that a 10x base would have, or by trying both.

Neither is better everywhere: a 10x base leaves more bits for each pixel that is kept, a 20x base keeps more pixels.
From some quality on, what a 10x base lacks is its resolution, which no bits buy. Where that begins differs less in
quality than in bytes: so the bytes at two qualities decide on most slides, and both bases are tried on the others.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from ..errors import UnsupportedResolution
from ..generators.catalogue import default_generator, default_package, downsampler_for
from ..generators.predict import reconstruct
from ..geometry import Grid, Image, Region
from ..pixels.downsample import BLOCK, BOX, downsample, extended, shrink
from ..pixels.rate import DB_PER_DOUBLING, RateCurve, best_quality, tile_quality
from ..pixels.score import capped_psnr
from ..pixels.tile_codecs import TileCodec
from ..pixels.tile_coder import TileCoder
from ..pixels.tissue import tissue_blocks
from ..runtime.parallel import ordered_map
from ..runtime.progress import Progress
from ..runtime.sampling import spread_sample
from ..source import Source
from .settings import BASE_MPP, EncodeSettings, Magnification

PATCH = 1024
"""Full pixels a side of a patch that is looked at."""

UNSURE: dict[TileCodec, tuple[float, float]] = {"av1": (50.0, 62.0), "jp2k": (29.0, 36.0), "jpeg": (65.0, 82.0)}
"""Qualities of a 10x base between which either base may be closer to the slide at equal bytes: below, a 10x base is,
above, a 20x one. In AV1 they are level there on 24 tiles of 29, of many organs and five sources (benchmarks/NOTES.md).
"""

_UNIT = 4 * BLOCK
"""Full pixels to a multiple of which patches of a small slide are extended, as in a base."""

_LEAST_READ, _MOST_READ, _MOST_TISSUE, _TRIED = 32, 192, 12, 6
"""Patches that are looked at, at least and at most; those of tissue whose bytes count, and those that are coded as both
bases, those with the most of it: on glass either base is close to the slide."""

_MOST_RECKONED = 0.2
"""Doublings of the bytes up to which DB_PER_DOUBLING holds: beyond the best quality, more bytes gain nothing."""

_TILES_SHARE: dict[TileCodec, float] = {"av1": 0.95, "jp2k": 0.88, "jpeg": 0.88}
"""Share of a file's bytes that its base's tiles take: reduced levels, associated images and the index take the rest."""


def base_scale(source: Source, base: Magnification = "10x") -> int:
    """Return the full pixels per base pixel: the power of two that brings the slide nearest to the base's resolution.

    Raises UnsupportedResolution unless that is 2 or 4.
    """
    exponent = math.log2(BASE_MPP[base] / source.mpp)
    if round(exponent) not in (1, 2):
        low, high = BASE_MPP[base] / 2**2.5, BASE_MPP[base] / 2**0.5
        raise UnsupportedResolution(
            source.path,
            f"{source.mpp:g} um/px is out of range: a {base} base is made from slides of {low:.3g} to {high:.3g} um/px",
        )
    return int(2 ** round(exponent))


def usual_base(source: Source, settings: EncodeSettings, *, own_generator: bool) -> Magnification | Literal["auto"]:
    """Return the base of a user who asks for none: `auto` where it is possible, else 10x.

    own_generator: the user's, which decides on a base by itself.
    """
    is_asked_otherwise = own_generator or settings.has_floor or settings.downsampling not in (None, BOX)
    if settings.ratio is None or is_asked_otherwise:
        return "10x"
    return "auto" if len(_possible_scales(source)) > 1 else "10x"


def decide_base(
    source: Source, settings: EncodeSettings, budget_bytes: int | None, progress: Progress
) -> tuple[int, Magnification, tuple[str, ...]]:
    """Return the scale, the base, and a sentence for the user if it was chosen for them.

    Raises UnsupportedResolution for a slide that cannot have the base, or none.
    """
    assert settings.base is not None  # the plan sees to it
    if settings.base != "auto":
        return base_scale(source, settings.base), settings.base, ()
    assert budget_bytes is not None  # the settings see to it
    scales = _possible_scales(source)
    base, why = _choose_base(source, scales, settings, budget_bytes, progress)
    return scales[base], base, (f"base {base}: {why}",)


def _choose_base(
    source: Source, scales: dict[Magnification, int], settings: EncodeSettings, budget_bytes: int, progress: Progress
) -> tuple[Magnification, str]:
    """Choose on a sample of the slide's tissue, at the bytes that tissue will get.

    scales: of each base that is possible, one at least. Returns the base, and why; the first one if there is only one,
    or no tissue to try it on.
    """
    first = next(iter(scales))
    if len(scales) == 1:
        return first, "no other base is possible"
    patches, sampled = _tissue_patches(source, settings.seed, settings.workers, progress)
    if not patches:
        return first, "no tissue to try one on"
    patch_bytes = _TILES_SHARE[settings.codec] * budget_bytes * sampled / len(patches)
    room, (low, high) = patch_bytes * len(patches), UNSURE[settings.codec]
    progress("choosing a base", 0, 3)
    if _bytes_at(low, patches, scales["10x"], settings) > room:
        return "10x", f"the budget allows it a quality below {low:g}, where 20x is not better"
    progress("choosing a base", 1, 3)
    if _bytes_at(high, patches, scales["10x"], settings) < room:
        return "20x", f"10x would have a quality above {high:g}, where 20x is better"
    progress("choosing a base", 2, 3)
    tried = patches[:_TRIED]
    measured = {base: _psnr_within(tried, scale, settings, patch_bytes * len(tried)) for base, scale in scales.items()}
    progress("choosing a base", 3, 3)
    best = max(measured, key=lambda base: measured[base])
    compared = " and ".join(f"{base} {psnr_db:.2f} dB" for base, psnr_db in measured.items())
    return best, f"{compared} on {len(tried)} patches of tissue, at equal bytes"


def _possible_scales(source: Source) -> dict[Magnification, int]:
    """Return the scale of each base that a slide can have. Raises UnsupportedResolution if there is none."""
    scales: dict[Magnification, int] = {}
    for base in BASE_MPP:
        try:
            scales[base] = base_scale(source, base)
        except UnsupportedResolution as error:
            refused = error
    if not scales:
        raise refused
    return scales


def _tissue_patches(source: Source, seed: int, workers: int, progress: Progress) -> tuple[list[Image], float]:
    """Read some of the slide's tissue; return it, fullest patches first, and about which share of all of it that is."""
    grid = Grid(source.size, PATCH)
    regions = [region for i in range(grid.count) if (region := grid.region(*grid.address(i)).clipped(source.size))]
    whole = [region for region in regions if region.area == PATCH**2]
    # Spread over the slide, then in random order, so that the first ones stand for all.
    looked_at = spread_sample(whole or regions, _MOST_READ, seed)
    looked_at = [looked_at[k] for k in np.random.default_rng(seed).permutation(len(looked_at))]

    def read(region: Region) -> tuple[Image, int]:
        height, width = (-(-length // _UNIT) * _UNIT for length in (region.height, region.width))
        patch = extended(source.read(region), height - region.height, width - region.width)
        return patch, int(tissue_blocks(downsample(patch, 4), BLOCK).sum())

    found: list[tuple[int, Image]] = []
    seen = area = tissue = 0
    for region, (patch, blocks) in zip(looked_at, ordered_map(read, looked_at, workers=workers), strict=False):
        seen, area, tissue = seen + 1, area + region.area, tissue + blocks
        if blocks and len(found) < _MOST_TISSUE:
            found.append((blocks, patch))
        progress("looking for tissue", seen, len(looked_at))
        if len(found) == _MOST_TISSUE and seen >= _LEAST_READ:
            break
    found.sort(key=lambda each: -each[0])
    sampled = sum(blocks for blocks, _ in found) / tissue * area / source.size.area if tissue else 0.0
    return [patch for _, patch in found], sampled


def _bytes_at(quality: float, patches: list[Image], scale: int, settings: EncodeSettings) -> int:
    """Return the bytes of the tiles of a base of the patches."""
    codec = settings.codec
    downsampler = downsampler_for(default_package(scale, codec), scale, settings.downsampling)
    bases = [shrink(patch, downsampler) for patch in patches]
    coder = _fitted(bases, scale, settings).quick
    return sum(ordered_map(lambda base: len(coder.encode(base, quality)), bases, workers=settings.workers))


def _psnr_within(patches: list[Image], scale: int, settings: EncodeSettings, budget_bytes: float) -> float:
    """Return the mean PSNR of the patches from bases of so many bytes together, or minus infinity if none is as small.

    They are coded once as they would be, near that, and the rest is reckoned.
    """
    codec, workers = settings.codec, settings.workers
    generator = default_generator(scale, codec)
    downsampler = downsampler_for(generator, scale, settings.downsampling)
    bases = [shrink(patch, downsampler) for patch in patches]
    own = _fitted(bases, scale, settings)

    def coded(coder: TileCoder, quality: float) -> list[bytes]:
        qualities = [tile_quality(codec, quality, index, 0) for index in range(len(bases))]
        return list(ordered_map(lambda k: coder.encode(bases[k], qualities[k]), range(len(bases)), workers=workers))

    curve = RateCurve(lambda quality: sum(map(len, coded(own.quick, quality))), codec)
    quality = best_quality(curve, budget_bytes, codec)
    if quality is None:
        return -math.inf
    tiles, values = coded(own, quality), []
    for patch, shrunk, data in zip(patches, bases, tiles, strict=True):
        base = own.decode(data, height=shrunk.shape[0], width=shrunk.shape[1])
        values.append(capped_psnr(patch, reconstruct(generator, base)))
    doublings = math.log2(budget_bytes / sum(map(len, tiles)))
    return float(np.mean(values)) + DB_PER_DOUBLING * min(max(doublings, -_MOST_RECKONED), _MOST_RECKONED)


def _fitted(bases: list[Image], scale: int, settings: EncodeSettings) -> TileCoder:
    """Return the coder of these bases, fitted to their colours."""
    pixels = np.concatenate([base[::4, ::4].reshape(-1, 1, 3) for base in bases])
    return TileCoder.fitted(settings.codec, pixels, speed=settings.base_speed(scale))
