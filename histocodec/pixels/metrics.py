"""Measures of fidelity between two uint8 images."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..geometry import Image

_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""K1 and K2 of SSIM, times the range of 8 bits, squared."""

_GAUSSIAN = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_WINDOW = (_GAUSSIAN / _GAUSSIAN.sum()).astype(np.float32)
"""Weights of SSIM's window along an axis: 11 of them, sum 1."""

_CODE = np.arange(256) / 255
_LINEAR = np.where(_CODE <= 0.04045, _CODE / 12.92, ((_CODE + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""Linear light of each 8-bit level of sRGB (IEC 61966-2-1)."""

_XYZ_OF_RGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float64)
_TO_XYZ = (_XYZ_OF_RGB / _XYZ_OF_RGB.sum(1, keepdims=True)).astype(np.float32)
"""Linear sRGB to X, Y, Z (IEC 61966-2-1), each over that of white."""


def mean_squared_error(a: Image, b: Image) -> float:
    """Return the mean of the squared differences over all pixels and channels, in squared 8-bit steps."""
    difference = a.astype(np.int32) - b.astype(np.int32)
    return float(np.mean(difference * difference, dtype=np.float64))


def psnr(a: Image, b: Image) -> float:
    """Return the peak signal-to-noise ratio in dB over all pixels and the three RGB channels together.

    10 log10(255^2 / MSE); infinity for equal images.

    Examples:
        >>> grey = np.full((16, 16, 3), 100, np.uint8)
        >>> round(psnr(grey, grey + 5), 2)
        34.15
        >>> psnr(grey, grey)
        inf
    """
    return psnr_of_mse(mean_squared_error(a, b))


def psnr_of_mse(mse: float) -> float:
    """Return the PSNR in dB of a mean squared error in squared 8-bit steps."""
    return math.inf if mse == 0 else 10.0 * math.log10(255.0**2 / mse)


def ssim(a: Image, b: Image) -> float:
    """Return the structural similarity, the mean over the three RGB channels.

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


def _blur(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blur by a separable Gaussian, at the positions where the window lies within the image."""
    return _blur_rows(_blur_rows(x).T).T


def _blur_rows(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blur along the first axis; the window is symmetric, so rows at the same distance share a product."""
    reach, height = _WINDOW.size // 2, x.shape[0]
    out: NDArray[np.float32] = _WINDOW[reach] * x[reach : height - reach]
    for k in range(reach):
        pair = x[k : height - 2 * reach + k] + x[2 * reach - k : height - k]
        pair *= _WINDOW[k]
        out += pair
    return out


def colour_error(a: Image, b: Image) -> float:
    """Return the mean distance of the pixels' colours as a person sees them: CIE 1976 delta E*ab (ISO/CIE 11664-4).

    Pixels are taken as sRGB (IEC 61966-2-1), with the white of D65. About 1 can just be seen side by side; 0 for equal
    images. Of images at full resolution it is mostly detail; averaged down first, it says whether the stain shifted.
    """
    difference = _lab(a) - _lab(b)
    return float(np.mean(np.sqrt((difference * difference).sum(-1)), dtype=np.float64))


def _lab(image: Image) -> NDArray[np.float32]:
    """Turn (..., 3) uint8 sRGB into CIE L*, a*, b* (ISO/CIE 11664-4)."""
    t = _LINEAR[image] @ _TO_XYZ.T
    root = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * np.float32(841 / 108) + np.float32(4 / 29))
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    lab: NDArray[np.float32] = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)
    return lab
