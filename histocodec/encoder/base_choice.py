"""The choice between a 10x and a 20x base, by the quality that a 10x base would have.

Neither is better everywhere: a 10x base leaves more bits for each pixel that is kept, a 20x base keeps more pixels.
From some quality on, what a 10x base lacks is its resolution, which no bits buy.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from ..errors import UnsupportedResolution
from ..generators.catalogue import default_package, downsampler_for
from ..geometry import Grid, Image, Region
from ..pixels.downsample import BLOCK, BOX, downsample, extended, shrink
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

FINE: dict[TileCodec, float] = {"av1": 56.0, "jp2k": 33.5, "jpeg": 75.0}
"""Quality of a 10x base from which a 20x base of the same bytes is closer to the slide. Where the two are level differs
less in quality than in bytes: in AV1 50 to 60 on 24 tiles of 29, of many organs and five sources (benchmarks/NOTES.md).
"""

_UNIT = 4 * BLOCK
"""Full pixels to a multiple of which patches of a small slide are extended, as in a base."""

_LEAST_READ, _MOST_READ, _MOST_TISSUE = 32, 192, 12
"""Patches that are looked at, at least and at most, and those of tissue that are coded."""

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
    """Code a sample of the slide's tissue as a 10x base of quality FINE, and compare its bytes with the budget.

    scales: of each base that is possible, one at least. Returns the base, and why; the first one if there is only one,
    no tissue to try it on, or no room for it.
    """
    first = next(iter(scales))
    if len(scales) == 1:
        return first, "no other base is possible"
    patches, sampled = _tissue_patches(source, settings.seed, settings.workers, progress)
    if not patches:
        return first, "no tissue to try one on"
    progress("choosing a base", 0, 1)
    fine, room = FINE[settings.codec], _TILES_SHARE[settings.codec] * budget_bytes * sampled
    share = _bytes_at(fine, patches, scales["10x"], settings) / room if room else math.inf
    progress("choosing a base", 1, 1)
    return "20x" if share <= 1 else "10x", (
        f"from quality {fine:g} of a 10x base on, 20x is better, and such a base takes about {share:.0%} of the budget"
    )


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
    """Read some of the slide's tissue; return it, and about which share of all of it that is."""
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

    found: list[Image] = []
    seen = area = tissue = kept = 0
    for region, (patch, blocks) in zip(looked_at, ordered_map(read, looked_at, workers=workers), strict=False):
        seen, area, tissue = seen + 1, area + region.area, tissue + blocks
        if blocks and len(found) < _MOST_TISSUE:
            found.append(patch)
            kept += blocks
        progress("looking for tissue", seen, len(looked_at))
        if len(found) == _MOST_TISSUE and seen >= _LEAST_READ:
            break
    return found, kept / tissue * area / source.size.area if tissue else 0.0


def _bytes_at(quality: float, patches: list[Image], scale: int, settings: EncodeSettings) -> int:
    """Return the bytes of the tiles of a base of the patches."""
    codec = settings.codec
    downsampler = downsampler_for(default_package(scale, codec), scale, settings.downsampling)
    bases = [shrink(patch, downsampler) for patch in patches]
    pixels = np.concatenate([base[::4, ::4].reshape(-1, 1, 3) for base in bases])
    coder = TileCoder.fitted(codec, pixels, speed=settings.base_speed(scale)).quick
    return sum(ordered_map(lambda base: len(coder.encode(base, quality)), bases, workers=settings.workers))
