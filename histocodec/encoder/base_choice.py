"""The choice between a 10x and a 20x base: both are tried on a sample of the slide's tissue, at equal bytes.

Neither is better everywhere: a 10x base leaves more bits for each pixel that is kept, a 20x base keeps more pixels.
Much tissue in few bytes asks for the former, soft slides and generous budgets for the latter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..generators.predict import reconstruct
from ..geometry import Image, TileGrid
from ..pixels.downsample import BLOCK, downsample, shrink
from ..pixels.resampler import Downsampler, Generator
from ..pixels.score import capped_psnr
from ..pixels.tile_codecs import TileCodec
from ..pixels.tile_coder import TileCoder
from ..pixels.tissue import tissue_blocks
from ..runtime.parallel import ordered_map
from ..runtime.progress import Progress
from ..runtime.sampling import spread_sample
from ..source import Source
from .rate import best_quality
from .settings import Base

PATCH = 1024
"""Full pixels a side of a patch that is looked at: one tile of a 10x base."""

_MOST_READ, _MOST_TISSUE = 192, 12
_TILES_SHARE = 0.88
"""Share of a file's bytes that its base's tiles take: reduced levels, associated images and the index take the rest."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A base that is possible: how it is made, and enlarged again."""

    generator: Generator
    downsampler: Downsampler


@dataclass(frozen=True, slots=True)
class BaseChoice:
    """The base that is chosen, and what was measured."""

    base: Base
    psnr_db: Mapping[Base, float]
    """Mean PSNR over the tissue that was tried, for each base that fits the budget."""
    patches: int


def choose_base(
    source: Source,
    candidates: Mapping[Base, Candidate],
    codec: TileCodec,
    budget_bytes: int,
    *,
    seed: int,
    workers: int,
    progress: Progress,
) -> BaseChoice:
    """Code a sample of the slide's tissue as each base, at the bytes that tissue will get, and reconstruct it.

    candidates: of each base that is possible. Returns the base with the higher mean PSNR; the first one if there is
    only one, no tissue to try them on, or no room for either.
    """
    first = next(iter(candidates))
    patches, tissue_share = _tissue_patches(source, seed, workers, progress)
    if len(candidates) == 1 or not patches:
        return BaseChoice(first, {}, 0)
    grid = TileGrid(source.size, PATCH)
    patch_bytes = _TILES_SHARE * budget_bytes / max(1.0, tissue_share * grid.count)
    measured: dict[Base, float] = {}
    for done, (base, candidate) in enumerate(candidates.items()):
        progress("choosing a base", done, len(candidates))
        value = _psnr_within(patches, candidate, codec, patch_bytes * len(patches), workers)
        if value is not None:
            measured[base] = value
    progress("choosing a base", len(candidates), len(candidates))
    # Where none seems to fit, rate control says what really does.
    best = max(measured, key=lambda base: measured[base]) if measured else first
    return BaseChoice(best, measured, len(patches))


def _tissue_patches(source: Source, seed: int, workers: int, progress: Progress) -> tuple[list[Image], float]:
    """Read some of the slide's tissue; return it, and the share of the patches looked at that hold any."""
    grid = TileGrid(source.size, PATCH)
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


def _psnr_within(
    patches: list[Image], candidate: Candidate, codec: TileCodec, budget_bytes: float, workers: int
) -> float | None:
    """Return the mean PSNR of the patches from bases of at most so many bytes together.

    Returns None if the lowest quality takes more.
    """
    generator = candidate.generator
    bases = [shrink(patch, candidate.downsampler) for patch in patches]
    coder = TileCoder.fitted(codec, np.concatenate([base[::4, ::4] for base in bases]))

    def coded(quality: float) -> list[bytes]:
        return list(ordered_map(partial(coder.encode, quality=quality), bases, workers=workers))

    quality = best_quality(lambda quality: sum(map(len, coded(quality))), budget_bytes, codec)
    if quality is None:
        return None
    values = []
    for patch, data in zip(patches, coded(quality), strict=True):
        side = PATCH // generator.scale
        base = coder.decode(data, height=side, width=side)
        values.append(capped_psnr(patch, reconstruct(generator, base)))
    return float(np.mean(values))
