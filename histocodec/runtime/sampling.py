"""Seeded samples that are spread over what they are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def spread_sample(items: Sequence[T], count: int, seed: int) -> list[T]:
    """Draw `count` of the items, one out of each of `count` equal runs of them; all, if there are no more.

    Examples:
        >>> spread_sample(range(100), 4, seed=1) == spread_sample(range(100), 4, seed=1)
        True
        >>> [item // 25 for item in spread_sample(range(100), 4, seed=1)]
        [0, 1, 2, 3]
    """
    if len(items) <= count:
        return list(items)
    rng = np.random.default_rng(seed)
    edges = np.linspace(0, len(items), count + 1).astype(int)
    return [items[int(rng.integers(a, b))] for a, b in pairwise(edges)]
