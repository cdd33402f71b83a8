"""Random changes of training patches: what scanners, stains and laboratories do to an image."""

from __future__ import annotations

import imagecodecs
import numpy as np
from PIL import Image as PILImage
from PIL import ImageFilter

from ...geometry import Image
from ..config import AugmentConfig


def turned(image: Image, rng: np.random.Generator) -> Image:
    """Apply one of the eight symmetries of the square, drawn at random."""
    return symmetry(image, int(rng.integers(4)), rng.random() < 0.5)


def symmetry(image: Image, turns: int, mirrored: bool) -> Image:
    """Turn an image by `turns` quarters, then mirror it left to right if asked for."""
    image = np.rot90(image, turns)
    return np.ascontiguousarray(image[:, ::-1] if mirrored else image)


def augment(image: Image, settings: AugmentConfig, rng: np.random.Generator) -> Image:
    """Apply the changes of `settings`, each with its probability.

    image: (height, width, 3) uint8 RGB. The result is the original that a network learns to give back: its base is made
    afterwards.
    """
    if rng.random() < settings.colour:
        image = _coloured(image, rng)
    if rng.random() < settings.resample:
        factor = rng.uniform(*settings.resample_range)
        size = round(image.shape[1] * factor), round(image.shape[0] * factor)
        image = np.asarray(PILImage.fromarray(image).resize(size, PILImage.Resampling.LANCZOS))
    if rng.random() < settings.blur:
        image = _filtered(image, ImageFilter.GaussianBlur(rng.uniform(*settings.blur_sigma)))
    elif rng.random() < settings.sharpen:
        percent = round(rng.uniform(*settings.sharpen_percent))
        image = _filtered(image, ImageFilter.UnsharpMask(rng.uniform(0.6, 1.2), percent, 0))
    if rng.random() < settings.noise:
        image = _noisy(image, rng.uniform(*settings.noise_levels), rng)
    if rng.random() < settings.jpeg:
        quality = int(rng.integers(settings.jpeg_quality[0], settings.jpeg_quality[1] + 1))
        image = imagecodecs.jpeg_decode(imagecodecs.jpeg_encode(image, level=quality))
    return np.ascontiguousarray(image)


def glass(size: int, rng: np.random.Generator) -> Image:
    """Make (size, size, 3) uint8 of bare glass: a light, slightly tinted plane with a sensor's noise."""
    colour = rng.uniform(225, 252) + rng.normal(0, 2.5, 3)
    slope = rng.normal(0, 1.5, (2, 3)) / size
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    plane = colour + y[..., None] * slope[0] + x[..., None] * slope[1]
    noise = rng.normal(0, rng.uniform(0.3, 2.5), (size, size, 3))
    noisy: Image = np.clip(plane + noise + 0.5, 0, 255).astype(np.uint8)
    return noisy


def _coloured(image: Image, rng: np.random.Generator) -> Image:
    levels = np.linspace(0.0, 1.0, 256)
    gain = rng.uniform(0.92, 1.08) * rng.uniform(0.96, 1.04, 3)
    gamma = rng.uniform(0.85, 1.18) * rng.uniform(0.95, 1.05, 3)
    table = np.clip(255.0 * gain * levels[:, None] ** gamma + 0.5, 0, 255).astype(np.uint8)
    coloured: Image = table[image, np.arange(3)]
    return coloured


def _filtered(image: Image, change: ImageFilter.Filter) -> Image:
    return np.asarray(PILImage.fromarray(image).filter(change))


def _noisy(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Add noise, half of whose variance is grey, as demosaicing leaves it. sigma: in 8-bit steps."""
    noise = rng.standard_normal(image.shape, np.float32)
    noise += rng.standard_normal((*image.shape[:2], 1), np.float32)
    noise *= sigma / 2**0.5
    noise += image
    noise += 0.5
    return np.clip(noise, 0, 255, out=noise).astype(np.uint8)
