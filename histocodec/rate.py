"""Rate control: which quality fills a byte budget. Arithmetic on sizes; codes nothing itself."""

from __future__ import annotations

import math
from collections.abc import Callable

from .codecs import QUALITY_SCALES, TileCodec

SEARCH_RANGES: dict[TileCodec, tuple[float, float]] = {"jp2k": (16.0, 50.0), "avif": (4, 98), "jpeg": (4, 98)}
"""Qualities that rate control chooses from. Below them a base is no longer recognisable as tissue; above them bytes
grow and nothing else does."""

_STEP = 0.05
"""Resolution of the search on scales that are not whole numbers."""


class RateCurve:
    """Coded bytes as a function of quality, from the points known so far."""

    def __init__(self, measure: Callable[[float], float]) -> None:
        """measure(quality) estimates the bytes of the whole; it is called once a quality."""
        self._measure = measure
        self._points: dict[float, float] = {}
        self._correction = 1.0

    def __call__(self, quality: float) -> float:
        """Estimated bytes at a quality."""
        if quality not in self._points:
            self._points[quality] = self._measure(quality)
        return self._points[quality] * self._correction

    def correct(self, quality: float, actual_bytes: float) -> None:
        """Scale the whole curve so that it agrees with what the whole really took at one quality."""
        self._correction *= actual_bytes / self(quality)


def best_quality(curve: Callable[[float], float], budget_bytes: float, codec: TileCodec) -> float | None:
    """The highest quality of the codec's search range whose estimated bytes fit the budget; None if none does.

    Bisection, so `curve` should rise with quality; about nine calls.
    """
    step = 1.0 if QUALITY_SCALES[codec].whole else _STEP
    bottom, top = SEARCH_RANGES[codec]
    low, high = -1, math.floor((top - bottom) / step + 1e-9)
    while low < high:
        middle = (low + high + 1) // 2
        if curve(round(bottom + middle * step, 6)) <= budget_bytes:
            low = middle
        else:
            high = middle - 1
    return None if low < 0 else round(bottom + low * step, 6)
