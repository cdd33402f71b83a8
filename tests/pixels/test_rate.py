"""Rate control on curves that need no codec."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histocodec.pixels.rate import (
    NEARLY_FULL,
    RUNGS,
    SEARCH_RANGES,
    STEP,
    RateCurve,
    best_quality,
    place_of,
    rung_of,
    tile_quality,
)
from histocodec.pixels.tile_codecs import TILE_CODECS, TileCodec, encode_tile


@given(st.sampled_from(TILE_CODECS), st.floats(1, 1e9), st.floats(4, 30), st.floats(0, 0.9))
def test_the_best_quality_fits_and_fills_the_budget_or_the_next_one_does_not_fit(
    codec: TileCodec, budget: float, growth: float, bend: float
) -> None:
    low, high = SEARCH_RANGES[codec]
    calls: list[float] = []

    def curve(quality: float) -> float:
        calls.append(quality)
        share = (quality - low) / (high - low)
        return 1000 * math.exp(growth * (share + bend * share * (share - 1)))

    quality = best_quality(curve, budget, codec)
    assert len(calls) <= 24
    if quality is None:
        assert curve(low) > budget
    else:
        assert low <= quality <= high
        assert curve(quality) <= budget
        assert quality + STEP > high or curve(quality + STEP) > budget or curve(quality) >= NEARLY_FULL * budget


def test_few_calls_suffice_on_a_curve_like_a_codecs() -> None:
    for budget in (2e3, 2e4, 3e5):
        calls: list[float] = []

        def curve(quality: float, calls: list[float] = calls) -> float:
            calls.append(quality)
            return 100 * math.exp((quality - 16) / 5 + (quality - 16) ** 2 / 500)

        assert best_quality(curve, budget, "jp2k") is not None
        assert len(calls) <= 6


def test_a_curve_with_steps_ends_within_the_calls_allowed() -> None:
    def curve(quality: float) -> float:
        return 10.0 if quality < 31.2 else 1e9

    assert best_quality(curve, 1000, "jp2k") == pytest.approx(31.15)
    assert best_quality(lambda quality: 5.0, 1000, "jp2k") == 50.0
    assert best_quality(lambda quality: 5e6, 1000, "jp2k") is None
    assert best_quality(lambda quality: 5e6, -3, "av1") is None


def test_what_the_whole_took_corrects_the_curve() -> None:
    curve = RateCurve(lambda quality: 100 * quality, "av1")
    curve.correct(30, 4500)
    assert curve(30) == 4500
    assert curve(20) == pytest.approx(3000)


def test_near_what_is_known_nothing_is_measured() -> None:
    calls: list[float] = []

    def measure(quality: float) -> float:
        calls.append(quality)
        return 1000 * math.exp(quality / 7 + (quality - 16) ** 2 / 900)

    curve = RateCurve(measure, "jp2k")
    known = [curve(quality) for quality in (29.0, 31.0)]
    for quality in (28.4, 29.5, 30.0, 30.55, 31.9):
        assert curve(quality) == pytest.approx(measure(quality), rel=0.02)
        calls.pop()
    assert calls == [29.0, 31.0]
    assert [curve(29.0), curve(31.0)] == known
    curve(35.0)
    assert calls == [29.0, 31.0, 35.0]


def test_between_rungs_that_were_measured_lies_a_line() -> None:
    curve = RateCurve(lambda quality: 1000 * 1.05**quality, "av1")
    known = [curve(quality) for quality in (36.0, 40.0)]
    assert curve(38.0) == pytest.approx(math.sqrt(known[0] * known[1]))
    assert curve(36.1) == pytest.approx(1000 * 1.05**36.1)


def test_a_mean_quality_is_a_mix_of_two_that_are_spread_evenly() -> None:
    for codec in TILE_CODECS:
        low, high = SEARCH_RANGES[codec]
        assert {low, high} <= set(RUNGS[codec])
        for quality in (low, low + 0.3, 37.0, 38.6, high):
            qualities = np.array([[tile_quality(codec, quality, x, y) for x in range(40)] for y in range(40)])
            assert len(np.unique(qualities)) <= 2
            assert qualities.mean() == pytest.approx(quality, abs=0.02)
            for part in (qualities[:10, :10], qualities[25:35, 5:15]):
                assert part.mean() == pytest.approx(quality, abs=0.2)


@given(st.sampled_from(TILE_CODECS), st.floats(16, 50), st.floats(0, 3), st.integers(0, 99), st.integers(0, 99))
def test_no_tile_is_worse_where_the_whole_is_better(
    codec: TileCodec, quality: float, more: float, column: int, row: int
) -> None:
    place = place_of(column, row)
    assert 0 <= place < 1
    assert rung_of(codec, quality, place) <= rung_of(codec, quality + more, place)


def test_every_rung_of_av1_is_another_quantiser() -> None:
    image = np.random.default_rng(0).integers(0, 1024, (64, 64, 3)).astype(np.uint16)
    coded = [encode_tile(image, "av1", quality, speed=9) for quality in RUNGS["av1"][20:30]]
    assert len(set(coded)) == 10
    assert [encode_tile(image, "av1", quality - 1, speed=9) for quality in RUNGS["av1"][21:30]] == coded[:-1]
