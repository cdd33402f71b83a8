"""A codec with its colours: what becomes of tissue beside glass."""

from __future__ import annotations

import numpy as np

from histocodec.demo.synthetic import tissue
from histocodec.geometry import Size
from histocodec.pixels.downsample import downsample
from histocodec.pixels.metrics import psnr
from histocodec.pixels.tile_coder import TileCoder


def test_the_tissue_of_a_tile_that_is_mostly_glass_is_kept() -> None:
    """OpenJPEG's PSNR is that of the whole tile, which one flat colour reaches where most of it is glass."""
    whole = downsample(tissue(Size(1024, 1024), seed=7), 4)
    tile = np.full((256, 256, 3), 243, np.uint8)
    tile[:, :64] = whole[:, 96:160]
    for quality in (24.0, 28.0):
        coder = TileCoder("jp2k")
        among_glass = coder.decode(coder.encode(tile, quality), height=256, width=256)[:, :64]
        among_tissue = coder.decode(coder.encode(whole, quality), height=256, width=256)[:, 96:160]
        assert psnr(tile[:, :64], among_glass) > psnr(whole[:, 96:160], among_tissue) - 1
