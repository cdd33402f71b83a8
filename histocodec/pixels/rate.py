"""Rate control: the quality that fills a byte budget. Arithmetic on sizes; nothing is coded here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from .tile_codecs import QUALITY_SCALES, TileCodec

SEARCH_RANGES: dict[TileCodec, tuple[float, float]] = {"jp2k": (16.0, 50.0), "av1": (4, 98), "jpeg": (4, 98)}
"""Qualities that rate control chooses from. Below them a base is no longer recognisable as tissue; above them bytes
grow and nothing else does."""

_USUAL: dict[TileCodec, float] = {"jp2k": 29.0, "av1": 36, "jpeg": 40}
"""Qualities at which searches begin: about what a ratio of 16 leaves room for."""

NEARLY_FULL = 0.99
"""A budget filled to this share is not worth another estimate."""

_BYTES_OVER_RANGE = 150.0
"""First guess of how bytes grow from the lowest to the highest quality of a search range."""

_LINES, _MAX_CALLS = 8, 24
"""The most calls that follow the line, and the most calls in all."""


_NEAR = 0.03
"""Share of a search range within which bytes follow the line through what is known: to one or two in a hundred."""

_SAME_LINE = 3 * _NEAR
"""Share of a search range within which two points give the slope of that line."""


class RateCurve:
    """Coded bytes as a function of quality, from the points known so far.

    Near a point the curve is a line, in the logarithm of the bytes, and nothing is measured.
    """

    def __init__(self, measure: Callable[[float], float], codec: TileCodec) -> None:
        """Begin without points. measure(quality): estimates the bytes of the whole; it is called once a quality."""
        self._measure = measure
        bottom, top = SEARCH_RANGES[codec]
        self._range = top - bottom
        self._points: dict[float, float] = {}
        self._correction = 1.0

    def __call__(self, quality: float) -> float:
        """Return the estimated bytes at a quality."""
        if quality in self._points:
            return self._points[quality] * self._correction
        near = sorted(self._points, key=lambda known: abs(known - quality))[:2]
        if not near or abs(near[0] - quality) > _NEAR * self._range:
            self.add(quality, self._measure(quality))
            return self._points[quality] * self._correction
        slope = math.log(_BYTES_OVER_RANGE) / self._range
        if len(near) > 1 and abs(near[0] - near[1]) <= _SAME_LINE * self._range:
            rise = math.log(self._points[near[1]] / self._points[near[0]]) / (near[1] - near[0])
            slope = rise if rise > 0 else slope
        return self._points[near[0]] * math.exp(slope * (quality - near[0])) * self._correction

    def add(self, quality: float, estimated_bytes: float) -> None:
        """Add a point as `measure` would give it."""
        self._points[quality] = max(estimated_bytes, 1.0)

    def correct(self, quality: float, actual_bytes: float) -> None:
        """Scale the whole curve so that it agrees with what the whole really took at one quality."""
        self._correction *= actual_bytes / self(quality)


class Coding(NamedTuple):
    """What the whole took at a quality."""

    quality: float
    total_bytes: int


def between(
    below: Coding | None, above: Coding | None, wish: float | None, budget_bytes: float, codec: TileCodec
) -> float:
    """Return the quality to code the whole at next, between the best that fits and the lowest that does not.

    wish: the quality that a curve tells, if any. It is taken if only one of both is known and it does not contradict
    that. With both, the line through them, in the logarithm of the bytes, is surer. Returns the quality of `below` if
    nothing lies between, or the lowest of all.
    """
    step = QUALITY_SCALES[codec].step
    bottom, top = SEARCH_RANGES[codec]
    low = below.quality if below else bottom - step
    high = above.quality if above else top + step
    known = below or above
    if below and above:
        share = math.log(budget_bytes / below.total_bytes) / math.log(above.total_bytes / below.total_bytes)
        wish = low + share * (high - low)
    elif known and (wish is None or not low < wish < high):
        slope = math.log(_BYTES_OVER_RANGE) / (top - bottom)
        wish = known.quality + math.log(budget_bytes / known.total_bytes) / slope
    first, last = (round((end - bottom) / step) for end in (low + step, high - step))
    if first > last:
        return below.quality if below else bottom
    wished = first if wish is None else math.floor((wish - bottom) / step)
    return round(bottom + min(max(wished, first), last) * step, 6)


def best_quality(curve: Callable[[float], float], budget_bytes: float, codec: TileCodec) -> float | None:
    """Return a quality of the codec's search range whose estimated bytes fit the budget, at few calls of `curve`.

    The result fills at least NEARLY_FULL of the budget, or the next higher quality does not fit; None if no quality
    fits. `curve` should rise with quality. The logarithm of the bytes is nearly linear in it, so the search follows the
    line through the last two points, and halves what is left where that does not help: four or five calls as a rule.

    Examples:
        >>> best_quality(lambda quality: 1000 * 1.1**quality, budget_bytes=100_000, codec="jpeg")
        48.0
    """
    step = QUALITY_SCALES[codec].step
    bottom, top = SEARCH_RANGES[codec]
    fits, exceeds = -1, math.floor((top - bottom) / step + 1e-9) + 1
    slope = math.log(_BYTES_OVER_RANGE) / (exceeds - 1)
    at, last = round((_USUAL[codec] - bottom) / step), None
    for call in range(_MAX_CALLS):
        size = max(curve(round(bottom + at * step, 6)), 1.0)
        gap = math.log(budget_bytes / size) if budget_bytes > 0 else -math.inf
        fits, exceeds = (at, exceeds) if gap >= 0 else (fits, at)
        if exceeds - fits <= 1 or 0 <= gap <= -math.log(NEARLY_FULL):
            break
        if last is not None and (at - last[0]) * (gap - last[1]) < 0:
            slope = (last[1] - gap) / (at - last[0])
        last = at, gap
        aim = at + max(min(gap / slope, exceeds), -exceeds)
        at = min(max(math.floor(aim), fits + 1), exceeds - 1) if call < _LINES else (fits + exceeds) // 2
    return None if fits < 0 else round(bottom + fits * step, 6)
