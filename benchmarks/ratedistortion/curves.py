"""From rows to curves: values at a ratio, intervals, Bjontegaard deltas. Arithmetic only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

Points = Sequence[tuple[float, float]]
"""Pairs of ratio or bits per pixel, and value, in any order."""


def value_at(points: Points, ratio: float) -> float | None:
    """Return the value at a ratio, on the straight line over log(bytes) between its neighbours; None beyond the ends.

    As log(ratio) is a constant less log(bytes), the line over one is the line over the other.
    """
    known = sorted(points)
    for (left, a), (right, b) in itertools.pairwise(known):
        if left <= ratio <= right:
            if right == left:
                return (a + b) / 2
            share = (math.log(ratio) - math.log(left)) / (math.log(right) - math.log(left))
            return a + share * (b - a)
    return next((value for at, value in known if at == ratio), None)


def mean_of_means(values: Mapping[str, Sequence[float]]) -> float:
    """Return the mean of the sources' means: each counts the same, however many images it has."""
    return float(np.mean([np.mean(own) for own in values.values()]))


def bootstrap(
    values: Mapping[str, Sequence[float]], *, draws: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentile interval of `mean_of_means` over draws of each source's images with replacement."""
    rng = np.random.default_rng(seed)
    means = np.zeros(draws)
    for own in values.values():
        drawn = np.asarray(own)[rng.integers(len(own), size=(draws, len(own)))]
        means += drawn.mean(1) / len(values)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bjontegaard_rate(reference: Points, method: Points) -> float | None:
    """Return the mean difference of bytes at equal value, as a share of the reference's: -0.1 for a tenth fewer.

    Points: (bits per pixel, value). Bjontegaard 2001, with straight lines of log rate over value in place of the cubic,
    averaged over the values that both reach. None if there are none. A point below one of fewer bits is left out.
    """
    a, b = (_rising(points) for points in (reference, method))
    low, high = max(a[0][1], b[0][1]), min(a[-1][1], b[-1][1])
    if high <= low:
        return None
    knots = sorted({low, high, *(value for _, value in (*a, *b) if low < value < high)})
    log_rates = [np.interp(knots, [v for _, v in points], [math.log(r) for r, _ in points]) for points in (a, b)]
    difference = np.trapezoid(log_rates[1] - log_rates[0], knots) / (high - low)
    return float(np.exp(difference) - 1)


def _rising(points: Points) -> list[tuple[float, float]]:
    """Order points by rising rate and drop those whose value does not rise."""
    kept: list[tuple[float, float]] = []
    for rate, value in sorted(points):
        if not kept or (value > kept[-1][1] and rate > kept[-1][0]):
            kept.append((rate, value))
    return kept
