"""What is measured of a decoded image. `benchmarks/README.md` defines the columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab
from torch import Tensor

from benchmarks.nuclei import Mask, NucleiJudge, score_nuclei
from benchmarks.stlpips import PerceptualDistance
from histocodec.geometry import Image
from histocodec.pixels.metrics import _C1, _C2, _blur, psnr, ssim

FAST = ("psnr_db", "ssim")
SLOW = ("ms_ssim", "stlpips", "ciede2000", "nuclei_f1")
LOWER_IS_BETTER = ("stlpips", "ciede2000")
TITLES = {
    "psnr_db": "PSNR dB",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "stlpips": "ST-LPIPS",
    "ciede2000": "CIEDE2000",
    "nuclei_f1": "nuclei F1",
}
DIGITS = {"psnr_db": 2, "ssim": 4, "ms_ssim": 4, "stlpips": 4, "ciede2000": 2, "nuclei_f1": 3}
MOST_DB = 100.0
"""PSNR that equal images count as, instead of infinity."""

_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ms_ssim(a: Image, b: Image) -> float:
    """Return the multi-scale structural similarity, mean over the three RGB channels; 1 for equal images.

    Wang, Simoncelli and Bovik 2003: five scales, each the 2 x 2 mean of the one before; the product over the first four
    of the mean contrast-structure term, and of the mean SSIM of the fifth, to the powers .0448, .2856, .3001, .2363 and
    .1333. Window and constants of `histocodec.pixels.metrics.ssim`, valid positions; a negative mean counts as 0.
    Two (height, width, 3) uint8 images of one size, at least 176 px a side (ValueError).
    """
    if min(a.shape[:2]) < 11 * 2 ** (len(_SCALE_WEIGHTS) - 1):
        raise ValueError(f"MS-SSIM needs at least 176 px on each side, found {a.shape[1]} x {a.shape[0]}")
    total: float = 0.0
    for channel in range(a.shape[2]):
        x, y = (image[..., channel].astype(np.float32) for image in (a, b))
        product = 1.0
        for scale, weight in enumerate(_SCALE_WEIGHTS):
            whole, structure = _ssim_terms(x, y)
            product *= max(whole if scale == len(_SCALE_WEIGHTS) - 1 else structure, 0.0) ** weight
            x, y = _halved(x), _halved(y)
        total += product
    return total / int(a.shape[2])


def _ssim_terms(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[float, float]:
    """Return the mean SSIM and the mean contrast-structure term of two planes."""
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x * mean_x
    var_y = _blur(y * y) - mean_y * mean_y
    cov = _blur(x * y) - mean_x * mean_y
    structure = (2 * cov + _C2) / (var_x + var_y + _C2)
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
    return float(np.mean(luminance * structure, dtype=np.float64)), float(np.mean(structure, dtype=np.float64))


def _halved(x: NDArray[np.float32]) -> NDArray[np.float32]:
    x = x[: x.shape[0] // 2 * 2, : x.shape[1] // 2 * 2]
    total: NDArray[np.float32] = x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]
    return total * np.float32(0.25)


class _RememberedDistance(PerceptualDistance):
    """ST-LPIPS that keeps the features of the last original: every method is compared with the same one."""

    _of: Image | None = None
    _kept: list[Tensor]

    def against(self, original: Image, made: Image) -> float:
        if self._of is not original:
            self._kept, self._of = super()._features(original), original
        return self(original, made)

    def _features(self, image: Image) -> list[Tensor]:
        return self._kept if image is self._of else super()._features(image)


class Measurer:
    """All measures; the networks are loaded once."""

    def __init__(self, stlpips_weights: Path | None) -> None:
        """Load the networks. stlpips_weights: `stlpips_alex.safetensors`; None leaves ST-LPIPS out."""
        self._perceptual = _RememberedDistance(stlpips_weights) if stlpips_weights else None
        self._judge = NucleiJudge()

    def fast(self, original: Image, made: Image) -> dict[str, float]:
        """Return the measures of `FAST`, of two whole images."""
        return {"psnr_db": round(min(MOST_DB, psnr(original, made)), 4), "ssim": round(ssim(original, made), 5)}

    def slow(self, original: Image, made: Image, truth: Mask | None) -> dict[str, float | None]:
        """Return the measures of `SLOW`, of two middles; nuclei F1 where there is a mask of them.

        original: pass the very same array for all methods, whose features are then worked out once.
        """
        nuclei = None if truth is None else score_nuclei(self._judge.segment(made), truth)
        distance = None if self._perceptual is None else self._perceptual.against(original, made)
        return {
            "ms_ssim": round(ms_ssim(original, made), 5),
            "stlpips": None if distance is None else round(distance, 5),
            "ciede2000": round(float(deltaE_ciede2000(rgb2lab(original), rgb2lab(made)).mean()), 4),
            "nuclei_f1": None if nuclei is None else round(nuclei.object_f1, 4),
        }
