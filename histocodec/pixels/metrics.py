"""Measures of fidelity between two uint8 images."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..geometry import Image

_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""K1 and K2 of SSIM, times the range of 8 bits, squared."""

_GAUSSIAN = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_WINDOW = (_GAUSSIAN / _GAUSSIAN.sum()).astype(np.float32)
"""Weights of SSIM's window along an axis: 11 of them, sum 1."""

_REACH = _WINDOW.size // 2
_STRIP = 48
"""Rows of SSIM that are computed at a time."""

_CODE = np.arange(256) / 255
_LINEAR = np.where(_CODE <= 0.04045, _CODE / 12.92, ((_CODE + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""Linear light of each 8-bit level of sRGB (IEC 61966-2-1)."""

_XYZ_OF_RGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float64)
_TO_XYZ = (_XYZ_OF_RGB / _XYZ_OF_RGB.sum(1, keepdims=True)).astype(np.float32)
"""Linear sRGB to X, Y, Z (IEC 61966-2-1), each over that of white."""


def mean_squared_error(a: Image, b: Image) -> float:
    """Return the mean of the squared differences over all pixels and channels, in squared 8-bit steps."""
    difference = np.maximum(a, b) - np.minimum(a, b)
    squared = np.multiply(difference, difference, dtype=np.uint16)
    return float(np.mean(squared, dtype=np.float64))


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
    height, channels = a.shape[0] - 2 * _REACH, a.shape[2]
    total = 0.0
    for top in range(0, height, _STRIP):  # what is worked on stays in a core's cache
        rows = slice(top, min(top + _STRIP, height) + 2 * _REACH)
        x, y = (image[rows].astype(np.float32).reshape(rows.stop - top, -1) for image in (a, b))
        total += float(_similarity(x, y, channels).sum(dtype=np.float64))
    positions: int = height * (a.shape[1] - 2 * _REACH) * channels
    return total / positions


def _similarity(x: NDArray[np.float32], y: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Return the structural similarity at every position where the window lies within (rows, columns * channels)."""
    product = x * y
    squares = x * x
    squares += y * y
    mean_x, mean_y, mean_product, mean_squares = (_blur(v, channels) for v in (x, y, product, squares))
    both = mean_x * mean_y
    of_means = mean_x * mean_x
    of_means += mean_y * mean_y
    # Centre before squaring would be exact; float32 of values up to 255^2 keeps seven digits, which is enough.
    mean_product -= both
    mean_squares -= of_means
    similarity = (2 * both + _C1) * (2 * mean_product + _C2)
    similarity /= (of_means + _C1) * (mean_squares + _C2)
    return similarity


def _blur(x: NDArray[np.float32], channels: int = 1) -> NDArray[np.float32]:
    """Blur (rows, columns * channels) by a separable Gaussian, at the positions where the window lies within."""
    down = np.einsum("ijk,k->ij", sliding_window_view(x, _WINDOW.size, axis=0), _WINDOW)
    reach = (_WINDOW.size - 1) * channels + 1
    blurred: NDArray[np.float32] = np.einsum(
        "ijk,k->ij", sliding_window_view(down, reach, axis=1)[..., ::channels], _WINDOW
    )
    return blurred


def colour_error(a: Image, b: Image) -> float:
    """Return the mean distance of the pixels' colours as a person sees them: CIE 1976 delta E*ab (ISO/CIE 11664-4).

    Pixels are taken as sRGB (IEC 61966-2-1), with the white of D65. About 1 can just be seen side by side; 0 for equal
    images. Of images at full resolution it is mostly detail; averaged down first, it says whether the stain shifted.
    """
    squared = sum((p - q) ** 2 for p, q in zip(_lab(a), _lab(b), strict=True))
    return float(np.mean(np.sqrt(squared), dtype=np.float64))


def _lab(image: Image) -> tuple[NDArray[np.float32], ...]:
    """Turn (..., 3) uint8 sRGB into planes of CIE L*, a*, b* (ISO/CIE 11664-4)."""
    red, green, blue = (_LINEAR[image[..., channel]] for channel in range(3))
    # No matrix product: the library's threads would be in the way of those of the blocks.
    x, y, z = (_lightness(of_red * red + of_green * green + of_blue * blue) for of_red, of_green, of_blue in _TO_XYZ)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _lightness(t: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return f(t) of CIE L*a*b*."""
    linear = t * np.float32(841 / 108) + np.float32(4 / 29)
    lightness: NDArray[np.float32] = np.where(t > (6 / 29) ** 3, np.cbrt(t), linear)
    return lightness
