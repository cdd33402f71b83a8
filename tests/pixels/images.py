"""Images that several tests of pixels share."""

from __future__ import annotations

import numpy as np

from histocodec.geometry import Image


def smooth(height: int, width: int, seed: int = 0) -> Image:
    """Random colours, smooth enough for a codec."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3)).astype(np.float64)
    image = coarse.repeat(8, 0).repeat(8, 1)
    for _ in range(3):
        image = (image + np.roll(image, 3, 0) + np.roll(image, 3, 1)) / 3
    return image[:height, :width].astype(np.uint8)
