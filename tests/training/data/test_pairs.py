"""Pairs of base and original: seeded, coded, and made as a decoder sees them."""

from __future__ import annotations

import numpy as np
import pytest

from histocodec.demo.synthetic import tissue
from histocodec.geometry import Size
from histocodec.pixels.colour import UNCHANGED
from histocodec.pixels.degrade import degrade
from histocodec.pixels.downsample import downsample
from histocodec.pixels.tile_codecs import TileCodec
from histocodec.pixels.tile_coder import TILES
from histocodec.training.config import AugmentConfig, BaseConfig
from histocodec.training.data.entropy import entropy_bits
from histocodec.training.data.pairs import CropShape, code_patch, training_pairs
from histocodec.training.data.patches import Patch, Patches

UNCODED = [BaseConfig(codec="uncoded", share=1.0)]


@pytest.fixture(scope="module")
def patches() -> Patches:
    image = tissue(Size(400, 400), seed=1)
    return Patches((Patch(image, entropy_bits(image)),), np.array([1.0]), (), ())


def test_an_uncoded_pair_is_the_original_and_its_box_average(patches: Patches) -> None:
    rng = np.random.default_rng(2)
    pairs = training_pairs(
        patches, rng, shape=CropShape(4, 16, 3), bases=UNCODED, settings=AugmentConfig(resample=0.5, noise=0.5)
    )
    for _ in range(12):
        base, full, *_ = next(pairs)
        assert base.shape == (22, 22, 3)
        assert full.shape == (64, 64, 3)
        assert np.array_equal(downsample(full, 4), base[3:-3, 3:-3])


def test_pairs_are_seeded_and_coded_bases_differ_from_clean_ones(patches: Patches) -> None:
    def draw(seed: int, bases: list[BaseConfig]) -> list[bytes]:
        rng = np.random.default_rng(seed)
        pairs = training_pairs(patches, rng, shape=CropShape(4, 16, 2), bases=bases, settings=AugmentConfig(glass=0.3))
        return [base.tobytes() + full.tobytes() for base, full, *_ in (next(pairs) for _ in range(8))]

    coded = [BaseConfig(codec="jp2k", share=1.0, quality=(24.0, 30.0))]
    assert draw(1, coded) == draw(1, coded)
    assert draw(1, coded) != draw(2, coded)
    assert draw(1, coded) != draw(1, UNCODED)


def test_a_patch_is_coded_as_degrade_codes_it_while_it_is_no_larger_than_a_tile() -> None:
    image = tissue(Size(1100, 1100), seed=5)
    qualities: dict[TileCodec, float] = {"jp2k": 28.0, "jpeg": 60.0, "av1": 45.0}
    for codec, quality in qualities.items():
        for side in (1024, 1100):
            full = image[:side, :side]
            patch, colour = code_patch(downsample(full, 4), codec, quality)
            assert np.array_equal(patch, degrade(full, 4, codec, quality)) == (side // 4 <= TILES[codec])
            assert (colour != UNCHANGED) == (codec == "av1")
    assert np.array_equal(code_patch(image, None, 0.0)[0], image)
