"""Rate control on curves that need no codec, sampling, and the tissue rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histocodec.codecs import TILE_CODECS, TileCodec
from histocodec.rate import SEARCH_RANGES, RateCurve, best_quality
from histocodec.sampling import spread_sample
from histocodec.tissue import FLAT_RANGE, tissue_blocks


@given(st.sampled_from(TILE_CODECS), st.floats(1, 1e9))
def test_the_best_quality_fits_and_the_next_one_does_not(codec: TileCodec, budget: float) -> None:
    calls = []

    def curve(quality: float) -> float:
        calls.append(quality)
        return 1000 * math.exp(quality / 8)

    low, high = SEARCH_RANGES[codec]
    quality = best_quality(curve, budget, codec)
    assert len(calls) <= 12
    step = 0.05 if codec == "jp2k" else 1
    if quality is None:
        assert curve(low) > budget
    else:
        assert curve(quality) <= budget
        assert quality + step > high or curve(quality + step) > budget


def test_what_the_whole_took_corrects_the_curve() -> None:
    curve = RateCurve(lambda quality: 100 * quality)
    curve.correct(30, 4500)
    assert curve(30) == 4500
    assert curve(20) == pytest.approx(3000)


def test_a_sample_is_spread_seeded_and_without_repeats() -> None:
    sample = spread_sample(range(1000), 10, seed=3)
    assert sample == spread_sample(range(1000), 10, seed=3)
    assert [value // 100 for value in sample] == list(range(10))
    assert spread_sample([1, 2, 3], 10, seed=0) == [1, 2, 3]


def test_a_block_is_glass_if_no_channel_varies_more_than_the_rule_says() -> None:
    tile = np.full((256, 256, 3), 240, np.uint8)
    tile[10, 10, 1] = 240 - FLAT_RANGE
    tile[200, 5, 2] = 240 - FLAT_RANGE - 1
    assert tissue_blocks(tile, 128).tolist() == [[0, 0], [1, 0]]
