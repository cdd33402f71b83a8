"""Measuring a generator: on the base that a decoder would see, beside bicubic from the same base."""

from __future__ import annotations

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue
from histocodec.generators.catalogue import load_downsampler, load_generator
from histocodec.geometry import Size
from histocodec.pixels.colour import UNCHANGED
from histocodec.pixels.degrade import degrade
from histocodec.pixels.downsample import downsample
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.pixels.tile_coder import TILES
from histocodec.training.data.pairs import code_patch
from histocodec.training.evaluate import base_name, centre, evaluation_tile, score


def test_scores_compare_with_bicubic_on_the_same_base() -> None:
    image = tissue(Size(256, 256), seed=3)
    clean, coded = evaluation_tile(image, 4), evaluation_tile(image, 4, "jp2k", 0.1)
    assert coded.bits_per_full_pixel == pytest.approx(0.1, rel=0.1)
    assert coded.bits_per_full_pixel <= 0.1
    bicubic = score(load_generator("bicubic-x4"), [clean, coded])
    assert bicubic.psnr_db == bicubic.bicubic_psnr_db
    assert bicubic.tiles == 2


@pytest.mark.parametrize(("codec", "by"), [(None, "box"), ("jp2k", "box"), ("jpeg", "sharp-x4"), ("avif", "sharp-x4")])
def test_the_base_is_what_degrade_makes(codec: TileCodec | None, by: str) -> None:
    image = tissue(Size(1191, 530), seed=4)  # several tiles, of which the last are cut off
    downsampler = load_downsampler(by, 4)
    tile = evaluation_tile(image, 4, codec, 0.2, downsampler=downsampler)
    assert (tile.quality > 0) == (codec is not None)
    assert np.array_equal(tile.base, degrade(tile.full, 4, codec, tile.quality, downsampler=downsampler))


def test_a_patch_is_coded_as_degrade_codes_it_while_it_is_no_larger_than_a_tile() -> None:
    image = tissue(Size(1100, 1100), seed=5)
    qualities: dict[TileCodec, float] = {"jp2k": 28.0, "jpeg": 60.0, "avif": 45.0}
    for codec, quality in qualities.items():
        for side in (1024, 1100):
            full = image[:side, :side]
            patch, colour = code_patch(downsample(full, 4), codec, quality)
            assert np.array_equal(patch, degrade(full, 4, codec, quality)) == (side // 4 <= TILES[codec])
            assert (colour != UNCHANGED) == (codec == "avif")
    assert np.array_equal(code_patch(image, None, 0.0)[0], image)


def test_the_centre_of_an_image() -> None:
    image = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    assert np.array_equal(centre(image, 2), image[1:3, 1:3])
    assert np.array_equal(centre(image, 9), image)


def test_bases_have_names() -> None:
    assert base_name(None, 0.0) == "uncoded"
    assert base_name("jp2k", 0.1) == "jp2k at 0.10 bpp"
