"""Measures of fidelity between two uint8 images."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .codecs import Image


def mean_squared_error(a: Image, b: Image) -> float:
    """Mean of the squared differences over all pixels and channels, in squared 8-bit steps."""
    difference = a.astype(np.int32) - b.astype(np.int32)
    return float(np.mean(difference * difference, dtype=np.float64))


def psnr(a: Image, b: Image) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and the three RGB channels together.

    10 log10(255^2 / MSE); infinity for equal images.
    """
    return psnr_of_mse(mean_squared_error(a, b))


def psnr_of_mse(mse: float) -> float:
    """The PSNR in dB of a mean squared error in squared 8-bit steps."""
    return math.inf if mse == 0 else 10.0 * math.log10(255.0**2 / mse)


def ssim(a: Image, b: Image) -> float:
    """Structural similarity, mean over the three RGB channels.

    Wang et al. 2004: Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, L = 255, local moments without
    Bessel's correction, averaged over the positions where the window lies within the image.
    Images must be at least 11 px high and wide (ValueError).
    """
    if min(a.shape[:2]) < _WINDOW.size:
        raise ValueError(f"SSIM needs at least {_WINDOW.size} px on each side, found {a.shape[1]} x {a.shape[0]}")
    total = 0.0
    for channel in range(a.shape[2]):
        x = a[..., channel].astype(np.float32)
        y = b[..., channel].astype(np.float32)
        mean_x, mean_y = _blur(x), _blur(y)
        # Centre before squaring would be exact; float32 of values up to 255^2 keeps seven digits, which is enough.
        var_x = _blur(x * x) - mean_x * mean_x
        var_y = _blur(y * y) - mean_y * mean_y
        cov = _blur(x * y) - mean_x * mean_y
        top = (2 * mean_x * mean_y + _C1) * (2 * cov + _C2)
        bottom = (mean_x * mean_x + mean_y * mean_y + _C1) * (var_x + var_y + _C2)
        total += float(np.mean(top / bottom, dtype=np.float64))
    return total / int(a.shape[2])


_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2
_WINDOW = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_WINDOW = (_WINDOW / _WINDOW.sum()).astype(np.float32)


def _blur(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Separable Gaussian, positions where the window lies within the image."""
    return _blur_rows(_blur_rows(x).T).T


def _blur_rows(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Along the first axis; the window is symmetric, so rows at the same distance share a product."""
    reach, height = _WINDOW.size // 2, x.shape[0]
    out: NDArray[np.float32] = _WINDOW[reach] * x[reach : height - reach]
    for k in range(reach):
        pair = x[k : height - 2 * reach + k] + x[2 * reach - k : height - k]
        pair *= _WINDOW[k]
        out += pair
    return out
