"""The choice between a 10x and a 20x base, by the quality that a 10x base would have, or by trying both.

Neither is better everywhere: a 10x base leaves more bits for each pixel that is kept, a 20x base keeps more pixels.
From some quality on, what a 10x base lacks is its resolution, which no bits buy. Where that begins differs less in
quality than in bytes: so the bytes at two qualities decide on most slides, and both bases are tried on the others.
"""

from __future__ import annotations

import math
import time
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedResolution
from ..generators.catalogue import default_generator, default_package, downsampler_for
from ..generators.predict import reconstruct
from ..geometry import Grid, Image, Region
from ..pixels.downsample import BLOCK, BOX, downsample, extended, shrink
from ..pixels.rate import DB_PER_DOUBLING, RUNGS, RateCurve, best_quality, rung_of
from ..pixels.score import capped_psnr
from ..pixels.tile_codecs import TileCodec
from ..pixels.tile_coder import TileCoder, code_image, decode_image
from ..pixels.tissue import tissue_blocks
from ..runtime.parallel import ordered_map
from ..runtime.progress import Progress
from ..runtime.sampling import spread_sample
from ..source import Source
from .settings import BASE_MPP, EncodeSettings, Magnification

PATCH = 2048
"""Full pixels a side of a patch that is looked at: a tile of a 10x base in AV1. In smaller tiles that base would lose
more than the other."""

UNSURE: dict[TileCodec, tuple[float, float]] = {"av1": (50.0, 62.0), "jp2k": (29.0, 36.0), "jpeg": (65.0, 82.0)}
"""Qualities of a 10x base between which either base may be closer to the slide at equal bytes: below, a 10x base is,
above, a 20x one. In AV1 they are level there on 24 tiles of 29, of many organs and five sources (benchmarks/NOTES.md).
"""

WORTH_DB = 0.1
"""The gain from which a 20x base is taken where both are tried: it has four times the pixels to code, send and show."""

_UNIT = 4 * BLOCK
"""Full pixels to a multiple of which patches of a small slide are extended, as in a base."""

_MOST_READ, _MOST_TISSUE, _TRIED = 48, 6, 3
"""Patches that are looked at, at most, which tell the share of tissue; those of tissue whose bytes count; and how many
whole ones, or their area, are coded as both bases. They are those with the most tissue."""

_MOST_RECKONED = 0.2
"""Doublings of the bytes up to which DB_PER_DOUBLING holds: beyond the best quality, more bytes gain nothing."""

_TILES_SHARE: dict[TileCodec, float] = {"av1": 0.95, "jp2k": 0.88, "jpeg": 0.88}
"""Share of a file's bytes that its base's tiles take: reduced levels, associated images and the index take the rest."""


class TissueSample:
    """Some of a slide's tissue, read once for all that is decided on it."""

    def __init__(self, source: Source, settings: EncodeSettings) -> None:
        """Read nothing yet."""
        self._source, self._seed, self._workers = source, settings.seed, settings.workers
        self._found: tuple[list[Image], float] | None = None
        self.reading_s = 0.0
        """Seconds that reading took; 0 before."""

    def patches(self, progress: Progress) -> tuple[list[Image], float]:
        """Return patches of tissue, the fullest first, and about which share of all of the slide's tissue they hold."""
        if self._found is None:
            began = time.monotonic()
            self._found = self._read(progress)
            self.reading_s = time.monotonic() - began
        return self._found

    def _read(self, progress: Progress) -> tuple[list[Image], float]:
        size = self._source.size
        grid = Grid(size, PATCH)
        regions = [region for i in range(grid.count) if (region := grid.region(*grid.address(i)).clipped(size))]
        # Spread over the slide, then in random order, so that the first ones stand for all.
        looked_at = spread_sample(regions, _MOST_READ, self._seed)
        looked_at = [looked_at[k] for k in np.random.default_rng(self._seed).permutation(len(looked_at))]

        def read(region: Region) -> tuple[Image, int]:
            height, width = (-(-length // _UNIT) * _UNIT for length in (region.height, region.width))
            patch = extended(self._source.read(region), height - region.height, width - region.width)
            return patch, int(_tissue(patch).sum())

        found: list[tuple[int, Image]] = []
        tissue = 0
        for seen, (patch, blocks) in enumerate(ordered_map(read, looked_at, workers=self._workers), 1):
            tissue += blocks
            if blocks and len(found) < _MOST_TISSUE:
                found.append((blocks, patch))
            progress("looking for tissue", seen, len(looked_at))
        area = sum(region.area for region in looked_at)
        found.sort(key=lambda each: -each[0])
        sampled = sum(blocks for blocks, _ in found) / tissue * area / size.area if tissue else 0.0
        return [patch for _, patch in found], sampled


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
    source: Source,
    settings: EncodeSettings,
    budget_bytes: int | None,
    progress: Progress,
    sample: TissueSample | None = None,
) -> tuple[int, Magnification, tuple[str, ...]]:
    """Return the scale, the base, and a sentence for the user if it was chosen for them.

    sample: of the source, read already or not; None for one of its own. Raises UnsupportedResolution for a slide that
    cannot have the base, or none.
    """
    assert settings.base is not None  # the plan sees to it
    if settings.base != "auto":
        return base_scale(source, settings.base), settings.base, ()
    assert budget_bytes is not None  # the settings see to it
    scales = _possible_scales(source)
    base, why = _choose_base(sample or TissueSample(source, settings), scales, settings, budget_bytes, progress)
    return scales[base], base, (f"base {base}: {why}",)


def _choose_base(
    sample: TissueSample,
    scales: dict[Magnification, int],
    settings: EncodeSettings,
    budget_bytes: int,
    progress: Progress,
) -> tuple[Magnification, str]:
    """Choose on a sample of the slide's tissue, at the bytes that tissue will get.

    scales: of each base that is possible, one at least. Returns the base, and why; the first one if there is only one,
    or no tissue to try it on.
    """
    first = next(iter(scales))
    if len(scales) == 1:
        return first, "no other base is possible"
    patches, sampled = sample.patches(progress)
    if not patches:
        return first, "no tissue to try one on"
    room, (low, high) = _TILES_SHARE[settings.codec] * budget_bytes * sampled, UNSURE[settings.codec]
    progress("choosing a base", 0, 3)
    if _bytes_at(low, patches, scales["10x"], settings) > room:
        return "10x", f"the budget allows it a quality below {low:g}, where 20x is not better"
    progress("choosing a base", 1, 3)
    if _bytes_at(high, patches, scales["10x"], settings) < room:
        return "20x", f"10x would have a quality above {high:g}, where 20x is better"
    progress("choosing a base", 2, 3)
    tried = _first(patches, _TRIED * PATCH**2)
    share = sum(map(_area, tried)) / sum(map(_area, patches))
    measured = {base: _psnr_within(tried, scale, settings, room * share) for base, scale in scales.items()}
    progress("choosing a base", 3, 3)
    best: Magnification = "20x" if measured["20x"] >= measured["10x"] + WORTH_DB else "10x"
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


def _first(patches: list[Image], area: int) -> list[Image]:
    """Return the first patches, until they have so many pixels."""
    before = np.cumsum([0, *map(_area, patches)])
    return [patch for patch, pixels in zip(patches, before, strict=False) if pixels < area]


def _area(image: Image) -> int:
    return int(image[..., 0].size)


def _bytes_at(quality: float, patches: list[Image], scale: int, settings: EncodeSettings) -> int:
    """Return the bytes of the tiles of a base of the patches."""
    downsampler = downsampler_for(default_package(scale, settings.codec), scale, settings.downsampling)
    bases = [shrink(patch, downsampler) for patch in patches]
    return _bytes_of(_coded(bases, _fitted(bases, scale, settings).quick, quality, settings.workers))


def _psnr_within(patches: list[Image], scale: int, settings: EncodeSettings, budget_bytes: float) -> float:
    """Return the mean PSNR of the tissue from bases of so many bytes together, or minus infinity if none is as small.

    They are coded once as they would be, near that, and the rest is reckoned.
    """
    codec, workers = settings.codec, settings.workers
    generator = default_generator(scale, codec)
    downsampler = downsampler_for(generator, scale, settings.downsampling)
    bases = [shrink(patch, downsampler) for patch in patches]
    own = _fitted(bases, scale, settings)
    curve = RateCurve(lambda quality: _bytes_of(_coded(bases, own.quick, quality, workers)), codec)
    quality = best_quality(curve, budget_bytes, codec)
    if quality is None:
        return -math.inf
    coded = _coded(bases, own, RUNGS[codec][rung_of(codec, quality, 1.0)], workers)
    values: list[float] = []
    for patch, base, tiles in zip(patches, bases, coded, strict=True):
        decoded = decode_image(tiles, own, height=base.shape[0], width=base.shape[1])
        values += _tissue_psnr(patch, reconstruct(generator, decoded))
    doublings = math.log2(budget_bytes / _bytes_of(coded))
    return float(np.mean(values)) + DB_PER_DOUBLING * min(max(doublings, -_MOST_RECKONED), _MOST_RECKONED)


def _tissue_psnr(patch: Image, made: Image) -> list[float]:
    """Return the PSNR of each square of _UNIT px that holds tissue, as blocks are measured when a file is verified."""
    found = []
    for y, x in (np.argwhere(_tissue(patch)) * _UNIT).tolist():
        square = slice(y, y + _UNIT), slice(x, x + _UNIT)
        found.append(capped_psnr(patch[square], made[square]))
    return found


def _tissue(patch: Image) -> NDArray[np.uint8]:
    """Tell which squares of _UNIT px hold tissue."""
    return tissue_blocks(downsample(patch, 4), BLOCK)


def _coded(bases: list[Image], coder: TileCoder, quality: float, workers: int) -> list[list[bytes]]:
    """Return the tiles of each base."""
    return list(ordered_map(lambda base: code_image(base, coder, quality), bases, workers=workers))


def _bytes_of(coded: list[list[bytes]]) -> int:
    return sum(len(tile) for tiles in coded for tile in tiles)


def _fitted(bases: list[Image], scale: int, settings: EncodeSettings) -> TileCoder:
    """Return the coder of these bases, fitted to their colours."""
    pixels = np.concatenate([base[::4, ::4].reshape(-1, 1, 3) for base in bases])
    return TileCoder.fitted(settings.codec, pixels, speed=settings.base_speed(scale))
