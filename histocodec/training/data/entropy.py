"""The paper's background filter: patches with little information in their grey histogram are dropped."""

from __future__ import annotations

import numpy as np

from ...geometry import Image

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in grey (ITU-R BT.601)."""


def grey(image: Image) -> Image:
    """Convert (height, width, 3) uint8 RGB to (height, width) uint8: BT.601 luma, rounded to whole steps."""
    weights = np.array(LUMA, np.float32)
    return (image.astype(np.float32) @ weights + 0.5).astype(np.uint8)


def entropy_bits(image: Image) -> float:
    """Return the Shannon entropy of the 8-bit grey histogram, in bits, 0 to 8.

    H = - sum over the 256 grey levels of p log2 p (Shannon 1948), with p the share of pixels of that level.
    image: (height, width, 3) uint8 RGB.
    """
    counts = np.bincount(grey(image).ravel(), minlength=256)
    share = counts[counts > 0] / counts.sum()
    return float(max(0.0, -np.sum(share * np.log2(share))))
