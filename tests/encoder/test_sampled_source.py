"""Parts of a slide as sources."""

from __future__ import annotations

import numpy as np
import pytest

from histocodec.encoder.sampled_source import cut_of, mosaic_of
from histocodec.errors import RegionError
from histocodec.geometry import Image, Region, Size
from tests.encoder.inputs import ArraySource


def test_a_cut(slide_image: Image) -> None:
    with cut_of(ArraySource(slide_image), Region(100, 200, 300, 150)) as part:
        assert part.size == Size(300, 150)
        assert part.damaged == ()
        np.testing.assert_array_equal(part.read(Region(5, 6, 20, 30)), slide_image[206:236, 105:125])
        with pytest.raises(RegionError):
            part.read(Region(290, 0, 20, 20))


def test_a_mosaic(slide_image: Image) -> None:
    cells = [Region(x, y, 128, 128) for x, y in ((0, 0), (512, 128), (256, 640), (900, 700), (1, 1))]
    mosaic = mosaic_of(ArraySource(slide_image), cells)
    lines = [np.hstack([slide_image[c.y : c.bottom, c.x : c.right] for c in cells[k : k + 2]]) for k in (0, 2)]
    assert mosaic.size == Size(256, 256)
    whole = mosaic.read(Region(0, 0, 256, 256))
    np.testing.assert_array_equal(whole, np.vstack(lines))
    np.testing.assert_array_equal(mosaic.read(Region(100, 90, 60, 70)), whole[90:160, 100:160])
