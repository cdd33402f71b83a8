"""What a floor holds on: squares of 256 px, and at the edges what lies within the slide."""

from __future__ import annotations

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue
from histocodec.geometry import Image, Region, Size
from histocodec.pixels.floors import lowest_psnr, square_side, worst_square
from histocodec.pixels.metrics import psnr
from histocodec.pixels.residual import EnhancementCoder, enhance_to


def grey(height: int, width: int) -> Image:
    return np.full((height, width, 3), 128, np.uint8)


def test_a_quarter_can_be_far_worse_than_its_block() -> None:
    source = grey(512, 512)
    made = source + np.uint8(2)
    made[256:, :256] = 148
    assert psnr(source, made) == pytest.approx(28.0, abs=0.1)
    assert lowest_psnr(source, made) == pytest.approx(20 * np.log10(255 / 20))
    assert worst_square(source, made)[1] == Region(0, 256, 256, 256)
    assert lowest_psnr(source, made, 512) == pytest.approx(psnr(source, made))


@pytest.mark.parametrize(
    ("size", "squares"),
    [
        ((512, 512), [(0, 256), (256, 256)]),
        ((300, 512), [(0, 256), (256, 44)]),
        ((272, 512), [(0, 256), (256, 16)]),
        ((271, 512), [(0, 271)]),  # a sliver counts with its neighbour,
        ((9, 512), [(0, 9)]),  # and by itself where it has none
        ((256, 512), [(0, 256)]),
    ],
)
@pytest.mark.parametrize("across", [True, False])
def test_every_pixel_of_the_slide_lies_in_one_square(
    size: tuple[int, int], squares: list[tuple[int, int]], across: bool
) -> None:
    """A single wrong pixel is found in the square that has it."""
    source = grey(*(size[::-1] if across else size))
    for start, length in squares:
        for at in (start, start + length - 1):
            made = source.copy()
            made[(300, at) if across else (at, 300)] = 0
            found = worst_square(source, made)[1]
            assert ((found.x, found.width) if across else (found.y, found.height)) == (start, length)
            assert ((found.y, found.height) if across else (found.x, found.width)) == (256, 256)


def test_equal_images() -> None:
    assert lowest_psnr(grey(20, 20), grey(20, 20)) == np.inf


def test_a_small_block_is_one_square() -> None:
    assert [square_side(side) for side in (128, 256, 512, 1024)] == [128, 256, 256, 256]
    assert [square_side(side, None) for side in (256, 512)] == [256, 512], "files without the key: whole blocks"


def test_a_tile_lifts_the_worst_quarter_of_its_block() -> None:
    """Three quarters are easy: the floor of the block held long before that of the fourth."""
    source = np.full((512, 512, 3), 240, np.uint8)
    source[:256, :256] = tissue(Size(256, 256), seed=4)
    blurred = source.reshape(128, 4, 128, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1).round().astype(np.uint8)
    tile = enhance_to(source, blurred, 33.0, EnhancementCoder("jp2k"))
    assert 33.0 <= tile.lowest_db < 33.3
    assert tile.psnr_db > tile.lowest_db + 4
