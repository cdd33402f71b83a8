"""Streams: an order that a seed fixes, and work ahead in a thread whose errors are heard."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from histocodec.training.data.stream import prefetched, shuffled


def test_a_shuffled_stream_is_mixed_and_seeded_and_loses_nothing() -> None:
    def first(seed: int) -> list[int]:
        return list(itertools.islice(shuffled(itertools.count(), np.random.default_rng(seed), 10), 200))

    assert first(1) == first(1) != first(2)
    assert first(1) != sorted(first(1))
    assert len(set(first(1))) == 200
    assert np.mean([abs(place - item) for place, item in enumerate(first(1))]) < 20


def test_items_made_ahead_come_in_order_and_errors_with_them() -> None:
    def items() -> Iterator[int]:
        yield from range(20)
        raise ValueError("no more")

    stream = prefetched(items)
    assert list(itertools.islice(stream, 20)) == list(range(20))
    with pytest.raises(ValueError, match="no more"):
        next(stream)
