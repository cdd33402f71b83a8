"""Seeded samples that are spread over what they are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def spread_sample(items: Sequence[T], count: int, seed: int) -> list[T]:
    """Draw `count` of the items, one out of each of `count` equal runs of them; all, if there are no more."""
    if len(items) <= count:
        return list(items)
    rng = np.random.default_rng(seed)
    edges = np.linspace(0, len(items), count + 1).astype(int)
    return [items[int(rng.integers(a, b))] for a, b in pairwise(edges)]
