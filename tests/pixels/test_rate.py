"""Rate control on curves that need no codec."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histocodec.pixels.rate import NEARLY_FULL, SEARCH_RANGES, Coding, RateCurve, best_quality, between
from histocodec.pixels.tile_codecs import TILE_CODECS, TileCodec


@given(st.sampled_from(TILE_CODECS), st.floats(1, 1e9), st.floats(4, 30), st.floats(0, 0.9))
def test_the_best_quality_fits_and_fills_the_budget_or_the_next_one_does_not_fit(
    codec: TileCodec, budget: float, growth: float, bend: float
) -> None:
    low, high = SEARCH_RANGES[codec]
    step = 0.05 if codec == "jp2k" else 1
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
        assert quality + step > high or curve(quality + step) > budget or curve(quality) >= NEARLY_FULL * budget


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


def test_a_point_that_was_added_is_not_measured() -> None:
    curve = RateCurve(lambda quality: pytest.fail("measured"), "av1")
    curve.add(35, 900)
    curve.add(36, 990)
    assert (curve(35), curve(36)) == (900, 990)
    assert curve(37) == pytest.approx(990 * 1.1)


def test_between_two_codings_the_line_through_both_is_followed() -> None:
    below, above = Coding(30.0, 10_000), Coding(34.0, 40_000)
    assert between(below, above, 50.0, 20_000, "jp2k") == 32.0
    assert between(below, above, 16.0, 39_999, "jp2k") < 34.0
    assert between(below, above, 16.0, 10_001, "jp2k") > 30.0


def test_what_contradicts_a_coding_is_not_believed() -> None:
    assert 30.0 < between(Coding(30.0, 10_000), None, 25.0, 12_000, "jp2k") < 34.0
    assert between(Coding(30.0, 10_000), None, 31.0, 12_000, "jp2k") == 31.0
    assert 26.0 < between(None, Coding(30.0, 12_000), 35.0, 10_000, "jp2k") < 30.0


def test_nothing_lies_between_neighbours() -> None:
    assert between(Coding(40, 9_000), Coding(41, 11_000), 50, 10_000, "jpeg") == 40
    assert between(None, Coding(4, 11_000), 50, 10_000, "jpeg") == 4
