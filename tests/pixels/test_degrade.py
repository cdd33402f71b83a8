"""degrade(): what a decoder sees of an image."""

from __future__ import annotations

import numpy as np

from histocodec.pixels.degrade import degrade
from histocodec.pixels.downsample import downsample
from histocodec.pixels.tile_coder import TileCoder, code_image, decode_image
from tests.pixels.images import smooth


def test_degrade_is_downsample_then_codec() -> None:
    image = smooth(256, 320)
    assert np.array_equal(degrade(image, 4, None), downsample(image, 4))
    base = downsample(image, 4)
    coder = TileCoder("jp2k")
    coded = decode_image(code_image(base, coder, 30.0), coder, height=64, width=80)
    assert np.array_equal(degrade(image, 4, "jp2k", 30.0), coded)
