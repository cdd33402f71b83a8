"""Fixtures that several tests of this folder share."""

from __future__ import annotations

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue
from histocodec.geometry import Image, Size
from tests.source.inputs import (
    HEIGHT,
    WIDTH,
)


@pytest.fixture(scope="module")
def pixels() -> Image:
    """Noise, so that a pixel out of place or a swapped channel cannot hide."""
    return np.random.default_rng(20).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def slide() -> Image:
    return tissue(Size(401, 299), seed=1)
