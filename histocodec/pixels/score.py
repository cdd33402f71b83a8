"""The measures of one block: a reconstruction against its original."""

from __future__ import annotations

from dataclasses import dataclass

from ..geometry import Image
from .downsample import downsample
from .metrics import colour_error, psnr, ssim

PSNR_CAP_DB = 100.0
"""Stands for the infinite PSNR of equal images, so that means and JSON stay finite."""

SSIM_SIDE = 11
"""Pixels a side that SSIM needs at least."""


@dataclass(frozen=True, slots=True)
class BlockScore:
    """The measures of one block of a reconstruction against the source."""

    psnr_db: float
    """PSNR in dB, at most PSNR_CAP_DB."""
    ssim: float | None
    """Structural similarity, -1 to 1; None if a side has less than SSIM_SIDE px."""
    colour_error: float
    """Mean CIE delta E*ab (`metrics.colour_error`) of both, averaged down to the base's resolution: how far the stain
    shifted."""
    consistency_db: float
    """PSNR in dB of the reconstruction, averaged down, against the decoded base: how well what was added agrees with
    what is stored. At most PSNR_CAP_DB."""


def capped_psnr(original: Image, made: Image) -> float:
    """Return the PSNR in dB, at most PSNR_CAP_DB."""
    return min(psnr(original, made), PSNR_CAP_DB)


def score_block(original: Image, made: Image, base: Image, scale: int) -> BlockScore:
    """Score a reconstruction of one block, as far as it lies within the slide.

    original, made: (height, width, 3) uint8 RGB. base: the same area of the decoded base, (ceil(height / scale),
    ceil(width / scale), 3) uint8 RGB.
    """
    small = downsample(made, scale)
    return BlockScore(
        psnr_db=capped_psnr(original, made),
        ssim=ssim(original, made) if min(original.shape[:2]) >= SSIM_SIDE else None,
        colour_error=colour_error(downsample(original, scale), small),
        consistency_db=capped_psnr(base, small),
    )
