"""The choice between a 10x and a 20x base: both are tried on a sample of the slide's tissue, at equal bytes.

Neither is better everywhere: a 10x base leaves more bits for each pixel that is kept, a 20x base keeps more pixels.
Much tissue in few bytes asks for the former, soft slides and generous budgets for the latter.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from ..errors import UnsupportedResolution
from ..generators.catalogue import default_generator, downsampler_for
from ..generators.predict import reconstruct
from ..geometry import Grid, Image
from ..pixels.downsample import BLOCK, BOX, downsample, shrink
from ..pixels.rate import RateCurve, best_quality, tile_quality
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
"""Full pixels a side of a patch that is looked at: one tile of a 10x base."""

_WORTHWHILE: dict[TileCodec, int] = {"av1": 1 << 28, "jp2k": 1 << 29, "jpeg": 1 << 29}
"""Full pixels of a slide from which the sample takes less than 15 % of an encode's time."""

_MOST_READ, _MOST_TISSUE = 192, 12
DB_PER_DOUBLING = 2.5
"""About the gain in dB of twice the bytes of a base, from 0.07 to 0.2 bits per full pixel (benchmarks/results)."""

_MOST_RECKONED = 0.2
"""Doublings of the bytes up to which that holds: beyond the best quality, more bytes gain nothing."""

_TILES_SHARE = 0.88
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


def usual_base(source: Source, settings: EncodeSettings, *, own_generator: bool) -> Literal["10x", "auto"]:
    """Return the base of a user who asks for none: `auto` where it is possible and its sample is cheap, else 10x.

    own_generator: the user's, which decides on a base by itself.
    """
    is_asked_otherwise = own_generator or settings.has_floor or settings.downsampling not in (None, BOX)
    if settings.ratio is None or is_asked_otherwise or source.size.area < _WORTHWHILE[settings.codec]:
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
    """Code a sample of the slide's tissue as each base, at the bytes that tissue will get, and reconstruct it.

    scales: of each base that is possible, one at least. Returns the base with the higher mean PSNR, and why; the first
    one if there is only one, no tissue to try them on, or no room for either.
    """
    first = next(iter(scales))
    if len(scales) == 1:
        return first, "no other base is possible"
    patches, tissue_share = _tissue_patches(source, settings.seed, settings.workers, progress)
    if not patches:
        return first, "no tissue to compare them on"
    grid = Grid(source.size, PATCH)
    patch_bytes = _TILES_SHARE * budget_bytes / max(1.0, tissue_share * grid.count)
    measured: dict[Magnification, float] = {}
    for done, (base, scale) in enumerate(scales.items()):
        progress("choosing a base", done, len(scales))
        value = _psnr_within(patches, scale, settings, patch_bytes * len(patches))
        if value is not None:
            measured[base] = value
    progress("choosing a base", len(scales), len(scales))
    if len(measured) < 2:
        # Where none seems to fit, rate control says what really does.
        return next(
            iter(measured), first
        ), "the other one does not fit the budget" if measured else "neither seems to fit the budget"
    compared = " and ".join(f"{base} {psnr_db:.2f} dB" for base, psnr_db in measured.items())
    best = max(measured, key=lambda base: measured[base])
    return best, f"{compared} on {len(patches)} patches of tissue, at equal bytes"


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
    """Read some of the slide's tissue; return it, and the share of the patches looked at that hold any."""
    grid = Grid(source.size, PATCH)
    whole = [grid.address(index) for index in range(grid.count)]
    whole = [address for address in whole if grid.region(*address).within(source.size)]
    # Spread over the slide, then in random order, so that the first ones stand for all.
    looked_at = spread_sample(whole, _MOST_READ, seed)
    looked_at = [looked_at[k] for k in np.random.default_rng(seed).permutation(len(looked_at))]

    def read(address: tuple[int, int]) -> Image | None:
        patch = source.read(grid.region(*address))
        return patch if tissue_blocks(downsample(patch, 4), BLOCK).any() else None

    found: list[Image] = []
    seen = tissue = 0
    for patch in ordered_map(read, looked_at, workers=workers):
        seen += 1
        if patch is not None:
            tissue += 1
            found.append(patch)
        progress("looking for tissue", seen, len(looked_at))
        if len(found) == _MOST_TISSUE:
            break
    return found, tissue / max(1, seen)


def _psnr_within(patches: list[Image], scale: int, settings: EncodeSettings, budget_bytes: float) -> float | None:
    """Return the mean PSNR of the patches from bases of so many bytes together.

    They are coded once as they would be, near that, and the rest is reckoned. Returns None if the lowest quality takes
    more.
    """
    codec, workers = settings.codec, settings.workers
    generator = default_generator(scale, codec)
    downsampler = downsampler_for(generator, scale, settings.downsampling)
    bases = [shrink(patch, downsampler) for patch in patches]
    own = TileCoder.fitted(codec, np.concatenate([base[::4, ::4] for base in bases]), speed=settings.base_speed(scale))

    def coded(coder: TileCoder, quality: float) -> list[bytes]:
        qualities = [tile_quality(codec, quality, index, 0) for index in range(len(bases))]
        return list(ordered_map(lambda k: coder.encode(bases[k], qualities[k]), range(len(bases)), workers=workers))

    curve = RateCurve(lambda quality: sum(map(len, coded(own.quick, quality))), codec)
    quality = best_quality(curve, budget_bytes, codec)
    if quality is None:
        return None
    tiles, values = coded(own, quality), []
    for patch, data in zip(patches, tiles, strict=True):
        side = PATCH // scale
        base = own.decode(data, height=side, width=side)
        values.append(capped_psnr(patch, reconstruct(generator, base)))
    doublings = math.log2(budget_bytes / sum(map(len, tiles)))
    return float(np.mean(values)) + DB_PER_DOUBLING * min(max(doublings, -_MOST_RECKONED), _MOST_RECKONED)
