"""The measures of one block: a reconstruction against its original."""

from __future__ import annotations

from dataclasses import dataclass

from ..geometry import Image
from .downsample import downsample
from .metrics import colour_error, psnr, ssim

PSNR_CAP_DB = 100.0
"""Stands for the infinite PSNR of equal images, so that means and JSON stay finite."""

SSIM_SIDE = 11
"""Pixels a side that SSIM needs."""


@dataclass(frozen=True, slots=True)
class BlockScore:
    """One block of the reconstruction against the source."""

    psnr_db: float
    """At most PSNR_CAP_DB."""
    ssim: float | None
    """None of less than 11 px a side."""
    colour_error: float
    """`pixels.metrics.colour_error` of both averaged down to the base's resolution: what happened to the stain."""
    consistency_db: float
    """PSNR of the reconstruction, averaged down, against the decoded base: whether what was added agrees with what is
    stored. At most PSNR_CAP_DB."""


def score_block(original: Image, made: Image, base: Image, scale: int) -> BlockScore:
    """original, made: (height, width, 3) uint8 of a block within the slide. base: the same area of the decoded base,
    (ceil(height / scale), ceil(width / scale), 3) uint8."""
    small = downsample(made, scale)
    return BlockScore(
        psnr_db=min(psnr(original, made), PSNR_CAP_DB),
        ssim=ssim(original, made) if min(original.shape[:2]) >= SSIM_SIDE else None,
        colour_error=colour_error(downsample(original, scale), small),
        consistency_db=min(psnr(base, small), PSNR_CAP_DB),
    )
