"""Rate control: the quality that fills a byte budget. Arithmetic on sizes; nothing is coded here.

A whole may have any quality. Codecs know certain ones, the rungs of a ladder; between two of them, some of the tiles
have the higher one and the others the lower one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable

from .tile_codecs import TileCodec

_AV1_QUALITIES = {((100 - quality) * 63 + 50) // 100: float(quality) for quality in range(100, -1, -1)}
"""The lowest quality of each of the 64 quantisers that libavif makes of a hundred qualities."""

RUNGS: dict[TileCodec, tuple[float, ...]] = {
    "jp2k": tuple(quarter / 4 for quarter in range(4 * 10, 4 * 60 + 1)),
    "av1": tuple(sorted(_AV1_QUALITIES.values())),
    "jpeg": tuple(float(quality) for quality in range(1, 101)),
}
"""The qualities that a tile of a base may have, from lowest to highest: those that differ by a few percent of bytes."""

SEARCH_RANGES: dict[TileCodec, tuple[float, float]] = {"jp2k": (16.0, 50.0), "av1": (4, 98), "jpeg": (4, 98)}
"""Qualities that rate control chooses from. Below them a base is no longer recognisable as tissue; above them bytes
grow and nothing else does."""

STEP = 0.05
"""The closest that two qualities of a whole are distinguished."""

_USUAL: dict[TileCodec, float] = {"jp2k": 29.0, "av1": 36, "jpeg": 40}
"""Qualities at which searches begin: about what a ratio of 16 leaves room for."""

DB_PER_DOUBLING = 2.5
"""About the gain in dB of twice the bytes of a base, from 0.07 to 0.2 bits per full pixel (benchmarks/results)."""

NEARLY_FULL = 0.998
"""A budget filled to this share is not worth another estimate."""

_BYTES_OVER_RANGE = 150.0
"""First guess of how bytes grow from the lowest to the highest quality of a search range."""

_LINES, _MAX_CALLS = 8, 24
"""The most calls that follow the line, and the most calls in all."""


_NEAR = 0.03
"""Share of a search range within which bytes follow the line through what is known: to one or two in a hundred."""

_SAME_LINE = 3 * _NEAR
"""Share of a search range within which two points give the slope of that line."""


def place_of(column: int, row: int) -> float:
    """Return where a tile stands in the order in which tiles get the higher of two qualities, 0 to 1.

    Whatever share of the tiles is ahead of a place lies evenly spread over the slide (the additive sequence R2:
    Roberts 2018, The unreasonable effectiveness of quasirandom sequences).
    """
    return (0.5 + 0.7548776662466927 * column + 0.5698402909980532 * row) % 1


def rung_of(codec: TileCodec, quality: float, place: float) -> int:
    """Return the rung, as an index of RUNGS, of a tile at a place of the order, where the whole has a quality.

    Examples:
        >>> [RUNGS["jpeg"][rung_of("jpeg", 40.5, place)] for place in (0.0, 0.4, 0.6)]
        [41.0, 41.0, 40.0]
    """
    rungs = RUNGS[codec]
    below = bisect_right(rungs, quality) - 1
    if below == len(rungs) - 1:
        return below
    return below + (place < (quality - rungs[below]) / (rungs[below + 1] - rungs[below]))


def tile_quality(codec: TileCodec, quality: float, column: int, row: int) -> float:
    """Return the quality of one tile where the whole has a quality."""
    return RUNGS[codec][rung_of(codec, quality, place_of(column, row))]


class RateCurve:
    """Coded bytes as a function of quality, from the rungs measured so far.

    Near one the curve is a line, in the logarithm of the bytes, and nothing is measured.
    """

    def __init__(self, measure: Callable[[float], float], codec: TileCodec) -> None:
        """Begin without points. measure(quality): estimates the bytes of the whole; it is called once a rung."""
        self._measure = measure
        bottom, top = SEARCH_RANGES[codec]
        self._range, self._rungs = top - bottom, RUNGS[codec]
        self._points: dict[float, float] = {}
        self._correction = 1.0

    def __call__(self, quality: float) -> float:
        """Return the estimated bytes at a quality."""

        def distance(known: float) -> float:
            return abs(known - quality)

        if distance(min(self._points, key=distance, default=math.inf)) > _NEAR * self._range:
            rung = min(self._rungs, key=distance)
            self._points[rung] = max(self._measure(rung), 1.0)
        near = sorted(self._points, key=distance)[:2]
        slope = math.log(_BYTES_OVER_RANGE) / self._range
        if len(near) > 1 and abs(near[0] - near[1]) <= _SAME_LINE * self._range:
            rise = math.log(self._points[near[1]] / self._points[near[0]]) / (near[1] - near[0])
            slope = rise if rise > 0 else slope
        return self._points[near[0]] * math.exp(slope * (quality - near[0])) * self._correction

    def correct(self, quality: float, actual_bytes: float) -> None:
        """Scale the whole curve so that it agrees with what the whole really took at one quality."""
        self._correction *= actual_bytes / self(quality)


def best_quality(curve: Callable[[float], float], budget_bytes: float, codec: TileCodec) -> float | None:
    """Return a quality of the codec's search range whose estimated bytes fit the budget, at few calls of `curve`.

    The result fills at least NEARLY_FULL of the budget, or that a STEP above it does not fit; None if no quality fits.
    `curve` should rise with quality. The logarithm of the bytes is nearly linear in it, so the search follows the line
    through the last two points, and halves what is left where that does not help: four or five calls as a rule.

    Examples:
        >>> best_quality(lambda quality: 1000 * 1.1**quality, budget_bytes=100_000, codec="jpeg")
        48.3
    """
    bottom, top = SEARCH_RANGES[codec]
    fits, exceeds = -1, math.floor((top - bottom) / STEP + 1e-9) + 1
    slope = math.log(_BYTES_OVER_RANGE) / (exceeds - 1)
    at, last = round((_USUAL[codec] - bottom) / STEP), None
    for call in range(_MAX_CALLS):
        size = max(curve(round(bottom + at * STEP, 6)), 1.0)
        gap = math.log(budget_bytes / size) if budget_bytes > 0 else -math.inf
        fits, exceeds = (at, exceeds) if gap >= 0 else (fits, at)
        if exceeds - fits <= 1 or 0 <= gap <= -math.log(NEARLY_FULL):
            break
        if last is not None and (at - last[0]) * (gap - last[1]) < 0:
            slope = (last[1] - gap) / (at - last[0])
        last = at, gap
        aim = at + max(min(gap / slope, exceeds), -exceeds)
        at = min(max(math.floor(aim), fits + 1), exceeds - 1) if call < _LINES else (fits + exceeds) // 2
    return None if fits < 0 else round(bottom + fits * STEP, 6)
