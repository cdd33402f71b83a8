"""Choosing qualities: for each target ratio the highest whose bytes fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

TARGET_RATIOS = (6.0, 8.0, 12.0, 16.0, 24.0)
"""Target ratios, bytes of the scanner's JPEG over bytes: a row each."""

NEARLY_FULL = 0.99
"""Share of a budget whose filling ends the search on a fine scale."""


def highest_fitting(
    sizes: dict[int, float],
    count: int,
    size_of: Callable[[int], float],
    budget_bytes: float,
    *,
    enough: float = 1.0,
) -> int | None:
    """Find the highest step of a ladder of `count` whose bytes fit; None if the lowest does not.

    sizes: bytes by step as far as they are known; used, and added to. size_of: measures a step. The search follows the
    line through the logarithm of the bytes, and halves what is left where that gains little. enough: a step that fills
    this share of the budget is taken at once. Bytes should rise with the step: where they do not, the step found fits
    and the one above it does not.
    """

    def size(step: int) -> float:
        if step not in sizes:
            sizes[step] = size_of(step)
        return sizes[step]

    if size(0) > budget_bytes:
        return None
    low = max(step for step, known in sizes.items() if known <= budget_bytes)
    high = min((step for step, known in sizes.items() if step > low and known > budget_bytes), default=count)
    halve = False
    while high - low > 1 and size(low) < enough * budget_bytes:
        width = high - low
        guess = low + width // 2
        if high < count and not halve:
            bottom, top = math.log(size(low)), math.log(size(high))
            share = (math.log(budget_bytes) - bottom) / (top - bottom)
            guess = min(max(low + round(share * width), low + 1), high - 1)
        if size(guess) <= budget_bytes:
            low = guess
        else:
            high = guess
        halve = not halve and high - low > width / 2
    return low


def ladder(
    sizes: dict[int, float],
    count: int,
    size_of: Callable[[int], float],
    budgets: Sequence[float],
    *,
    enough: float = 1.0,
) -> list[int]:
    """Find steps for several budgets, each once, in the order of the budgets; those that nothing fits are left out."""
    found: list[int] = []
    for budget in budgets:
        step = highest_fitting(sizes, count, size_of, budget, enough=enough)
        if step is not None and step not in found:
            found.append(step)
    return found
