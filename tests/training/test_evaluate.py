"""Measuring a generator: on the base that a decoder would see, beside bicubic from the same base."""

from __future__ import annotations

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue
from histocodec.generators.catalogue import load_downsampler, load_generator
from histocodec.geometry import Size
from histocodec.pixels.degrade import degrade
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.training.evaluate import base_name, centre, evaluation_tile, score


def test_scores_compare_with_bicubic_on_the_same_base() -> None:
    image = tissue(Size(256, 256), seed=3)
    clean, coded = evaluation_tile(image, 4), evaluation_tile(image, 4, "jp2k", 0.1)
    assert coded.bits_per_full_pixel == pytest.approx(0.1, rel=0.1)
    assert coded.bits_per_full_pixel <= 0.1
    bicubic = score(load_generator("bicubic-x4"), [clean, coded])
    assert bicubic.psnr_db == bicubic.bicubic_psnr_db
    assert bicubic.tiles == 2


@pytest.mark.parametrize(("codec", "by"), [(None, "box"), ("jp2k", "box"), ("jpeg", "sharp-x4"), ("av1", "sharp-x4")])
def test_the_base_is_what_degrade_makes(codec: TileCodec | None, by: str) -> None:
    image = tissue(Size(1191, 530), seed=4)  # several tiles, of which the last are cut off
    downsampler = load_downsampler(by, 4)
    tile = evaluation_tile(image, 4, codec, 0.2, downsampler=downsampler)
    assert (tile.quality > 0) == (codec is not None)
    assert np.array_equal(tile.base, degrade(tile.full, 4, codec, tile.quality, downsampler=downsampler))


def test_the_centre_of_an_image() -> None:
    image = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    assert np.array_equal(centre(image, 2), image[1:3, 1:3])
    assert np.array_equal(centre(image, 9), image)


def test_bases_have_names() -> None:
    assert base_name(None, 0.0) == "uncoded"
    assert base_name("jp2k", 0.1) == "jp2k at 0.10 bpp"
