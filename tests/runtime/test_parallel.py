"""Ordered work on threads."""

from __future__ import annotations

import time

import pytest

from histocodec.runtime.parallel import ordered_map


def test_ordered_map_keeps_order_and_bounds_what_is_in_flight() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        time.sleep(0.001 * (item % 3))
        return item * item

    def items() -> list[int]:
        return list(range(40))

    results = []
    for result in ordered_map(work, (begun.append(i) or i for i in items()), workers=3):  # type: ignore[func-returns-value]
        results.append(result)
        assert len(begun) - len(results) <= 2 * 3
    assert results == [i * i for i in items()]


def test_ordered_map_raises_what_the_work_raises() -> None:
    def work(item: int) -> int:
        if item == 5:
            raise RuntimeError("five")
        return item

    with pytest.raises(RuntimeError, match="five"):
        list(ordered_map(work, range(100), workers=2))
