"""Measured quality: how close a reconstruction is to the source, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .codecs import Image
from .generator import BicubicGenerator, Generator, ReadBase, predict
from .geometry import Region, TileGrid
from .manifest import QualityFacts, Summary
from .metrics import psnr, ssim
from .parallel import ordered_map

PSNR_CAP_DB = 100.0
"""Stands for the infinite PSNR of equal images, so that means and JSON stay finite."""


def measure_blocks(
    read_full: Callable[[Region], Image],
    read_base: ReadBase,
    generator: Generator,
    blocks: TileGrid,
    addresses: Sequence[tuple[int, int]],
    *,
    method: str,
    workers: int,
    progress: Callable[[int, int], None],
) -> QualityFacts:
    """Reconstruct some blocks as a decoder does, and compare them with the source.

    read_full: regions of the source. read_base: regions of the *decoded* base. addresses: (column, row) of blocks that
    lie within the slide entirely, at least one. method: how they were chosen. PSNR and SSIM as `histocodec.metrics`
    defines them, PSNR at most PSNR_CAP_DB.
    """
    bicubic = BicubicGenerator(generator.scale)

    def measure(address: tuple[int, int]) -> tuple[float, float, float]:
        predicted = predict(generator, read_base, blocks, *address)
        plain = predict(bicubic, read_base, blocks, *address)
        original = read_full(blocks.region(*address).scaled(generator.scale))
        return _capped(psnr(original, predicted)), ssim(original, predicted), _capped(psnr(original, plain))

    scores = []
    for score in ordered_map(measure, addresses, workers=workers):
        scores.append(score)
        progress(len(scores), len(addresses))
    psnr_db, ssims, bicubic_db = zip(*scores, strict=True)
    return QualityFacts(
        method=method,
        blocks=len(scores),
        block_size=blocks.tile * generator.scale,
        psnr_db=summarise(psnr_db),
        ssim=summarise(ssims),
        bicubic_psnr_db=round(float(np.mean(bicubic_db)), 4),
    )


def _capped(psnr_db: float) -> float:
    return min(psnr_db, PSNR_CAP_DB)


def summarise(values: Sequence[float]) -> Summary:
    """Mean, 5th percentile (linear between ranks) and lowest of a measure where higher is better."""
    array = np.array(values, np.float64)
    return Summary(
        mean=round(float(array.mean()), 4),
        percentile_5=round(float(np.percentile(array, 5)), 4),
        worst=round(float(array.min()), 4),
    )
